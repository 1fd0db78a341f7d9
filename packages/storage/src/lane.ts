/**
 * One change after the other: what reads, decides and writes runs alone. Work that waits meanwhile can be merged by
 * whoever queues it.
 */
export interface Lane {
  /** Runs `task` when all earlier ones have ended, whether they failed or not. */
  run<T>(task: () => Promise<T>): Promise<T>
  /** Resolves when nothing is queued any more. */
  idle(): Promise<void>
}

export function createLane(): Lane {
  let last: Promise<unknown> = Promise.resolve()
  return {
    run(task) {
      const mine = last.then(task)
      last = mine.catch(() => undefined)
      return mine
    },
    async idle() {
      for (let seen: unknown; seen !== last;) {
        seen = last
        await last
      }
    }
  }
}
