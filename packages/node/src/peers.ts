import type { Network } from '@souk/network'
import { NodeError } from './errors.ts'
import type { Peers, PeerView } from './node.ts'

/** Who is connected, and who has misbehaved. */
export function createPeers(network: Network): Peers {
  const view = (id: string): PeerView => {
    const connections = network.libp2p.getConnections().filter(({ remotePeer }) => remotePeer.toString() === id)
    const report = network.guard.report().find(({ peer }) => peer === id)
    const [connection] = connections
    return {
      id,
      addresses: connections.map(({ remoteAddr }) => remoteAddr.toString()),
      connected: connections.length > 0,
      ...(connection === undefined
        ? {}
        : { direction: connection.direction, relayed: connection.limits !== undefined }),
      score: report?.score ?? 0,
      reasons: report?.reasons.map(({ code }) => code) ?? [],
      ...(report?.bannedUntilMs === undefined ? {} : { bannedUntilMs: report.bannedUntilMs })
    }
  }

  return {
    async list() {
      const connected = network.peers().map(String)
      const known = [
        ...network.guard.report().map(({ peer }) => peer),
        ...network.keeper.wanted().map(({ peer }) => peer)
      ]
      return [...new Set([...connected, ...known])].map(view)
    },
    async connect(address, options = {}) {
      try {
        return view((await network.connect(address, options)).toString())
      } catch (cause) {
        throw new NodeError('unreachable', (cause as Error).message, { cause })
      }
    }
  }
}
