import { NotFoundError, type PeerId, type PeerStore } from '@libp2p/interface'
import type { Datastore, Key } from 'interface-datastore'
import { CID } from 'multiformats/cid'
import { storedPeersMax } from './limits.ts'

/** Which peers a peer store has, known without asking its database. */
export interface StoredPeers {
  /** False for those who are not in it; true for one in two thousand million of them too, and for all when too many are. */
  mayHave(peer: PeerId): boolean
}

/**
 * libp2p looks up everybody who goes in its peer store, twice: for who only came, who is not in it, two locks,
 * reads of the database, and errors with their stacks. Who is in it is read once; what is written from now on is seen.
 *
 * @param peerStore - Changed in place: libp2p's parts have it already.
 */
export async function watchStored(
  peerStore: PeerStore,
  { datastore, self, max = storedPeersMax }: { datastore: Pick<Datastore, 'queryKeys'>; self: PeerId; max?: number }
): Promise<StoredPeers> {
  const get = peerStore.get.bind(peerStore)
  const has = peerStore.has.bind(peerStore)
  const prints = new Set<number>()
  const mayHave = (peer: PeerId): boolean => prints.size >= max || prints.has(printOf(peer.toMultihash().bytes))
  const add = (multihash: Uint8Array): void => {
    if (prints.size < max) prints.add(printOf(multihash))
  }
  const note = (peer: PeerId): void => add(peer.toMultihash().bytes)
  /** Noted before it is written: who looks meanwhile waits for the one who writes. */
  const noting = <Rest extends unknown[], T>(write: (peer: PeerId, ...rest: Rest) => T) => {
    return (peer: PeerId, ...rest: Rest): T => {
      note(peer)
      return write(peer, ...rest)
    }
  }
  // One for all, since a stack is what it would cost.
  const notThere = new NotFoundError('not in the peer store')

  Object.assign(peerStore, {
    async get(peer, options) {
      if (!mayHave(peer)) throw notThere
      return get(peer, options)
    },
    has: async (peer, options) => mayHave(peer) && has(peer, options),
    merge: noting(peerStore.merge.bind(peerStore)),
    patch: noting(peerStore.patch.bind(peerStore)),
    save: noting(peerStore.save.bind(peerStore))
  } satisfies Partial<PeerStore>)
  note(self)
  for await (const key of datastore.queryKeys({ prefix: '/peers/' })) add(multihashIn(key))
  return { mayHave }
}

/** Four bytes in place of forty: of a hundred thousand peers one megabyte, and a number that V8 keeps without an object. */
function printOf(multihash: Uint8Array): number {
  return new DataView(multihash.buffer, multihash.byteOffset + multihash.length - 4).getUint32(0) >>> 1
}

/** As libp2p names the rows of peers: `/peers/` and a CID. */
function multihashIn(key: Key): Uint8Array {
  return CID.parse(key.baseNamespace()).multihash.bytes
}
