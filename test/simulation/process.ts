/**
 * Puts a virtual clock and seeded randomness in the place of the process's own, for our code and for every library
 * that is imported afterwards: libp2p, gossipsub and Level then live by the same clock, which no argument of ours
 * would reach. docs/decisions/0310 has the reasons.
 *
 * For a process that does nothing else: it cannot be taken back.
 */
import assert from 'node:assert'
import { createRequire, syncBuiltinESMExports } from 'node:module'
import { promisify } from 'node:util'
import { cancel, type Settling, type Timer, type VirtualClock } from './clock.ts'
import type { Random } from './random.ts'

/** What is left of the real process. */
export interface RealProcess {
  /** CPU time of this process in seconds. */
  readonly cpuSeconds: () => number
  /** Milliseconds by the real clock. */
  readonly wallMs: () => number
  readonly settling: Settling
}

const require = createRequire(import.meta.url)

/** Call this before anything else is imported. */
export function enterSimulation(clock: VirtualClock, random: Random): RealProcess {
  const real = keepReal()
  const timers = timersOf(clock)
  replaceTimers(clock, timers)
  replaceClock(clock)
  replaceRandom(random)
  refuseNativeAsynchrony()
  syncBuiltinESMExports()
  return real
}

function keepReal(): RealProcess {
  const { now } = Date
  return {
    cpuSeconds: () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
    wallMs: () => now(),
    settling: realSettling()
  }
}

/**
 * Node runs all promises and ticks that are ready, however many follow from them, at the end of each of its callbacks,
 * and whenever it is asked to. Nothing else goes on in the process, so then everything waits for the clock.
 */
export function realSettling(): Settling {
  const { setImmediate } = globalThis
  const { _tickCallback: drain } = process as unknown as { readonly _tickCallback?: () => void }
  assert(drain !== undefined, 'Node runs its ticks elsewhere')
  const turn = <T>(task: () => T): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    setImmediate(() => {
      try {
        resolve(task())
      } catch (error) {
        reject(error)
      }
    })
    return promise
  }
  return { drain, turn }
}

type Callback = (...args: unknown[]) => void

/** A timer as Node has it. Nothing keeps this process alive but the simulation, so `unref` means nothing. */
class SimulatedTimeout {
  readonly #start: () => Timer
  #timer: Timer

  constructor(start: () => Timer) {
    this.#start = start
    this.#timer = start()
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return true
  }

  refresh(): this {
    cancel(this.#timer)
    this.#timer = this.#start()
    return this
  }

  close(): this {
    cancel(this.#timer)
    return this
  }

  [Symbol.dispose](): void {
    cancel(this.#timer)
  }
}

interface Timers {
  readonly setTimeout: (task: Callback, delayMs?: number, ...args: unknown[]) => SimulatedTimeout
  readonly setInterval: (task: Callback, delayMs?: number, ...args: unknown[]) => SimulatedTimeout
  readonly setImmediate: (task: Callback, ...args: unknown[]) => SimulatedTimeout
  readonly clear: (timer: unknown) => void
}

function timersOf(clock: VirtualClock): Timers {
  return {
    setTimeout: (task, delayMs, ...args) =>
      new SimulatedTimeout(() => clock.set(() => task(...args), atLeastOne(delayMs))),
    setInterval: (task, delayMs, ...args) => {
      const again = (): void => {
        timeout.refresh()
        task(...args)
      }
      const timeout = new SimulatedTimeout(() => clock.set(again, atLeastOne(delayMs)))
      return timeout
    },
    setImmediate: (task, ...args) => new SimulatedTimeout(() => clock.soon(() => task(...args))),
    clear: (timer) => {
      if (timer instanceof SimulatedTimeout) timer.close()
    }
  }
}

/** As Node does: what is no number, too small or too large is one millisecond. */
function atLeastOne(delayMs: number | undefined): number {
  const whole = Math.trunc(Number(delayMs))
  return whole >= 1 && whole < 2 ** 31 ? whole : 1
}

function replaceTimers(clock: VirtualClock, { setTimeout, setInterval, setImmediate, clear }: Timers): void {
  const promised = {
    setTimeout: (delayMs?: number, value?: unknown, options?: { signal?: AbortSignal }) =>
      promise((done) => setTimeout(done, delayMs), value, options?.signal),
    setImmediate: (value?: unknown, options?: { signal?: AbortSignal }) =>
      promise((done) => setImmediate(done), value, options?.signal)
  }
  const functions = {
    setTimeout: Object.assign(setTimeout, { [promisify.custom]: promised.setTimeout }),
    setInterval,
    setImmediate: Object.assign(setImmediate, { [promisify.custom]: promised.setImmediate }),
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear
  }
  replaceAll(globalThis, functions)
  replaceAll(require('node:timers') as object, functions)
  replaceAll(require('node:timers/promises') as object, promised)
  Object.defineProperty(AbortSignal, 'timeout', { value: (delayMs: number) => timeoutSignal(clock, delayMs) })
}

function promise(
  start: (done: () => void) => SimulatedTimeout,
  value: unknown,
  signal?: AbortSignal
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
    const timer = start(() => resolve(value))
    signal?.addEventListener(
      'abort',
      () => {
        timer.close()
        reject(signal.reason as Error)
      },
      { once: true }
    )
  })
}

function timeoutSignal(clock: VirtualClock, delayMs: number): AbortSignal {
  const controller = new AbortController()
  clock.set(
    () => controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')),
    delayMs
  )
  return controller.signal
}

function replaceClock(clock: VirtualClock): void {
  const RealDate = Date
  class SimulatedDate extends RealDate {
    constructor(...args: [] | [number]) {
      if (args.length === 0) super(clock.nowMs)
      else super(...args)
    }

    static override now(): number {
      return Math.floor(clock.nowMs)
    }
  }
  const startMs = clock.nowMs
  globalThis.Date = SimulatedDate as DateConstructor
  Object.defineProperty(performance, 'now', { value: () => clock.nowMs - startMs })
}

function replaceRandom(random: Random): void {
  const bytes = (size: number): Buffer => Buffer.from(random.bytes(size))
  const fill = <T extends ArrayBufferView>(view: T): T => random.overwrite(view)
  Math.random = () => random.next()
  const randomUUID = (): string => uuid(bytes(16))
  replaceAll(require('node:crypto') as object, {
    randomUUID,
    randomBytes: bytes,
    randomFillSync: fill,
    randomInt: (low: number, high?: number) => (high === undefined ? random.below(low) : low + random.below(high - low))
  })
  // `node:crypto` has its own getter for `getRandomValues`, which asks this object.
  replaceAll(globalThis.crypto, { randomUUID, getRandomValues: fill })
}

/** Node guards some of its own by getters. */
function replaceAll(module: object, functions: object): void {
  for (const [name, value] of Object.entries(functions)) {
    Object.defineProperty(module, name, { value, configurable: true, enumerable: true, writable: true })
  }
}

function uuid(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** What another thread answers comes when it likes, and a run would not be the same twice: better to fail at once. */
function refuseNativeAsynchrony(): void {
  const { subtle } = globalThis.crypto
  for (const name of ['digest', 'sign', 'verify', 'importKey', 'encrypt', 'decrypt', 'deriveBits'] as const) {
    Object.defineProperty(subtle, name, {
      value: () => {
        throw new Error(`crypto.subtle.${name} answers from another thread: the simulation could not be replayed`)
      }
    })
  }
}
