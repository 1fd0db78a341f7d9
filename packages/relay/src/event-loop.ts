import type { Sample } from './exposition.ts'
import { lagBucketsSeconds, lagEveryMs } from './limits.ts'

/** How late a timer fires, as a histogram: what every peer of this relay waits on top of the network. */
export interface EventLoopLag extends Disposable {
  samples(): Sample[]
}

/**
 * Measures until disposed of.
 *
 * @param init.clock - Monotonic milliseconds.
 */
export function watchEventLoop(init: { clock: () => number }): EventLoopLag {
  const counts = lagBucketsSeconds.map(() => 0)
  let [sumSeconds, count, expectedMs] = [0, 0, init.clock() + lagEveryMs]

  const timer = setInterval(() => {
    const atMs = init.clock()
    const lagSeconds = Math.max(0, atMs - expectedMs) / 1000
    expectedMs = atMs + lagEveryMs
    sumSeconds += lagSeconds
    count++
    lagBucketsSeconds.forEach((most, index) => {
      if (lagSeconds <= most) counts[index] = (counts[index] ?? 0) + 1
    })
  }, lagEveryMs)
  timer.unref()

  return {
    samples: () => [
      ...lagBucketsSeconds.map((most, index): Sample => ({
        suffix: '_bucket',
        labels: { le: String(most) },
        value: counts[index] ?? 0
      })),
      { suffix: '_bucket', labels: { le: '+Inf' }, value: count },
      { suffix: '_sum', value: sumSeconds },
      { suffix: '_count', value: count }
    ],
    [Symbol.dispose]: () => clearInterval(timer)
  }
}
