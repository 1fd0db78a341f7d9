import { setTimeout as sleep } from 'node:timers/promises'
import { createTurns } from '../gossip/turns.ts'
import { type Budget, TokenBucket } from '../guard/bucket.ts'
import { workTurnMs } from './limits.ts'

/** Whose work it is: who has had least goes first, by the first of these names, then by the next. */
export type Parties = readonly string[]

/** Does what costs time one task after the other, and no more of it than a budget of milliseconds allows. */
export interface Pacer {
  /**
   * Waits for its turn and for the budget, then runs the task.
   *
   * @returns What the task did, and how long it took.
   * @throws The signal's reason while waiting; whatever the task throws.
   */
  run<T>(
    task: () => Promise<T>,
    options: { signal: AbortSignal; parties: Parties }
  ): Promise<{ value: T; tookMs: number }>
}

/** Parties whose work is remembered; those that had some longest ago are forgotten. */
const partiesMax = 2000

/**
 * However many identities ask, what they take together is the budget; and whoever has taken least is next, so that an
 * honest peer among them hardly waits. Work that awaits nothing but promises never lets go of the event loop: what fifty
 * had asked for together kept all others waiting for as long as the burst lasted. So it is done in turns.
 *
 * @param init.budget - Milliseconds of work, not of waiting.
 * @param init.cpuMs - What this thread has worked so far. Not the time of day: on a machine that others load, an honest
 * peer would pay for them.
 */
export function createPacer(init: { budget: Budget; clock: () => number; cpuMs: () => number }): Pacer {
  const { clock, budget } = init
  const bucket = new TokenBucket(budget, clock())
  const usedMs = new Map<string, number>()
  const waiting = new Set<Waiting>()
  const turns = createTurns(workTurnMs)
  let working = false

  async function workOn(): Promise<void> {
    if (working) return
    working = true
    while (waiting.size > 0) {
      const waitMs = bucket.waitMs(0, clock())
      if (waitMs > 0) await sleep(waitMs, undefined, { ref: false })
      for (let turn = turns.wait(); turn !== undefined; turn = turns.wait()) await turn
      const [next] = [...waiting].toSorted((a, b) => compareUse(a.parties, b.parties, usedMs))
      if (next === undefined) break
      waiting.delete(next)
      await next.work()
    }
    working = false
  }

  function note(parties: Parties, tookMs: number): void {
    bucket.spend(tookMs, clock())
    for (const party of parties) {
      const before = usedMs.get(party) ?? 0
      usedMs.delete(party)
      usedMs.set(party, before + tookMs)
    }
    for (const [oldest] of [...usedMs].slice(0, Math.max(0, usedMs.size - partiesMax))) usedMs.delete(oldest)
  }

  return {
    run: (task, { signal, parties }) =>
      new Promise((resolve, reject) => {
        const work = async (): Promise<void> => {
          signal.removeEventListener('abort', giveUp)
          const startedMs = init.cpuMs()
          const outcome = task()
          await Promise.allSettled([outcome])
          const tookMs = init.cpuMs() - startedMs
          note(parties, tookMs)
          resolve(outcome.then((value) => ({ value, tookMs })))
        }
        const one = { parties, work }
        function giveUp(): void {
          waiting.delete(one)
          reject(signal.reason as Error)
        }
        if (signal.aborted) return giveUp()
        signal.addEventListener('abort', giveUp, { once: true })
        waiting.add(one)
        void workOn()
      })
  }
}

interface Waiting {
  readonly parties: Parties
  /** Never rejects. */
  work(): Promise<void>
}

function compareUse(a: Parties, b: Parties, usedMs: ReadonlyMap<string, number>): number {
  for (const [at, party] of a.entries()) {
    const difference = (usedMs.get(party) ?? 0) - (usedMs.get(b[at] ?? '') ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
