import { setTimeout as sleep } from 'node:timers/promises'
import type { Turns } from '../gossip/turns.ts'
import { type Budget, TokenBucket } from '../guard/bucket.ts'

/** Whose work it is: who has had least goes first, by the first of these names, then by the next. */
export type Parties = readonly string[]

/**
 * To be called by a task between two steps of a fraction of a millisecond. Undefined while its turn lasts, else to be awaited:
 * meanwhile everybody else gets on, and nothing counts as the task's.
 *
 * @throws The signal's reason, when nobody waits for the task any more.
 */
export type Rest = () => Promise<void> | undefined

/** Does what costs time one task after the other, and no more of it than a budget of milliseconds allows. */
export interface Pacer {
  /**
   * Waits for its turn and for the budget, then runs the task.
   *
   * @param options.charge - Told how many milliseconds it worked, whatever came of it.
   * @throws The signal's reason while waiting; whatever the task throws.
   */
  run<T>(
    task: (rest: Rest) => Promise<T>,
    options: { signal: AbortSignal; parties: Parties; charge?: (tookMs: number) => void }
  ): Promise<T>
}

/** Parties whose work is remembered; those that had some longest ago are forgotten. */
const partiesMax = 2000

/**
 * However many identities ask, what they take together is the budget; and whoever has taken least is next, so that an
 * honest peer among them hardly waits. Work that awaits nothing but promises never lets go of the event loop: what fifty
 * had asked for together kept all others waiting for as long as the burst lasted. So it is done in turns.
 *
 * @param init.budget - Milliseconds of work, not of waiting.
 * @param init.turns - Shared with what else is done for the same peers.
 * @param init.cpuMs - What this thread has worked so far. Not the time of day: on a machine that others load, an honest
 * peer would pay for them.
 */
export function createPacer(init: { budget: Budget; turns: Turns; clock: () => number; cpuMs: () => number }): Pacer {
  const { clock, budget, turns } = init
  const bucket = new TokenBucket(budget, clock())
  const usedMs = new Map<string, number>()
  const waiting = new Set<Waiting>()
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
    run: (task, { signal, parties, charge }) =>
      new Promise((resolve, reject) => {
        const work = async (): Promise<void> => {
          signal.removeEventListener('abort', giveUp)
          const meter = createMeter(init.cpuMs)
          const restUntil = async (turn: Promise<void>): Promise<void> => {
            const goOn = meter.pause()
            for (let next: Promise<void> | undefined = turn; next !== undefined; next = turns.wait()) await next
            goOn()
            signal.throwIfAborted()
          }
          const outcome = task(() => {
            const turn = turns.wait()
            return turn === undefined ? undefined : restUntil(turn)
          })
          await Promise.allSettled([outcome])
          const tookMs = meter.tookMs()
          note(parties, tookMs)
          charge?.(tookMs)
          resolve(outcome)
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

interface Meter {
  tookMs(): number
  /** Returns what ends the pause. */
  pause(): () => void
}

/** Counts from now on. */
function createMeter(cpuMs: () => number): Meter {
  let fromMs = cpuMs()
  const tookMs = (): number => cpuMs() - fromMs
  return {
    tookMs,
    pause() {
      const workedMs = tookMs()
      return () => void (fromMs = cpuMs() - workedMs)
    }
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
