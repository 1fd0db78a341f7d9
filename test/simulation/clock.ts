/**
 * A clock that stands still until the simulation moves it, and the timers that wait for it: a binary heap, ordered by
 * time and then by when they were set, so that a run is the same each time.
 */
export interface VirtualClock {
  /** Milliseconds since 1970, whole while a timer runs. */
  readonly nowMs: number
  /** Runs `task` after `delayMs`, which is never in the past. */
  set(task: () => void, delayMs: number): Timer
  /** Runs `task` at this instant, after what was asked for before. */
  soon(task: () => void): Timer
  /** Waits by this clock. */
  wait(delayMs: number): Promise<void>
  /** Tasks that have run. */
  readonly steps: number
  /** Timers that wait. */
  readonly waiting: number
  /**
   * Moves the clock from task to task until `done`, and lets everything that follows from a task happen before the
   * next.
   *
   * @param settle - Resolves when no promise is left that could go on by itself.
   */
  run(done: () => boolean, settle: () => Promise<void>): Promise<void>
}

/** Something that will run, unless it is taken back. */
export interface Timer {
  readonly dueMs: number
  readonly order: number
  task: (() => void) | undefined
}

export function createClock(startMs: number): VirtualClock {
  return new HeapClock(startMs)
}

/** Takes a timer back; it stays in its place and is passed over. */
export function cancel(timer: Timer): void {
  timer.task = undefined
}

class HeapClock implements VirtualClock {
  readonly #heap: Timer[] = []
  #soon: Timer[] = []
  #now: number
  #order = 0
  steps = 0

  constructor(startMs: number) {
    this.#now = startMs
  }

  get nowMs(): number {
    return this.#now
  }

  get waiting(): number {
    return this.#heap.length
  }

  set(task: () => void, delayMs: number): Timer {
    const timer = { dueMs: this.#now + Math.max(0, delayMs), order: this.#order++, task }
    this.#heap.push(timer)
    this.#rise(this.#heap.length - 1)
    return timer
  }

  soon(task: () => void): Timer {
    const timer = { dueMs: this.#now, order: this.#order++, task }
    this.#soon.push(timer)
    return timer
  }

  wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.set(resolve, delayMs))
  }

  async run(done: () => boolean, settle: () => Promise<void>): Promise<void> {
    await settle()
    while (!done()) {
      const timer = this.#next()
      if (timer === undefined) throw new Error('nothing is left to happen, and the simulation is not over')
      const { task } = timer
      if (task === undefined) continue
      timer.task = undefined
      this.steps++
      task()
      await settle()
    }
  }

  /** What was asked for at once comes first: time does not pass while there is any of it. */
  #next(): Timer | undefined {
    const soon = this.#soon.shift()
    if (soon !== undefined) return soon
    const timer = this.#take()
    if (timer !== undefined) this.#now = Math.max(this.#now, timer.dueMs)
    return timer
  }

  #take(): Timer | undefined {
    const first = this.#heap[0]
    const last = this.#heap.pop()
    if (first === undefined || last === undefined || first === last) return first
    this.#heap[0] = last
    this.#sink(0)
    return first
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1
      if (!this.#swapIfLess(at, parent)) return
      at = parent
    }
  }

  #sink(from: number): void {
    for (let at = from; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      const child = right < this.#heap.length && this.#isLess(right, left) ? right : left
      if (child >= this.#heap.length || !this.#swapIfLess(child, at)) return
      at = child
    }
  }

  #swapIfLess(a: number, b: number): boolean {
    if (!this.#isLess(a, b)) return false
    const held = this.#heap[a] as Timer
    this.#heap[a] = this.#heap[b] as Timer
    this.#heap[b] = held
    return true
  }

  #isLess(a: number, b: number): boolean {
    const [one, other] = [this.#heap[a] as Timer, this.#heap[b] as Timer]
    return one.dueMs < other.dueMs || (one.dueMs === other.dueMs && one.order < other.order)
  }
}
