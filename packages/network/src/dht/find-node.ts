import type { PeerId, PeerInfo } from '@libp2p/interface'
import { type EncodedPeer, encodePeer, type HandleQuestion } from './message.ts'
import { type FindNearest, isPeerId } from './nearest.ts'

/**
 * Tells whoever asks who is nearest to a key. A peer's part of an answer is made once for as long as it is held in memory
 * where it is ({@link FindNearest}).
 *
 * @param otherwise - For all other questions, and those after a peer by its id: that one is named too, be it near or not.
 */
export function findNodeBefore(
  otherwise: HandleQuestion,
  { nearest, self }: { nearest: FindNearest; self: PeerId }
): HandleQuestion {
  const encoded = new WeakMap<PeerInfo, EncodedPeer>()
  const encode = (info: PeerInfo): EncodedPeer => {
    let peer = encoded.get(info)
    if (peer === undefined) {
      peer = encodePeer({ id: info.id.toMultihash().bytes, multiaddrs: info.multiaddrs.map(({ bytes }) => bytes) })
      encoded.set(info, peer)
    }
    return peer
  }
  return async (asker, question) => {
    const { type, key } = question
    if (type !== 'FIND_NODE' || key === undefined || isPeerId(key)) return otherwise(asker, question)
    const infos = await nearest(key, { exclude: [asker, self] })
    return { type, closer: infos.filter(({ multiaddrs }) => multiaddrs.length > 0).map(encode) }
  }
}
