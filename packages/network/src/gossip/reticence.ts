import assert from 'node:assert'
import type { PeerId } from '@libp2p/interface'
import type { GossipSub } from '@libp2p/gossipsub'
import { doubtsMax } from './limits.ts'

/** Keeps from telling neighbours of what will not be passed on. */
export interface Reticence {
  /** What became of a message that a peer brought. */
  judged(from: PeerId, isPassedOn: boolean): void
}

/**
 * gossipsub tells its neighbours of each message that it need not be sent again (IDONTWANT) before it has been looked
 * at: whoever floods us with what is worth nothing has us write to all of them, and them read, for each piece of it. Here
 * that is said of messages from a peer whose last one was passed on, or who has sent none yet.
 */
export function holdBackTelling(pubsub: GossipSub): Reticence {
  const teller = openTeller(pubsub)
  const tell = teller.sendIDontWants.bind(teller)
  const doubts = new Set<string>()
  teller.sendIDontWants = (id, topic, source) => {
    if (!doubts.has(source)) tell(id, topic, source)
  }
  return {
    judged(from, isPassedOn) {
      const name = from.toString()
      doubts.delete(name)
      if (isPassedOn) return
      doubts.add(name)
      const [oldest] = doubts
      if (doubts.size > doubtsMax && oldest !== undefined) doubts.delete(oldest)
    }
  }
}

interface Teller {
  sendIDontWants: (id: Uint8Array, topic: string, source: string) => void
}

/** A private part of gossipsub, which has no hook for this; fails at start if a version moves it. */
function openTeller(pubsub: GossipSub): Teller {
  const teller = pubsub as unknown as Teller
  assert(typeof teller.sendIDontWants === 'function', 'gossipsub has its sendIDontWants elsewhere')
  return teller
}
