import { answersBytesMax } from './limits.ts'

/** Answers as they were sent, by the frames that asked for them: the same until the store changes. */
export class Answers {
  readonly #state: () => number
  readonly #kept = new Map<string, Uint8Array>()
  #at: number | undefined
  #bytes = 0

  /** @param state - Another number whenever the store has changed. */
  constructor(state: () => number) {
    this.#state = state
  }

  /** The answer to a question, from memory where it has been given since the store last changed. */
  async to(question: Uint8Array, answer: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const state = this.#state()
    if (state !== this.#at) this.#forgetAll(state)
    const name = Buffer.from(question.buffer, question.byteOffset, question.length).toString('latin1')
    const known = this.#kept.get(name)
    if (known !== undefined) return known
    const made = await answer()
    // What was read while something was written may have it, or not.
    if (this.#state() === state && this.#at === state) this.#keep(name, made)
    return made
  }

  #keep(name: string, answer: Uint8Array): void {
    if (this.#kept.has(name)) return
    this.#kept.set(name, answer)
    this.#bytes += name.length + answer.length
    for (const [oldest, { length }] of this.#kept) {
      if (this.#bytes <= answersBytesMax) break
      this.#kept.delete(oldest)
      this.#bytes -= oldest.length + length
    }
  }

  #forgetAll(state: number): void {
    this.#kept.clear()
    this.#bytes = 0
    this.#at = state
  }
}
