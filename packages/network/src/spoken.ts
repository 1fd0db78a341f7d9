import type { Peer, PeerData, PeerId, PeerStore } from '@libp2p/interface'
import { spokenPeersMax } from './limits.ts'
import type { StoredPeers } from './stored.ts'

/**
 * libp2p writes down with every stream, either way, that the peer speaks its protocol: a read and a write of the database
 * for what is there already, a third of what it costs to answer a short question. From now on only what is new is
 * written. And of those who have not said who they are, whom nobody could find again by that, nothing is: they come, open a
 * stream and go, for one read and one write of the database each.
 *
 * @param peerStore - Changed in place: libp2p's parts have it already.
 */
export function noteProtocolsOnce(peerStore: PeerStore, stored: StoredPeers): void {
  const get = peerStore.get.bind(peerStore)
  const has = peerStore.has.bind(peerStore)
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

  /** What is known of somebody who is not in the store, and has opened streams. */
  const heldOf = (peer: PeerId): Peer | undefined =>
    stored.mayHave(peer) ? undefined : [...(spoken.get(peer.toString())?.values() ?? [])].at(-1)
  const hold = (peer: PeerId, protocol: string): Peer => {
    const protocols = [...(heldOf(peer)?.protocols ?? []), protocol].toSorted()
    const held = { id: peer, addresses: [], protocols, metadata: new Map(), tags: new Map() }
    remember(peer.toString(), protocol, held)
    return held
  }

  Object.assign(peerStore, {
    get: async (peer, options) => heldOf(peer) ?? get(peer, options),
    has: async (peer, options) => heldOf(peer) !== undefined || has(peer, options),
    async merge(peer, data, options) {
      const protocol = onlyProtocolOf(data)
      if (protocol === undefined) return merge(peer, data, options)
      const name = peer.toString()
      const known = spoken.get(name)?.get(protocol)
      if (known !== undefined) return known
      if (!stored.mayHave(peer)) return hold(peer, protocol)
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
