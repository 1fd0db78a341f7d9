import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import type { Channel } from '@souk/records'
import type { Unsubscribe } from '../events.ts'
import type { RecordGate } from '../gate.ts'
import { TokenBucket } from '../guard/bucket.ts'
import type { Guard } from '../guard/guard.ts'
import type { Roster } from '../roster.ts'
import { type CatchUpReport, runSession, type SessionScope } from './client.ts'
import { isOffence, SyncError } from './error.ts'
import { encodeQuestion, type Scope } from './frames.ts'
import { createLane, type Turn } from './lane.ts'
import {
  busyRetries,
  busyRetryMs,
  frameTimeoutMs,
  hintBudget,
  hintDelayMs,
  hintPeersMax,
  newsAfterMs,
  carriersPerRound,
  peersPerRound,
  peersPerRoundMax,
  roundEveryMs,
  syncProtocol
} from './limits.ts'
import { createLink, endStream } from './link.ts'
import { createSyncServer } from './server.ts'
import type { RecordReader, SyncSource } from './source.ts'

/** Fetches what was published while this node was not listening, and serves it to others. */
export interface CatchUp extends AsyncDisposable {
  /**
   * Asks one peer for everything that we lack.
   *
   * @throws {@link SyncError}
   */
  from(peer: PeerId, options?: { signal?: AbortSignal }): Promise<CatchUpReport>
  /** Tells peers that there is something to fetch, now or as soon as there is a peer. */
  announce(): void
  /** Asks a few peers, in a moment: there are new channels to fill, or we take more now than we did. */
  askSoon(): void
  /** Peers connected that speak catch-up. */
  peers(): PeerId[]
  onReport(listener: (report: CatchUpReport) => void): Unsubscribe
}

export interface CatchUpComponents {
  readonly libp2p: Libp2p
  readonly roster: Pick<Roster, 'follow'>
  readonly guard: Guard
  readonly gate: RecordGate
  readonly source: SyncSource
  readonly records: RecordReader
}

export interface CatchUpInit {
  /** Sessions served at once. */
  readonly sessionsMax: number
  readonly clock: () => number
  /** Milliseconds that this thread has worked so far. */
  readonly cpuMs: () => number
  /** What to fetch, by market. Asked each time, since subscriptions come and go. */
  readonly scopes: () => ReadonlyMap<string, readonly Channel[]>
  /** Who says that they carry a channel, connected or not. */
  readonly carriersOf: (market: string, channel: Channel) => readonly PeerId[]
}

/** Starts serving; asks each peer that connects, and some every hour. */
export async function createCatchUp(components: CatchUpComponents, init: CatchUpInit): Promise<CatchUp> {
  const catchUp = new DefaultCatchUp(components, init)
  await catchUp.start()
  return catchUp
}

class DefaultCatchUp implements CatchUp {
  readonly #components: CatchUpComponents
  readonly #init: CatchUpInit
  readonly #peers = new Map<string, PeerId>()
  /** Peers waiting for their turn, and how they are to be asked. */
  readonly #queue = new Map<string, Errand>()
  /** When peers that have just connected are asked once more. */
  readonly #newsOf = new Map<string, NodeJS.Timeout>()
  readonly #listeners = new Set<(report: CatchUpReport) => void>()
  readonly #stopping = new AbortController()
  readonly #lane = createLane()
  readonly #hints: TokenBucket
  readonly #refused = new Set<string>()
  #unfollow: Unsubscribe | undefined
  #round: NodeJS.Timeout | undefined
  #asking: NodeJS.Timeout | undefined
  #hint: NodeJS.Timeout | undefined
  #hintFrom: PeerId | undefined
  /** Something was published that nobody has heard of yet. */
  #unheard = false
  /** A first session is behind us: what comes now is news to others too. */
  #caughtUp = false

  constructor(components: CatchUpComponents, init: CatchUpInit) {
    this.#components = components
    this.#init = init
    this.#hints = new TokenBucket(hintBudget, init.clock())
  }

  async start(): Promise<void> {
    const { libp2p } = this.#components
    const serve = createSyncServer(this.#components, {
      sessionsMax: this.#init.sessionsMax,
      clock: this.#init.clock,
      cpuMs: this.#init.cpuMs,
      onHint: (peer) => this.#enqueue(peer, { depth: 'news', tell: true })
    })
    await libp2p.handle(syncProtocol, serve, { maxInboundStreams: 4, maxOutboundStreams: 4 })
    this.#unfollow = this.#components.roster.follow([syncProtocol], {
      onHere: (peer) => this.#onPeer(peer),
      onGone: (peer) => void this.#peers.delete(peer.toString())
    })
    this.#round = setInterval(() => this.#onRound(), roundEveryMs * (0.9 + Math.random() * 0.2)).unref()
  }

  peers(): PeerId[] {
    return [...this.#peers.values()]
  }

  onReport(listener: (report: CatchUpReport) => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  announce(): void {
    this.#unheard = true
    this.#hintSoon(undefined)
  }

  askSoon(): void {
    this.#asking ??= setTimeout(() => {
      this.#asking = undefined
      this.#askSome()
    }, hintDelayMs).unref()
  }

  async from(peer: PeerId, options: { signal?: AbortSignal } = {}): Promise<CatchUpReport> {
    return this.#lane.run((turn) => this.#run(peer, 'all', turn, options.signal))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#round)
    clearTimeout(this.#asking)
    clearTimeout(this.#hint)
    for (const timer of this.#newsOf.values()) clearTimeout(timer)
    this.#queue.clear()
    this.#stopping.abort(new SyncError('broken', 'catch-up is being stopped'))
    this.#unfollow?.()
    await this.#components.libp2p.unhandle(syncProtocol)
    await this.#lane.idle()
  }

  #onPeer(peer: PeerId): void {
    this.#peers.set(peer.toString(), peer)
    this.#enqueue(peer, { depth: 'all', tell: this.#caughtUp })
    // A peer is told of again when it has found out its addresses.
    clearTimeout(this.#newsOf.get(peer.toString()))
    this.#newsOf.set(peer.toString(), setTimeout(() => this.#askForNews(peer), newsAfterMs).unref())
    if (this.#unheard) this.#hintSoon(undefined)
  }

  #askForNews(peer: PeerId): void {
    this.#newsOf.delete(peer.toString())
    const isHere = this.#peers.has(peer.toString()) && !this.#stopping.signal.aborted
    if (isHere) this.#enqueue(peer, { depth: 'news', tell: this.#caughtUp })
  }

  /** What was refused for want of room or work may be taken an hour later. */
  #onRound(): void {
    this.#refused.clear()
    this.#askSome()
  }

  #askSome(): void {
    for (const peer of this.#peersOfRound()) this.#enqueue(peer, { depth: 'all', tell: false })
  }

  /** Some at random, and enough carriers of each channel: who carries others has nothing for us, and one may lie. */
  #peersOfRound(): PeerId[] {
    const chosen = new Map(shuffled(this.peers()).slice(0, peersPerRound).map(named))
    for (const [market, channels] of this.#init.scopes()) {
      for (const channel of channels) {
        const carriers = shuffled(this.#init.carriersOf(market, channel)).map(named)
        const missing = carriersPerRound - carriers.filter(([name]) => chosen.has(name)).length
        const others = carriers.filter(([name]) => this.#peers.has(name) && !chosen.has(name))
        for (const [name, peer] of others.slice(0, Math.max(0, missing))) chosen.set(name, peer)
      }
    }
    return [...chosen.values()].slice(0, peersPerRoundMax)
  }

  /** One peer at a time: the first brings what is missing, the next ones only what the first kept back. Nobody waits for a slow one. */
  #enqueue(peer: PeerId, errand: Omit<Errand, 'peer' | 'attempt'>, attempt = 0): void {
    const name = peer.toString()
    const waiting = this.#queue.get(name)
    this.#queue.set(name, {
      peer,
      attempt,
      depth: errand.depth === 'all' || waiting?.depth === 'all' ? 'all' : 'news',
      tell: errand.tell || waiting?.tell === true
    })
    if (waiting === undefined) void this.#lane.run((turn) => this.#runErrand(turn))
  }

  /**
   * Takes the errand to whoever carries the most of what we carry: a relay after a partition has all that we lack, and
   * the dozens that wait with it then answer that they have nothing.
   */
  #nextErrand(): Errand | undefined {
    const carried = this.#queue.size > 1 ? this.#carriedByWaiting() : undefined
    let [next] = this.#queue
    for (const waiting of this.#queue) {
      if ((carried?.get(waiting[0]) ?? 0) > (carried?.get(next?.[0] ?? '') ?? 0)) next = waiting
    }
    if (next !== undefined) this.#queue.delete(next[0])
    return next?.[1]
  }

  /** How many of our channels each of those who wait says that it carries. */
  #carriedByWaiting(): Map<string, number> {
    const counts = new Map<string, number>()
    for (const [market, channels] of this.#init.scopes()) {
      for (const peer of channels.flatMap((channel) => this.#init.carriersOf(market, channel))) {
        const name = peer.toString()
        if (this.#queue.has(name)) counts.set(name, (counts.get(name) ?? 0) + 1)
      }
    }
    return counts
  }

  async #runErrand(turn: Turn): Promise<void> {
    const errand = this.#nextErrand()
    if (errand === undefined || !this.#peers.has(errand.peer.toString())) return
    try {
      const { stored } = await this.#run(errand.peer, errand.depth, turn)
      if (stored > 0 && errand.tell) this.#hintSoon(errand.peer)
      this.#caughtUp = true
    } catch (error) {
      if (isBusy(error) && errand.attempt < busyRetries) this.#retryLater(errand)
    }
  }

  #retryLater(errand: Errand): void {
    const delayMs = busyRetryMs * (0.5 + Math.random())
    setTimeout(() => {
      if (!this.#stopping.signal.aborted) this.#enqueue(errand.peer, errand, errand.attempt + 1)
    }, delayMs).unref()
  }

  async #run(
    peer: PeerId,
    depth: SessionScope['depth'],
    turn: Turn,
    asked: AbortSignal = turn.signal
  ): Promise<CatchUpReport> {
    const { guard } = this.#components
    const signal = AbortSignal.any([asked, turn.signal, this.#stopping.signal])
    try {
      const stream = await this.#open(peer, signal)
      stream.addEventListener('message', ({ data }) => turn.received(data.byteLength))
      const report = await runSession(
        { ...this.#components, refused: this.#refused },
        stream,
        { peer, scopes: this.#scopes(), depth },
        { signal }
      )
      for (const listener of this.#listeners) listener(report)
      return report
    } catch (error) {
      if (error instanceof SyncError && isOffence(error)) guard.punish(peer, `${syncProtocol}:${error.code}`)
      throw error
    }
  }

  async #open(peer: PeerId, signal: AbortSignal): Promise<Stream> {
    try {
      const timeout = AbortSignal.timeout(frameTimeoutMs)
      return await this.#components.libp2p.dialProtocol(peer, syncProtocol, {
        signal: AbortSignal.any([signal, timeout])
      })
    } catch (cause) {
      throw new SyncError('broken', `no stream for catch-up: ${(cause as Error).message}`, { cause })
    }
  }

  #scopes(): Scope[] {
    return Array.from(this.#init.scopes(), ([market, channels]) => ({ market, channels }))
  }

  /** Gathers what happens within a moment into one hint, to everybody but the one that it came from. */
  #hintSoon(from: PeerId | undefined): void {
    if (this.#hint !== undefined) {
      if (from?.toString() !== this.#hintFrom?.toString()) this.#hintFrom = undefined
      return
    }
    this.#hintFrom = from
    const { clock } = this.#init
    // A hint too many is not heard, and what was published last would wait for an hour: so it goes out later.
    const delayMs = hintDelayMs + this.#hints.waitMs(1, clock())
    this.#hint = setTimeout(() => {
      this.#hint = undefined
      this.#hints.take(1, clock())
      void this.#hintPeers()
    }, delayMs).unref()
  }

  async #hintPeers(): Promise<void> {
    const others = this.peers().filter((peer) => this.#hintFrom?.equals(peer) !== true)
    const told = await Promise.allSettled(
      shuffled(others)
        .slice(0, hintPeersMax)
        .map((peer) => this.#sendHint(peer))
    )
    if (told.some(({ status }) => status === 'fulfilled')) this.#unheard = false
  }

  async #sendHint(peer: PeerId): Promise<void> {
    const { signal } = this.#stopping
    const stream = await this.#open(peer, signal)
    try {
      await createLink(stream, signal).write(encodeQuestion({ kind: 'hint' }))
      await endStream(stream)
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
  }
}

interface Errand {
  readonly peer: PeerId
  readonly depth: SessionScope['depth']
  /** Tell other peers when there was something new. */
  readonly tell: boolean
  readonly attempt: number
}

function isBusy(error: unknown): boolean {
  return (
    error instanceof SyncError && (error.code === 'busy' || error.code === 'over-budget' || error.code === 'broken')
  )
}

function named(peer: PeerId): [name: string, peer: PeerId] {
  return [peer.toString(), peer]
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((value) => ({ value, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value)
}
