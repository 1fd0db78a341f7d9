import { setTimeout as sleep } from 'node:timers/promises'
import { type Budget, TokenBucket } from '../guard/bucket.ts'

/** Does what costs time one task after the other, and no more of it than a budget of milliseconds allows. */
export interface Pacer {
  /**
   * Waits for its turn and for the budget, then runs the task.
   *
   * @returns What the task did, and how long it took.
   * @throws The signal's reason while waiting; whatever the task throws.
   */
  run<T>(task: () => Promise<T>, options: { signal: AbortSignal }): Promise<{ value: T; tookMs: number }>
}

/**
 * Turns go round: each session waits for its answer before it asks again, so nobody has two in the queue. However many
 * identities ask, what they take together is the budget; an honest one among them waits, and is answered.
 *
 * @param init.budget - Milliseconds of work, not of waiting.
 */
export function createPacer(init: { budget: Budget; clock: () => number }): Pacer {
  const { clock, budget } = init
  const bucket = new TokenBucket(budget, clock())
  let last: Promise<unknown> = Promise.resolve()

  async function take<T>(task: () => Promise<T>, signal: AbortSignal): Promise<{ value: T; tookMs: number }> {
    const waitMs = bucket.waitMs(0, clock())
    if (waitMs > 0) await sleep(waitMs, undefined, { signal, ref: false })
    signal.throwIfAborted()
    const startedAt = clock()
    try {
      const value = await task()
      return { value, tookMs: clock() - startedAt }
    } finally {
      const endedAt = clock()
      bucket.spend(endedAt - startedAt, endedAt)
    }
  }

  return {
    run(task, { signal }) {
      const turn = last.then(() => take(task, signal))
      last = turn.catch(() => {})
      return turn
    }
  }
}
