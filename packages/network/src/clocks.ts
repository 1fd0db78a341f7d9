/**
 * What peers' clocks say, so that a user learns of a wrong one, and an honest peer does not pay for it. Nothing is ever
 * judged by a peer's clock: a record is valid by this node's own, whoever lies about theirs.
 *
 * `/souk/time/1`: the question is one byte, the answer eight, milliseconds since 1970, big-endian.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { Emitter, type Unsubscribe } from './events.ts'
import { askExchange, type ExchangeLimits, serveExchange } from './exchange.ts'
import type { Verdict } from './gate.ts'
import type { Guard } from './guard/guard.ts'
import type { Roster } from './roster.ts'
import { clockAskedAgainMs, clockAsksMax, clockJumpMs, clockLookMs, clockOffMs, clocksAskedEveryMs } from './limits.ts'

/** True for an offence that a wrong clock makes of something right, here or there. */
export function isUntimely(code: string): boolean {
  return /(^|:)(expired|not-yet-valid)$/.test(code)
}

/** How this node's clock stands to those of the peers that are connected. */
export interface ClockState {
  /** `off`: by more than two minutes from the middle one of all peers' clocks. */
  readonly state: 'unknown' | 'ok' | 'off'
  /** Above zero when this clock is ahead. */
  readonly aheadMs?: number
  /** How many peers said what time it is. */
  readonly peers: number
}

export interface PeerClocks extends AsyncDisposable {
  readonly now: ClockState
  /**
   * What becomes of something that is out of its time by this node's clock: rejected at its sender's cost when their
   * clock agrees with this one, ignored when it does not. While a peer has not answered yet it is ignored, and the
   * offence counted when the answer comes.
   */
  judge(peer: PeerId, code: string): Verdict
  onChange(listener: (state: ClockState) => void): Unsubscribe
}

export interface PeerClocksComponents {
  readonly libp2p: Libp2p
  readonly roster: Pick<Roster, 'follow'>
  readonly guard: Guard
}

const protocol = '/souk/time/1'

const limits: ExchangeLimits = {
  questionBytesMax: 1,
  answerBytesMax: 8,
  timeoutMs: 10_000,
  streamsPerConnectionMax: 2,
  concurrencyMax: 64
}

/** Starts telling the time, and asks each peer that connects. */
export async function createPeerClocks(
  components: PeerClocksComponents,
  init: { now: () => number }
): Promise<PeerClocks> {
  const clocks = new DefaultPeerClocks(components, init.now)
  await clocks.start()
  return clocks
}

/** What is known of one peer's clock. */
interface PeerClock {
  readonly peer: PeerId
  /** How far ours is ahead of theirs; undefined until they have answered. */
  aheadMs: number | undefined
  /** How often they were asked. */
  asks: number
  /** They are being asked, and have not answered yet. */
  isAsked: boolean
  /** Offences that wait for the answer. */
  pending: string[]
}

class DefaultPeerClocks implements PeerClocks {
  readonly #components: PeerClocksComponents
  readonly #now: () => number
  readonly #clocks = new Map<string, PeerClock>()
  readonly #events = new Emitter<{ change: ClockState }>()
  readonly #stopping = new AbortController()
  #state: ClockState = { state: 'unknown', peers: 0 }
  #unserve: (() => Promise<void>) | undefined
  #unfollow: Unsubscribe | undefined
  #timer: NodeJS.Timeout | undefined
  #lookedAt: { readonly wallMs: number; readonly steadyMs: number }
  #askedAtMs = 0

  constructor(components: PeerClocksComponents, now: () => number) {
    this.#components = components
    this.#now = now
    this.#lookedAt = { wallMs: now(), steadyMs: performance.now() }
  }

  async start(): Promise<void> {
    const { libp2p, roster, guard } = this.#components
    const answer = (): Promise<Uint8Array> => Promise.resolve(encodeTime(this.#now()))
    this.#unserve = await serveExchange({ libp2p, guard }, { protocol, limits, answer })
    this.#unfollow = roster.follow([protocol], {
      onHere: (peer) => void this.#ask(this.#clockOf(peer)),
      onGone: (peer) => this.#forget(peer)
    })
    const { signal } = this.#stopping
    libp2p.addEventListener('peer:disconnect', ({ detail: peer }) => this.#forget(peer), { signal })
    this.#timer = setInterval(() => this.#look(), clockLookMs).unref()
  }

  get now(): ClockState {
    return this.#state
  }

  onChange(listener: (state: ClockState) => void): Unsubscribe {
    return this.#events.on('change', listener)
  }

  judge(peer: PeerId, code: string): Verdict {
    if (this.#components.libp2p.getConnections(peer).length === 0) return 'reject'
    const clock = this.#clockOf(peer)
    // Gossip may come of one who has not said yet who they are.
    if (clock.asks === 0) void this.#ask(clock)
    if (clock.aheadMs !== undefined) return Math.abs(clock.aheadMs) > clockOffMs ? 'ignore' : 'reject'
    if (!clock.isAsked || clock.pending.length >= pendingMax) return 'reject'
    clock.pending.push(code)
    return 'ignore'
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#stopping.abort()
    this.#unfollow?.()
    await this.#unserve?.()
  }

  #clockOf(peer: PeerId): PeerClock {
    const known = this.#clocks.get(peer.toString())
    if (known !== undefined) return known
    const clock: PeerClock = { peer, aheadMs: undefined, asks: 0, isAsked: false, pending: [] }
    this.#clocks.set(peer.toString(), clock)
    return clock
  }

  #forget(peer: PeerId): void {
    if (!this.#clocks.delete(peer.toString())) return
    // The last one's word stands until somebody else says something: alone, a clock is as wrong as it was.
    if (this.#clocks.size > 0) this.#settle()
  }

  async #ask(clock: PeerClock): Promise<void> {
    if (clock.isAsked) return
    clock.isAsked = true
    clock.asks++
    // Who does not tell has the time that we have.
    for (let asks = 1; !(await this.#askOnce(clock)) && asks < clockAsksMax; asks++) {
      await sleep(clockAskedAgainMs, undefined, { ref: false })
      if (this.#stopping.signal.aborted || this.#clocks.get(clock.peer.toString()) !== clock) break
    }
    clock.isAsked = false
    this.#charge(clock)
  }

  /** False when there was no answer, though there may be one another time. */
  async #askOnce(clock: PeerClock): Promise<boolean> {
    const { libp2p } = this.#components
    const { signal } = this.#stopping
    const askedAtMs = performance.now()
    try {
      const bytes = await askExchange(libp2p, clock.peer, new Uint8Array(1), { protocol, limits }, { signal })
      const theirMs = decodeTime(bytes)
      if (theirMs === undefined) return true
      // Said half way between question and answer.
      clock.aheadMs = this.#now() - (performance.now() - askedAtMs) / 2 - theirMs
      this.#settle()
      return true
    } catch (error) {
      return tellsNoTime(error as Error)
    }
  }

  #charge({ peer, pending }: PeerClock): void {
    for (const code of pending.splice(0)) {
      if (this.judge(peer, code) === 'reject') this.#components.guard.punish(peer, code)
    }
  }

  /** Asks everybody now and then, and at once when this clock has been set: it went on other than the steady one. */
  #look(): void {
    const looked = { wallMs: this.#now(), steadyMs: performance.now() }
    const wall = looked.wallMs - this.#lookedAt.wallMs
    const steady = looked.steadyMs - this.#lookedAt.steadyMs
    this.#lookedAt = looked
    if (Math.abs(wall - steady) <= clockJumpMs && looked.steadyMs - this.#askedAtMs < clocksAskedEveryMs) return
    this.#askedAtMs = looked.steadyMs
    for (const clock of this.#clocks.values()) void this.#ask(clock)
  }

  #settle(): void {
    const known = [...this.#clocks.values()].flatMap(({ aheadMs }) => (aheadMs === undefined ? [] : [aheadMs]))
    const aheadMs = lowerMedian(known)
    if (aheadMs === undefined) return
    const before = this.#state.state
    const state = Math.abs(aheadMs) > clockOffMs ? 'off' : 'ok'
    this.#state = { state, aheadMs: Math.round(aheadMs), peers: known.length }
    if (state !== before) this.#events.emit('change', this.#state)
  }
}

function tellsNoTime({ cause }: Error): boolean {
  return (cause as Error | undefined)?.name === 'UnsupportedProtocolError'
}

/** Offences that one peer's first answer is waited with: more would buy a flood a second of peace. */
const pendingMax = 20

/** The lower of the two in the middle, by distance: one liar of two does not make this clock wrong. */
function lowerMedian(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  if (low === undefined || high === undefined) return undefined
  return Math.abs(low) < Math.abs(high) ? low : high
}

function encodeTime(timeMs: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(Math.floor(timeMs)))
  return bytes
}

/** Undefined for what is no time. */
function decodeTime(bytes: Uint8Array): number | undefined {
  if (bytes.length !== 8) return undefined
  const timeMs = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0)
  return timeMs <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(timeMs) : undefined
}
