import { Shares } from './guard/shares.ts'

/** A stream whose other side takes its time with an answer. */
export interface Reader {
  /** Cuts it off. */
  abort(error: Error): void
}

/**
 * Where questions are answered. A place is taken when a question has come, not when a stream opens, and given back when
 * the answer is there, not when it has been read: who opens streams and leaves, or asks and does not read, takes no
 * place from anybody.
 */
export class Desk {
  readonly #placesMax: number
  readonly #answered = new Shares()
  readonly #readers = new Set<Reader>()

  constructor(placesMax: number) {
    this.#placesMax = placesMax
  }

  /** False when there is no place: none at all, or, of the second half, for a block of addresses that has a quarter. */
  enter(block: string): boolean {
    const taken = this.#answered.total
    const crowding = taken >= this.#placesMax / 2 && this.#answered.of(block) >= this.#placesMax / 4
    if (taken >= this.#placesMax || crowding) return false
    this.#answered.add(block, 1)
    return true
  }

  leave(block: string): void {
    this.#answered.add(block, -1)
  }

  /** Notes that an answer is on its way; of too many that are not read the oldest is given up. */
  hand(reader: Reader): void {
    this.#readers.add(reader)
    const [oldest] = this.#readers
    if (this.#readers.size <= this.#placesMax || oldest === undefined) return
    this.#readers.delete(oldest)
    oldest.abort(new Error('others wait for their answers'))
  }

  taken(reader: Reader): void {
    this.#readers.delete(reader)
  }
}
