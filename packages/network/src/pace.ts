import { setTimeout as sleep } from 'node:timers/promises'
import type { AbortOptions } from '@libp2p/interface'
import type { Budget } from './guard/bucket.ts'

/**
 * Resolves when it is the caller's turn, in the order of the calls. A turn that is given up is lost.
 *
 * @throws The signal's reason, at once when it fires.
 */
export type Pace = (options: AbortOptions) => Promise<void>

/** Turns by a budget: who asks others as fast as they answer runs into what they grant. */
export function createPace({ perSecond, burst }: Budget): Pace {
  const apartMs = 1000 / perSecond
  let nextMs = -Infinity
  return async ({ signal }) => {
    signal?.throwIfAborted()
    const nowMs = performance.now()
    // Turns that nobody took are kept, up to a burst of them.
    const turnMs = Math.max(nextMs, nowMs - (burst - 1) * apartMs)
    nextMs = turnMs + apartMs
    if (turnMs <= nowMs) return
    try {
      await sleep(Math.ceil(turnMs - nowMs), undefined, { ref: false, ...(signal && { signal }) })
    } finally {
      signal?.throwIfAborted()
    }
  }
}
