import { NegentropyError } from './error.ts'
import { compareBounds, startBound } from './item.ts'
import { comparedPerMessageMax, comparedShareMax, comparedSlack, listedShareMax, listedSlack } from './limits.ts'
import type { Interval, Range } from './message.ts'

/**
 * What a responder has told in a session. Each question cuts finer what the answer before it left open, so that no id is
 * listed twice and ranges are fewer than ids: a list of everything for five bytes, and a thousand ranges that were made up
 * for twenty kilobytes, are to be had once.
 */
export class Told {
  #listed = 0
  #compared = 0
  #messages = 0
  /** What the last answer left open; everything to begin with. */
  #open: readonly Interval[] | undefined

  /**
   * Another message begins. Where the last one was cut short, the rest of the set is cut anew, up to the end.
   *
   * @throws NegentropyError `asked-again` when it asks about what was settled.
   */
  begin(ranges: readonly Range[]): void {
    this.#messages++
    if (this.#open === undefined) return
    let [lower, at] = [startBound, 0]
    for (const { kind, upper } of ranges) {
      while (at < this.#open.length && compareBounds((this.#open[at] as Interval).upper, lower) <= 0) at++
      if (kind !== 'skip' && upper.timestampMs !== Infinity && !isWithin({ lower, upper }, this.#open[at])) {
        throw new NegentropyError('asked-again', 'a range is part of none that was left open')
      }
      lower = upper
    }
  }

  /** @param compared - What the answer has fingerprints of. */
  end(compared: readonly Interval[]): void {
    this.#open = compared
  }

  /** @throws NegentropyError `asked-again` @param size - Of the whole set. */
  list(ids: number, size: number): void {
    this.#listed += ids
    if (this.#listed > size * listedShareMax + listedSlack) throw askedAgain(`${this.#listed} ids listed`, size)
  }

  /** @throws NegentropyError `asked-again` */
  compare(size: number): void {
    const most = size * comparedShareMax + comparedSlack + comparedPerMessageMax * this.#messages
    if (++this.#compared > most) throw askedAgain(`${this.#compared} ranges`, size)
  }
}

function isWithin({ lower, upper }: Interval, whole: Interval | undefined): boolean {
  return whole !== undefined && compareBounds(whole.lower, lower) <= 0 && compareBounds(upper, whole.upper) <= 0
}

function askedAgain(what: string, size: number): NegentropyError {
  return new NegentropyError('asked-again', `${what} of a set of ${size}`)
}
