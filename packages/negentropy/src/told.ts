import { NegentropyError } from './error.ts'
import { comparedPerMessageMax, comparedShareMax, comparedSlack, listedShareMax, listedSlack } from './limits.ts'

/**
 * What a responder has told in a session. Each question cuts finer what the one before it left open, so that no id is
 * listed twice and ranges are fewer than ids: a list of everything for five bytes, and a thousand ranges that were made up
 * for twenty kilobytes, are to be had once.
 */
export class Told {
  #listed = 0
  #compared = 0
  #messages = 0

  /** Another message begins: where the last one was cut short, the rest of the set is cut anew. */
  begin(): void {
    this.#messages++
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

function askedAgain(what: string, size: number): NegentropyError {
  return new NegentropyError('asked-again', `${what} of a set of ${size}`)
}
