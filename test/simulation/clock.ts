/**
 * A clock that stands still until the simulation moves it, and the timers that wait for it: a heap, ordered by
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
   */
  run(done: () => boolean, settling: Settling): Promise<void>
}

/** How everything that follows from a task is let happen. */
export interface Settling {
  /** Returns when no promise is left that could go on by itself. Only outside of promises. */
  readonly drain: () => void
  /** Runs a task in a turn of the event loop of its own, outside of promises. */
  readonly turn: <T>(task: () => T) => Promise<T>
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

/** Signals and what is written to stderr wait for so many. */
const tasksPerTurn = 1000

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
    this.#rise(timer)
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

  async run(done: () => boolean, { drain, turn }: Settling): Promise<void> {
    for (let isOver = done(); !isOver;) isOver = await turn(() => this.#runSome(done, drain))
  }

  /** So many tasks in one turn of the event loop, which takes longer than most tasks do. */
  #runSome(done: () => boolean, drain: () => void): boolean {
    for (let left = tasksPerTurn; left > 0 && !done(); left--) {
      const timer = this.#next()
      if (timer === undefined) throw new Error('nothing is left to happen, and the simulation is not over')
      const { task } = timer
      if (task === undefined) continue
      timer.task = undefined
      this.steps++
      task()
      drain()
    }
    return done()
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
    if (last !== undefined && first !== last) this.#sink(last)
    return first
  }

  /** Puts a timer in its place, from the end upwards. */
  #rise(timer: Timer): void {
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const above = (at - 1) >> 2
      const parent = heap[above] as Timer
      if (!isBefore(timer, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = timer
  }

  /** Puts a timer in its place, from the beginning downwards. */
  #sink(timer: Timer): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      const below = firstOfLeast(heap, at)
      const child = heap[below]
      if (child === undefined || !isBefore(child, timer)) break
      heap[at] = child
      at = below
    }
    heap[at] = timer
  }
}

/** The index of the first to run of the four timers below one; one beyond the end when there are none. */
function firstOfLeast(heap: readonly Timer[], at: number): number {
  const from = 4 * at + 1
  const to = Math.min(from + 4, heap.length)
  let least = from
  for (let next = from + 1; next < to; next++) {
    if (isBefore(heap[next] as Timer, heap[least] as Timer)) least = next
  }
  return least
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order)
}
