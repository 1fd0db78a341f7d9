import type { MultiaddrConnection, PeerId, StreamMuxer } from '@libp2p/interface'
import { type Budget, TokenBucket } from './bucket.ts'
import { pingBytes, type TrafficBudgets } from './limits.ts'
import type { Standings } from './standings.ts'

export interface TrafficInit {
  readonly budgets: TrafficBudgets
  readonly now: () => number
  readonly peers: Standings
  /** What a multiplexer brought was too much; `code` is the offence. */
  readonly onTooMany: (muxer: StreamMuxer, code: string) => void
}

/** What comes in below anything that a protocol asks for, counted by connection, multiplexer and peer. */
export class Traffic {
  readonly #init: TrafficInit
  readonly #budgets: TrafficBudgets
  readonly #now: () => number
  readonly #peers: Standings
  readonly #connections = new WeakMap<MultiaddrConnection, TokenBucket>()
  readonly #muxers = new WeakMap<StreamMuxer, MuxerMeters>()
  /** By protocol: of those that we speak. */
  readonly #rows = new Map<string, StreamRow>()

  constructor(init: TrafficInit) {
    this.#init = init
    this.#budgets = init.budgets
    this.#now = init.now
    this.#peers = init.peers
  }

  /** Raw bytes of a connection, whose peer is not known before the handshake; false when they are too many. */
  takeBytes(connection: MultiaddrConnection, peer: PeerId | undefined, bytes: number): boolean {
    const nowMs = this.#now()
    let bucket = this.#connections.get(connection)
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#budgets.connectionBytes, nowMs)
      this.#connections.set(connection, bucket)
    }
    const isFew = bucket.take(bytes, nowMs)
    if (peer === undefined) return isFew
    return this.#peers.of(peer.toString()).allow(unasked, this.#budgets.unaskedBytes, bytes, nowMs) && isFew
  }

  /** What we asked for came over the connection too, and was counted there. */
  giveBack(peer: PeerId, bytes: number): void {
    this.#peers.of(peer.toString()).giveBack(unasked, this.#budgets.unaskedBytes, bytes, this.#now())
  }

  /** A frame on a stream that the peer opened; the code of the offence that it is, if it is one. */
  takeFrame(peer: PeerId, protocol: string, bytes: number): 'too-many-bytes' | 'too-many-frames' | undefined {
    const { name, budget, isPing } = this.#rowOf(protocol)
    const { streamFrames, pingFrames } = this.#budgets
    const standing = this.#peers.of(peer.toString())
    const nowMs = this.#now()
    if (!standing.allow(name, budget, bytes, nowMs)) return 'too-many-bytes'
    if (!standing.allow('frames', streamFrames, 1, nowMs)) return 'too-many-frames'
    if (isPing && !standing.allow('pings', pingFrames, Math.ceil(bytes / pingBytes), nowMs)) return 'too-many-frames'
    return undefined
  }

  /** Counts what happens on one multiplexer. */
  metersOf(muxer: StreamMuxer): MuxerMeters {
    let meters = this.#muxers.get(muxer)
    if (meters === undefined) {
      meters = createMuxerMeters(this.#init, (code) => this.#init.onTooMany(muxer, code))
      this.#muxers.set(muxer, meters)
    }
    return meters
  }

  /** Which budgets a protocol's frames are taken from. */
  #rowOf(protocol: string): StreamRow {
    let row = this.#rows.get(protocol)
    if (row === undefined) {
      const bytes = bytesOf.find(([prefix]) => protocol.startsWith(prefix))?.[1] ?? 'otherBytes'
      row = { name: bytes, budget: this.#budgets[bytes], isPing: protocol.startsWith('/ipfs/ping/') }
      this.#rows.set(protocol, row)
    }
    return row
  }
}

/** The row of {@link TrafficBudgets.unaskedBytes} in a peer's standing. */
const unasked = 'bytes unasked'

interface StreamRow {
  readonly name: string
  readonly budget: Budget
  readonly isPing: boolean
}

/** Of which bytes those of a protocol are, by its prefix; of `otherBytes` where none fits. */
const bytesOf: readonly (readonly [prefix: string, name: keyof TrafficBudgets])[] = [
  ['/meshsub/', 'gossipBytes'],
  ['/souk/kad/', 'dhtBytes'],
  ['/souk/sync/', 'catchUpBytes'],
  ['/libp2p/circuit/', 'circuitBytes']
]

/** What happens on one multiplexer. */
export interface MuxerMeters {
  small(weight: number): void
  ping(): void
  open(): void
  unused(): void
  stray(bytes: number): void
}

function createMuxerMeters({ budgets, now }: TrafficInit, onTooMany: (code: string) => void): MuxerMeters {
  const meter = (budget: Budget, code: string): ((cost?: number) => void) => {
    const bucket = new TokenBucket(budget, now())
    return (cost = 1) => {
      if (!bucket.take(cost, now())) onTooMany(code)
    }
  }
  return {
    small: meter(budgets.smallFrames, 'too-many-frames'),
    ping: meter(budgets.muxerPings, 'too-many-frames'),
    open: meter(budgets.streamOpenings, 'too-many-streams'),
    unused: meter(budgets.unusedStreams, 'too-many-streams'),
    stray: meter(budgets.strayBytes, 'too-many-bytes')
  }
}
