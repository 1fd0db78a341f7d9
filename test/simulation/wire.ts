/**
 * The network between the nodes: addresses, latency, loss, partitions, and a count of every byte. It carries what TCP
 * would: in order, whole, sooner or later, or not at all once a connection is broken.
 */
import { cancel, type VirtualClock } from './clock.ts'
import type { Random } from './random.ts'

/** How good the lines are. */
export interface WireInit {
  readonly clock: VirtualClock
  readonly random: Random
  /** One way, on average over all pairs; a pair keeps its own, from half to one and a half of it. */
  readonly latencyMs: number
  /** How often a packet is lost: TCP sends it again, so that it and all after it are late. 0 to 1. */
  readonly loss: number
  /** Told of everything that arrives. */
  readonly onArrival: (from: Place, to: Place, bytes: number) => void
}

/** Bytes that have passed a place. */
export interface Traffic {
  sent: number
  received: number
}

/** Where a node is plugged in. */
export interface Place {
  /** An IPv4 address. */
  readonly host: string
  readonly traffic: Traffic
  /** Nothing passes between places of different sides. */
  side: number
  isUp: boolean
}

/** @typeParam Party - What two nodes that are connected know of each other. */
export interface Wire<Party> {
  plug(host: string): Place
  /** Lets others in; one listener a place. @returns What ends it. */
  listen(place: Place, accept: (line: Line, caller: Party) => Party): () => void
  /**
   * Opens a connection as TCP does: no answer from where nothing is, a refusal from where nobody listens.
   *
   * @param options.roundTrips - What is spent on handshakes before the connection is of use.
   */
  dial(from: Place, host: string, options: DialOptions<Party>): Promise<{ line: Line; party: Party }>
  /** Divides the network. */
  split(sideOf: (place: Place) => number): void
  /** Joins all sides again. What TCP still holds arrives when it tries again. */
  heal(): void
  /** Cuts a place off from one moment to the next. @param options.reset - Its machine lives on and says so to others. */
  unplug(place: Place, options: { reset: boolean }): void
  /** Connections open, or believed to be by one end. */
  readonly lines: number
}

export interface DialOptions<Party> {
  readonly caller: Party
  readonly roundTrips: number
  readonly signal: AbortSignal
}

export type Side = 'dialer' | 'listener'

/** One connection. */
export interface Line {
  readonly places: Readonly<Record<Side, Place>>
  /** Sends towards the other side; `arrive` is called there and then, in the order of sending, or never. */
  send(from: Side, bytes: number, arrive: () => void): void
  /** Called once when this end finds the connection broken. */
  onBroken(side: Side, handler: () => void): void
  /** This end has done with it; what it sent before still arrives. */
  end(side: Side): void
}

/** TCP's first wait before it sends again what was not acknowledged, and the longest. */
const resendFirstMs = 200
const resendMaxMs = 60_000

/** One in so many lost packets belongs to a connection that a router on the way has forgotten: it is reset. */
const resetsPerLoss = 0.01

/** What the network has for a node that it cannot reach: libp2p pings every 30 s and waits 10 s for the answer. */
const noticedMs = { least: 10_000, most: 40_000 } as const

/** What IP, TCP and Noise add to each piece: 20 + 20 + 18 bytes. */
const overheadBytes = 58

export function createWire<Party>(init: WireInit): Wire<Party> {
  return new SimulatedWire(init)
}

interface Listener<Party> {
  readonly accept: (line: Line, caller: Party) => Party
}

class SimulatedWire<Party> implements Wire<Party> {
  readonly #init: WireInit
  readonly #places = new Map<string, Place>()
  readonly #listeners = new Map<string, Listener<Party>>()
  readonly #lines = new Set<SimulatedLine>()

  constructor(init: WireInit) {
    this.#init = init
  }

  get lines(): number {
    return this.#lines.size
  }

  plug(host: string): Place {
    const place = this.#places.get(host) ?? { host, traffic: { sent: 0, received: 0 }, side: 0, isUp: true }
    place.isUp = true
    this.#places.set(host, place)
    return place
  }

  listen({ host }: Place, accept: Listener<Party>['accept']): () => void {
    const listener = { accept }
    this.#listeners.set(host, listener)
    return () => {
      if (this.#listeners.get(host) === listener) this.#listeners.delete(host)
    }
  }

  async dial(from: Place, host: string, options: DialOptions<Party>): Promise<{ line: Line; party: Party }> {
    const { caller, roundTrips, signal } = options
    signal.throwIfAborted()
    const to = await this.#reach(from, host, signal)
    const latencyMs = this.#latencyMs(from, to)
    await this.#pause(roundTrips * 2 * latencyMs, signal)
    const listener = this.#listeners.get(host)
    if (!to.isUp || !from.isUp || to.side !== from.side) return never(signal)
    if (listener === undefined) throw new Error(`${host} refuses connections`)
    const line = new SimulatedLine(this.#init, {
      latencyMs,
      places: { dialer: from, listener: to },
      onEnded: () => void this.#lines.delete(line)
    })
    this.#lines.add(line)
    return { line, party: listener.accept(line, caller) }
  }

  split(sideOf: (place: Place) => number): void {
    for (const place of this.#places.values()) place.side = sideOf(place)
    for (const line of this.#lines) line.watch()
  }

  heal(): void {
    for (const place of this.#places.values()) place.side = 0
    for (const line of this.#lines) line.resume()
  }

  unplug(place: Place, { reset }: { reset: boolean }): void {
    place.isUp = false
    for (const line of this.#lines) line.unplug(place, { reset })
  }

  /** Asks again after 1, 3, 7 … seconds, as TCP does, until somebody answers or the caller has waited long enough. */
  async #reach(from: Place, host: string, signal: AbortSignal): Promise<Place> {
    for (let waitMs = 1000; ; waitMs *= 2) {
      const to = this.#places.get(host)
      if (to?.isUp === true && from.isUp && to.side === from.side) return to
      await this.#pause(waitMs, signal)
    }
  }

  /**
   * Waits, and no longer than the caller does. To look afterwards whether the signal has fired is not enough: one made by
   * `AbortSignal.any` that nobody listens to forgets it when its source is collected, so that no two runs were the same.
   */
  #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = this.#init.clock.set(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, delayMs)
    const onAbort = (): void => {
      cancel(timer)
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
    return promise
  }

  /** A pair's latency is its own and does not change. */
  #latencyMs(a: Place, b: Place): number {
    const [low, high] = [a.host, b.host].toSorted()
    return this.#init.latencyMs * (0.5 + this.#init.random.fork(`${low} ${high}`).next())
  }
}

function never(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

interface LineInit {
  readonly latencyMs: number
  readonly places: Readonly<Record<Side, Place>>
  readonly onEnded: () => void
}

class SimulatedLine implements Line {
  readonly places: Readonly<Record<Side, Place>>
  readonly #wire: WireInit
  readonly #init: LineInit
  /** What to call when an end finds the connection broken; gone when the end has done with it. */
  readonly #ends = new Map<Side, (() => void) | undefined>([
    ['dialer', undefined],
    ['listener', undefined]
  ])
  /** When the last piece towards each end is due: none overtakes another. */
  readonly #lastDueMs: Record<Side, number> = { dialer: 0, listener: 0 }
  readonly #held: (readonly [Side, () => void])[] = []
  /** When the first of what is held back was to arrive. */
  #heldFromMs = 0

  constructor(wire: WireInit, init: LineInit) {
    this.#wire = wire
    this.#init = init
    this.places = init.places
  }

  onBroken(side: Side, handler: () => void): void {
    this.#ends.set(side, handler)
  }

  send(from: Side, payloadBytes: number, arrive: () => void): void {
    const here = this.places[from]
    if (!here.isUp) return
    const to = otherSide(from)
    const bytes = payloadBytes + overheadBytes
    here.traffic.sent += bytes
    this.#deliver(to, this.#init.latencyMs + this.#lateMs(), () => {
      const there = this.places[to]
      there.traffic.received += bytes
      this.#wire.onArrival(here, there, bytes)
      arrive()
    })
  }

  end(side: Side): void {
    this.#ends.delete(side)
    const other = otherSide(side)
    if (this.#ends.has(other) && this.places[side].isUp) {
      this.#deliver(other, this.#init.latencyMs, () => this.#break(other))
    }
    if (this.#ends.size === 0) this.#init.onEnded()
  }

  /** What was held back goes on when TCP tries again: each wait is twice the last, so no later than it has waited. */
  resume(): void {
    const held = this.#held.splice(0)
    if (held.length === 0) return
    const waitedMs = this.#wire.clock.nowMs - this.#heldFromMs
    const delayMs = this.#init.latencyMs + this.#wire.random.below(Math.min(resendMaxMs, waitedMs))
    for (const [to, task] of held) this.#deliver(to, delayMs, task)
  }

  /** Ends it at a place that is no more: there at once, at the other when its machine says so, or when it is missed. */
  unplug(place: Place, { reset }: { reset: boolean }): void {
    if (this.places.dialer !== place && this.places.listener !== place) return
    const side: Side = this.places.dialer === place ? 'dialer' : 'listener'
    this.#break(side)
    const other = otherSide(side)
    if (!reset) this.watch()
    else if (this.#ends.has(other)) this.#deliver(other, this.#init.latencyMs, () => this.#break(other))
  }

  /** An end that does not hear from the other finds out after a while, unless it is back by then. */
  watch(): void {
    if (this.#isWhole()) return
    for (const side of this.#ends.keys()) {
      const delayMs = noticedMs.least + this.#wire.random.below(noticedMs.most - noticedMs.least)
      this.#wire.clock.set(() => {
        if (!this.#isWhole()) this.#break(side)
      }, delayMs)
    }
  }

  #isWhole(): boolean {
    const { dialer, listener } = this.places
    return this.#ends.size === 2 && dialer.isUp && listener.isUp && dialer.side === listener.side
  }

  #deliver(to: Side, delayMs: number, task: () => void): void {
    const { clock } = this.#wire
    const dueMs = Math.max(this.#lastDueMs[to], clock.nowMs + delayMs)
    this.#lastDueMs[to] = dueMs
    clock.set(() => {
      const { dialer, listener } = this.places
      if (dialer.side !== listener.side) this.#hold(to, task)
      else if (this.#ends.has(to) && this.places[to].isUp) task()
    }, dueMs - clock.nowMs)
  }

  #hold(to: Side, task: () => void): void {
    if (this.#held.length === 0) this.#heldFromMs = this.#wire.clock.nowMs
    this.#held.push([to, task])
  }

  #break(side: Side): void {
    const handler = this.#ends.get(side)
    if (!this.#ends.delete(side)) return
    handler?.()
    if (this.#ends.size === 0) this.#init.onEnded()
  }

  #lateMs(): number {
    const { loss, random, clock } = this.#wire
    let lateMs = 0
    for (let waitMs = resendFirstMs; random.chance(loss); waitMs *= 2) {
      if (random.chance(resetsPerLoss)) clock.set(() => this.#breakBoth(), 0)
      lateMs += Math.min(waitMs, resendMaxMs)
    }
    return lateMs
  }

  #breakBoth(): void {
    this.#break('dialer')
    this.#break('listener')
  }
}

function otherSide(side: Side): Side {
  return side === 'dialer' ? 'listener' : 'dialer'
}
