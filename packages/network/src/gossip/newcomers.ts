import assert from 'node:assert'
import type { GossipSub } from '@libp2p/gossipsub'

/**
 * Tells who enters our mesh what we passed on just before. Messages go to the mesh as they come and are told to
 * everybody else in the next heartbeat: who changes from one to the other in between would hear nothing of them.
 */
export function tellNewcomers(pubsub: GossipSub): void {
  const teller = openTeller(pubsub)
  pubsub.addEventListener('gossipsub:graft', ({ detail: { peerId, topic } }) => {
    const messageIDs = teller.mcache.getGossipIDs(new Set([topic])).get(topic) ?? []
    if (messageIDs.length > 0) teller.pushGossip(peerId, { topicID: topic, messageIDs })
  })
}

interface Teller {
  /** What came since the last heartbeat, by topic. */
  readonly mcache: { getGossipIDs(topics: Set<string>): Map<string, Uint8Array[]> }
  /** Sent with the next thing that goes to the peer, in the heartbeat at the latest. */
  pushGossip(peer: string, ihave: { topicID: string; messageIDs: Uint8Array[] }): void
}

/** Private parts of gossipsub, which has no hook for this; fails at start if a version moves them. */
function openTeller(pubsub: GossipSub): Teller {
  const teller = pubsub as unknown as Teller
  assert(typeof teller.pushGossip === 'function', 'gossipsub has its pushGossip elsewhere')
  assert(typeof teller.mcache?.getGossipIDs === 'function', 'gossipsub has its messages elsewhere')
  return teller
}
