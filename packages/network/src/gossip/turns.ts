/** Work that many streams share, in turns: between two of them everything else that the process has to do gets on. */
export interface Turns {
  /** Undefined while there is time; else resolves when the event loop has gone round, and there may be. */
  wait(): Promise<void> | undefined
}

/**
 * What awaits nothing but promises that are there already never lets go of the event loop: five hundred messages that
 * came together kept everybody else waiting for 160 ms.
 *
 * @param turnMs - How long is worked in one round of the event loop, whoever works.
 */
export function createTurns(turnMs: number): Turns {
  let endsAtMs = -Infinity
  /** The loop has not gone round since the turn began. */
  let isHeld = false
  let next: Promise<void> | undefined

  const begin = (): void => {
    isHeld = true
    endsAtMs = performance.now() + turnMs
    setImmediate(() => (isHeld = false))
  }
  const waitForNext = (): Promise<void> =>
    new Promise((resolve) => {
      setImmediate(() => {
        next = undefined
        resolve()
      })
    })

  return {
    wait() {
      if (next !== undefined) return next
      if (performance.now() < endsAtMs) return undefined
      if (isHeld) return (next = waitForNext())
      begin()
      return undefined
    }
  }
}
