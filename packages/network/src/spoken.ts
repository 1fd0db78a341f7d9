import type { Peer, PeerData, PeerId, PeerStore } from '@libp2p/interface'
import { spokenPeersMax } from './limits.ts'

/**
 * libp2p writes down with every stream, either way, that the peer speaks its protocol: a read and a write of the database
 * for what is there already, a third of what it costs to answer a short question. From now on only what is new is
 * written.
 *
 * @param peerStore - Changed in place: libp2p's parts have it already.
 */
export function noteProtocolsOnce(peerStore: PeerStore): void {
  const merge = peerStore.merge.bind(peerStore)
  const patch = peerStore.patch.bind(peerStore)
  const save = peerStore.save.bind(peerStore)
  const remove = peerStore.delete.bind(peerStore)
  const spoken = new Map<string, Map<string, Peer>>()

  /** Whatever else is done to a peer may take protocols away, also after what was begun before it has ended. */
  async function forgetAround<T>(peer: PeerId, task: () => Promise<T>): Promise<T> {
    spoken.delete(peer.toString())
    try {
      return await task()
    } finally {
      spoken.delete(peer.toString())
    }
  }

  function remember(peer: string, protocol: string, known: Peer): void {
    const protocols = spoken.get(peer) ?? new Map<string, Peer>()
    spoken.delete(peer)
    spoken.set(peer, protocols.set(protocol, known))
    const [oldest] = spoken.keys()
    if (spoken.size > spokenPeersMax && oldest !== undefined) spoken.delete(oldest)
  }

  Object.assign(peerStore, {
    async merge(peer, data, options) {
      const protocol = onlyProtocolOf(data)
      if (protocol === undefined) return merge(peer, data, options)
      const name = peer.toString()
      const known = spoken.get(name)?.get(protocol)
      if (known !== undefined) return known
      const merged = await merge(peer, data, options)
      remember(name, protocol, merged)
      return merged
    },
    patch: (peer, data, options) => forgetAround(peer, () => patch(peer, data, options)),
    save: (peer, data, options) => forgetAround(peer, () => save(peer, data, options)),
    delete: (peer, options) => forgetAround(peer, () => remove(peer, options))
  } satisfies Partial<PeerStore>)
}

/** What libp2p says with a stream. */
function onlyProtocolOf(data: PeerData): string | undefined {
  const { protocols, ...rest } = data
  return protocols?.length === 1 && Object.keys(rest).length === 0 ? protocols[0] : undefined
}
