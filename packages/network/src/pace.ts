import { setTimeout as sleep } from 'node:timers/promises'
import type { AbortOptions, PeerId } from '@libp2p/interface'
import type { Budget } from './guard/bucket.ts'

/**
 * Resolves when it is the caller's turn, in the order of the calls. A turn that is given up is lost.
 *
 * @param units - What the turn takes of the budget; one when left out.
 * @throws The signal's reason, at once when it fires.
 */
export type Pace = (options: AbortOptions, units?: number) => Promise<void>

/** Turns by a budget: who asks others as fast as they answer runs into what they grant. */
export function createPace({ perSecond, burst }: Budget): Pace {
  const unitMs = 1000 / perSecond
  /** When all that was taken is earned again. */
  let wholeAtMs = -Infinity
  return async ({ signal }, units = 1) => {
    signal?.throwIfAborted()
    const nowMs = performance.now()
    wholeAtMs = Math.max(wholeAtMs, nowMs) + units * unitMs
    const turnMs = wholeAtMs - burst * unitMs
    if (turnMs <= nowMs) return
    try {
      await sleep(Math.ceil(turnMs - nowMs), undefined, { ref: false, ...(signal && { signal }) })
    } finally {
      signal?.throwIfAborted()
    }
  }
}

/** Gives each peer a pace of its own. */
export function createPaces(budget: Budget): (peer: PeerId) => Pace {
  const paces = new Map<string, Pace>()
  return (peer) => {
    const id = peer.toString()
    const pace = paces.get(id) ?? createPace(budget)
    paces.delete(id)
    paces.set(id, pace)
    const [oldest] = paces.keys()
    if (paces.size > pacedPeersMax && oldest !== undefined) paces.delete(oldest)
    return pace
  }
}

/** Peers whose paces are kept, each about 100 bytes; who was asked longest ago has a whole burst again. */
const pacedPeersMax = 1024
