/**
 * A signal that fires when a time is over, and never once it is disposed of. `AbortSignal.timeout` fires whatever has
 * happened meanwhile: a timer, an error with its stack and all who listened, long after the question was answered.
 */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal
  /** Begins anew: fires so many milliseconds from now. */
  extend(ms: number): void
  /** Fires now. */
  abort(reason: Error): void
}

/** @param reason - What the signal fires with when its time is over. */
export function createDeadline(ms: number, reason: () => Error): Deadline {
  const ending = new AbortController()
  const start = (afterMs: number): NodeJS.Timeout => setTimeout(() => ending.abort(reason()), afterMs).unref()
  let timer = start(ms)
  return {
    signal: ending.signal,
    extend(moreMs) {
      clearTimeout(timer)
      timer = start(moreMs)
    },
    abort(cause) {
      clearTimeout(timer)
      ending.abort(cause)
    },
    [Symbol.dispose]: () => clearTimeout(timer)
  }
}
