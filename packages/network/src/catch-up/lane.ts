import { SyncError } from './error.ts'
import { slowBytesPerSecond, slowMax, slowMs } from './limits.ts'

/** What a task of a lane sees of its turn. */
export interface Turn {
  /** Ends the task when too many slow ones are under way and others wait. */
  readonly signal: AbortSignal
  /** Tells that bytes have come. */
  received(bytes: number): void
}

/** Runs tasks one after the other, also after one has failed. */
export interface Lane {
  run<T>(task: (turn: Turn) => Promise<T>): Promise<T>
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
}

/**
 * A lane in which whoever is slow holds nobody up: the next one begins beside it. Of slow ones {@link slowMax} go on at
 * once; one more ends the slowest, the one that has been at it longest.
 */
export function createLane(): Lane {
  return new OvertakingLane()
}

/** A task under way. */
class Running implements Turn {
  readonly #ending = new AbortController()
  bytes = 0

  get signal(): AbortSignal {
    return this.#ending.signal
  }

  received(bytes: number): void {
    this.bytes += bytes
  }

  end(): void {
    this.#ending.abort(new SyncError('broken', 'others wait, and little comes'))
  }
}

class OvertakingLane implements Lane {
  readonly #waiting: (() => void)[] = []
  /** Oldest first. */
  readonly #slow = new Set<Running>()
  readonly #underWay = new Set<Promise<unknown>>()
  /** Whose turn it is. */
  #current: Running | undefined
  #watch: NodeJS.Timeout | undefined

  run<T>(task: (turn: Turn) => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(this.#begin(task)))
      this.#next()
    })
  }

  async idle(): Promise<void> {
    while (this.#underWay.size > 0 || this.#waiting.length > 0) await Promise.allSettled(this.#underWay)
  }

  async #begin<T>(task: (turn: Turn) => Promise<T>): Promise<T> {
    const turn = new Running()
    this.#current = turn
    this.#look(turn)
    const done = task(turn)
    this.#underWay.add(done)
    try {
      return await done
    } finally {
      this.#underWay.delete(done)
      this.#slow.delete(turn)
      if (this.#current === turn) this.#pass()
    }
  }

  #next(): void {
    if (this.#current === undefined) this.#waiting.shift()?.()
  }

  #pass(): void {
    clearInterval(this.#watch)
    this.#current = undefined
    this.#next()
  }

  /** Looks now and then whether a task has become slow, for as long as it is its turn. */
  #look(turn: Running): void {
    let seenBytes = 0
    this.#watch = setInterval(() => {
      const came = turn.bytes - seenBytes
      seenBytes = turn.bytes
      if (this.#waiting.length > 0 && came < (slowBytesPerSecond * slowMs) / 1000) this.#overtake(turn)
    }, slowMs).unref()
  }

  #overtake(turn: Running): void {
    this.#slow.add(turn)
    const [slowest] = this.#slow
    if (this.#slow.size > slowMax) slowest?.end()
    this.#pass()
  }
}
