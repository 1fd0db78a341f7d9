import type {
  Connection,
  ConnectionGater,
  Libp2p,
  MessageStream,
  Metrics,
  MultiaddrConnection,
  PeerId,
  Stream,
  StreamMuxer,
  StreamMuxerFactory
} from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { addressGroups } from './address.ts'
import type { Budget } from './bucket.ts'
import { leastMissed } from './crowd.ts'
import { Doorway } from './doorway.ts'
import { Entrance } from './entrance.ts'
import { createIncoming, endUndecided, type Incoming } from './incoming.ts'
import {
  type EntranceLimits,
  handshakeLimits,
  type HandshakeLimits,
  requestBudgetDefault,
  requestBudgets,
  reservationsPerBlockMax,
  type Sanctions,
  type Shares,
  type TrafficBudgets,
  trafficBudgets,
  unreadLookMs,
  unsentBytesDefault
} from './limits.ts'
import { createMeter } from './meter.ts'
import { watchMuxer } from './muxer.ts'
import type { Reason } from './score.ts'
import { Standings } from './standings.ts'
import { Traffic } from './traffic.ts'

/** How strict a guard is. Everything has a default in `guard/limits.ts`. */
export interface GuardInit {
  readonly now: () => number
  readonly connectionsPerHostMax?: number
  readonly connectionsPerBlockMax?: number
  readonly reservationsPerBlockMax?: number
  /** Handshakes at once. */
  readonly pendingPerHostMax?: number
  readonly pendingPerBlockMax?: number
  /** Attempts to connect. */
  readonly attemptsPerBlock?: Budget
  /** What all who come from one address, or from one block, may do together, as multiples of what one peer may. */
  readonly shares?: Shares
  /** At what pace newcomers are let in to shake hands, and how many wait for that; what is left out is as it is by default. */
  readonly entrance?: Partial<EntranceLimits>
  /** Handshakes of everybody, before it is known who comes; what is left out is as it is by default. */
  readonly handshakes?: Partial<HandshakeLimits>
  /** What follows from a score; what is left out is as it is by default. */
  readonly sanctions?: Partial<Sanctions>
  /** Count connections of this machine like all others; off by default, since people run several nodes on one. */
  readonly limitLoopback?: boolean
  /** Budgets that replace or add to the rows of `requestBudgets`. */
  readonly budgets?: Readonly<Record<string, Budget>>
  /** Bytes that may wait for one stream, and for one connection, because the peer does not read. */
  readonly unsentBytesMax?: number
  /** Budgets that replace some of `trafficBudgets`. */
  readonly traffic?: Partial<TrafficBudgets>
  /** Peers that are never refused: an operator's own. A `Set` may change later, and is asked each time. */
  readonly allow?: Iterable<string>
  /** Peers that are always refused. A `Set` may change later, and is asked each time. */
  readonly deny?: Iterable<string>
  /** True for addresses that are always refused, in both directions. @param host - An IP address, or a name. */
  readonly denyHost?: (host: string) => boolean
  /** True for addresses whose connections and reservations are not counted. */
  readonly allowHost?: (host: string) => boolean
  /** False while nobody new is let in: a relay that is being shut down. */
  readonly open?: () => boolean
}

/** Why a peer is not liked. */
export interface PeerReport {
  readonly peer: string
  /** 0 down to -100; by default it is disconnected at -20 and banned at -50. */
  readonly score: number
  /** Latest first. */
  readonly reasons: readonly Reason[]
  /** Until when its connections are turned away; undefined while they are not. */
  readonly bannedUntilMs: number | undefined
}

/**
 * The one place that knows who has misbehaved and what follows from it. libp2p and gossipsub themselves never
 * disconnect anybody.
 */
export interface Guard {
  /** Counts an offence; disconnects the peer when it was one too many. */
  punish(peer: PeerId, code: string): void
  /** Takes `cost` (1 by default) from what the peer may still do on `protocol`; false when that is used up. */
  allow(peer: PeerId, protocol: string, cost?: number): boolean
  /** Takes what an answer has turned out to cost, into debt if it must: {@link allow} says no until that is paid back. */
  charge(peer: PeerId, protocol: string, cost: number): void
  /**
   * Takes `cost` from what all peers of this one's address, and of its block of addresses, may do on `protocol` together;
   * false when that is used up.
   */
  allowAddress(peer: PeerId, protocol: string, cost?: number): boolean
  /** 0 down to -100. */
  score(peer: PeerId | string): number
  /** True while connections of the peer are turned away. */
  refuses(peer: PeerId | string): boolean
  /** Peers with anything against them, the worst first. */
  report(): PeerReport[]
  /** Forgets what is known against a peer: the user knows better. */
  pardon(peer: PeerId | string): void
}

/** The relay reservations that a node has granted. */
export type Reservations = () => Iterable<readonly [PeerId, { readonly addr: Multiaddr }]>

/** A guard with what libp2p needs to be built with. */
export interface HostGuard extends Guard {
  readonly gater: ConnectionGater
  readonly metrics: () => Metrics
  readonly doorway: Doorway
  readonly entrance: Entrance
  readonly handshakes: HandshakeLimits
  /** The multiplexer, with a meter on its frames. */
  muxer<Components>(
    create: (components: Components) => StreamMuxerFactory
  ): (components: Components) => StreamMuxerFactory
  /** Gives the guard the node that it guards; until then it only counts. */
  attach(libp2p: Libp2p, options?: AttachOptions): void
  /** Asks before each offence whether it is one: what is out of its time may be the fault of a clock. */
  excuse(isNone: (peer: PeerId, code: string) => boolean): void
}

export interface AttachOptions {
  readonly reservations?: Reservations
  /** Connections beyond which one ends for each that opens. */
  readonly connectionsMax?: number
}

/** Everything in PROTOCOL's table of attacks but proof of work and quotas, which the record gate and store hold. */
export function createGuard(init: GuardInit): HostGuard {
  return new DefaultGuard(init)
}

class DefaultGuard implements HostGuard {
  readonly gater: ConnectionGater
  readonly metrics: () => Metrics
  readonly doorway: Doorway
  readonly entrance: Entrance
  readonly handshakes: HandshakeLimits
  readonly #init: GuardInit
  readonly #allowed: ReadonlySet<string>
  readonly #denied: ReadonlySet<string>
  readonly #peers: Standings
  readonly #traffic: Traffic
  /** What each multiplexer runs over. */
  readonly #carriers = new WeakMap<StreamMuxer, MessageStream>()
  /** For what a multiplexer was cut off while it was nobody's. */
  readonly #cutFor = new WeakMap<StreamMuxer, string>()
  readonly #owners = new WeakMap<MultiaddrConnection, PeerId>()
  readonly #streamOwners = new WeakMap<Stream, PeerId>()
  #behind = new WeakSet<Connection>()
  #isNone: (peer: PeerId, code: string) => boolean = () => false
  #libp2p: Libp2p | undefined
  /** Of the connections that libp2p has told of. */
  readonly #connections = new WeakMap<StreamMuxer, Connection>()
  #incoming: Incoming | undefined
  readonly #unsentBytesMax: number
  #reservations: Reservations = () => []

  constructor(init: GuardInit) {
    this.#init = init
    this.#allowed = init.allow instanceof Set ? init.allow : new Set(init.allow)
    this.#denied = init.deny instanceof Set ? init.deny : new Set(init.deny)
    this.#peers = new Standings(init)
    this.#traffic = new Traffic({
      budgets: { ...trafficBudgets, ...init.traffic },
      now: init.now,
      peers: this.#peers,
      onTooMany: (muxer, code) => this.#cutMuxer(muxer, code)
    })
    this.doorway = new Doorway(init)
    this.entrance = new Entrance(init)
    this.handshakes = { ...handshakeLimits, ...init.handshakes }
    this.gater = this.#createGater()
    this.#unsentBytesMax = init.unsentBytesMax ?? unsentBytesDefault
    const meter = createMeter({
      unsentBytesMax: this.#unsentBytesMax,
      onConnectionBytes: (connection, bytes) => this.#meterConnection(connection, bytes),
      onStreamFrame: (stream, bytes) => this.#meterStream(stream, bytes),
      onAnswer: (stream, bytes) => this.#forgiveAnswer(stream, bytes),
      onBadLength: (source) => this.#endMalformed(source),
      onGossipTo: (stream) => this.#watchGossip(stream)
    })
    this.metrics = () => meter
  }

  excuse(isNone: (peer: PeerId, code: string) => boolean): void {
    this.#isNone = isNone
  }

  attach(libp2p: Libp2p, options: AttachOptions = {}): void {
    const { reservations, connectionsMax = Infinity } = options
    this.#libp2p = libp2p
    this.#incoming = createIncoming(libp2p, this.metrics())
    if (reservations !== undefined) this.#reservations = reservations
    libp2p.addEventListener('connection:open', ({ detail: connection }) => {
      const muxer = muxerOf(connection)
      if (muxer !== undefined) this.#connections.set(muxer, connection)
      this.#punishLate(connection)
      this.#makeRoom(libp2p, connectionsMax)
    })
    const looking = setInterval(() => {
      this.#cutUnread(libp2p)
      endUndecided(libp2p.getConnections(), Date.now())
    }, unreadLookMs).unref()
    libp2p.addEventListener('stop', () => clearInterval(looking), { once: true })
  }

  muxer<Components>(
    create: (components: Components) => StreamMuxerFactory
  ): (components: Components) => StreamMuxerFactory {
    return watchMuxer(create, {
      unsentBytesMax: this.#unsentBytesMax,
      onMuxer: (muxer, connection) => void this.#carriers.set(muxer, connection),
      onSmallFrame: (muxer, weight) => this.#traffic.metersOf(muxer).small(weight),
      onPing: (muxer) => this.#traffic.metersOf(muxer).ping(),
      onOpen: (muxer) => this.#traffic.metersOf(muxer).open(),
      onUnused: (muxer) => this.#traffic.metersOf(muxer).unused(),
      onStray: (muxer, bytes) => this.#traffic.metersOf(muxer).stray(bytes),
      onBadLength: (muxer) => this.#cutMuxer(muxer, 'malformed-length'),
      isSpoken: (protocol) => this.#speaks(protocol),
      takes: (muxer, stream) => this.#takes(muxer, stream)
    })
  }

  punish(peer: PeerId, code: string): void {
    const name = peer.toString()
    if (this.#allowed.has(name) || this.#isNone(peer, code)) return
    if (this.#peers.of(name).punish(code, this.#init.now())) this.#disconnect(peer, code)
  }

  allow(peer: PeerId, protocol: string, cost = 1): boolean {
    return this.#peers.of(peer.toString()).allow(protocol, this.#budgetOf(protocol), cost, this.#init.now())
  }

  allowAddress(peer: PeerId, protocol: string, cost = 1): boolean {
    if (this.#allowed.has(peer.toString())) return true
    const [connection] = this.#libp2p?.getConnections(peer) ?? []
    if (connection === undefined) return true
    const full = this.doorway.take(connection.remoteAddr, { name: protocol, budget: this.#budgetOf(protocol), cost })
    // Not for a block: in one with somebody who has many addresses there are others, who send little.
    if (full === 'host') this.punish(peer, 'too-many-from-address')
    return full === undefined
  }

  charge(peer: PeerId, protocol: string, cost: number): void {
    this.#peers.of(peer.toString()).charge(protocol, this.#budgetOf(protocol), cost, this.#init.now())
  }

  score(peer: PeerId | string): number {
    return this.#peers.find(peer.toString())?.score(this.#init.now()) ?? 0
  }

  refuses(peer: PeerId | string): boolean {
    const name = peer.toString()
    return this.#denied.has(name) || this.#peers.refuses(name)
  }

  report(): PeerReport[] {
    const nowMs = this.#init.now()
    const reports = Array.from(this.#peers, ([peer, standing]) => ({
      peer,
      score: standing.score(nowMs),
      reasons: standing.reasons,
      bannedUntilMs: standing.refusedUntilMs(nowMs)
    }))
    return reports.filter(({ reasons }) => reasons.length > 0).toSorted((a, b) => a.score - b.score)
  }

  pardon(peer: PeerId | string): void {
    this.#peers.forget(peer.toString())
  }

  #budgetOf(protocol: string): Budget {
    return this.#init.budgets?.[protocol] ?? requestBudgets[protocol] ?? requestBudgetDefault
  }

  #disconnect(peer: PeerId, code: string): void {
    const reason = new Error(`disconnected: ${code}`)
    for (const connection of this.#libp2p?.getConnections(peer) ?? []) {
      this.doorway.blame(connection.remoteAddr)
      connection.abort(reason)
    }
  }

  #createGater(): ConnectionGater {
    return {
      denyDialPeer: (peer) => this.refuses(peer),
      denyDialMultiaddr: (address) => this.doorway.isDeniedHost(address),
      denyInboundConnection: (connection) => !this.#isOpen() || this.doorway.denies(connection),
      denyInboundEncryptedConnection: (peer, connection) => this.#denyPeer(peer, connection),
      denyInboundUpgradedConnection: (_peer, connection) => {
        this.doorway.upgraded(connection)
        return false
      },
      denyOutboundEncryptedConnection: (peer, connection) => this.#denyPeer(peer, connection),
      denyInboundRelayReservation: (peer) => !this.#isOpen() || this.refuses(peer) || this.#denyReservation(peer),
      denyInboundRelayedConnection: (_relay, peer) => this.refuses(peer),
      denyOutboundRelayedConnection: (source, destination) => this.refuses(source) || this.refuses(destination)
    }
  }

  #denyPeer(peer: PeerId, connection: MultiaddrConnection): boolean {
    this.#owners.set(connection, peer)
    return this.refuses(peer)
  }

  #isOpen(): boolean {
    return this.#init.open?.() ?? true
  }

  #denyReservation(peer: PeerId): boolean {
    const asked = (this.#libp2p?.getConnections(peer) ?? []).map(({ remoteAddr }) => this.doorway.groupsOf(remoteAddr))
    const blocks = new Set(asked.map((groups) => groups?.block))
    blocks.delete(undefined)
    if (blocks.size === 0) return false
    const others = [...this.#reservations()].filter(([holder]) => !holder.equals(peer))
    const held = others.filter(([, { addr }]) => blocks.has(addressGroups(addr)?.block)).length
    return held >= (this.#init.reservationsPerBlockMax ?? reservationsPerBlockMax)
  }

  #meterConnection(connection: MultiaddrConnection, bytes: number): void {
    if (!this.#traffic.takeBytes(connection, this.#owners.get(connection), bytes)) this.#cut(connection)
  }

  #forgiveAnswer(stream: Stream, bytes: number): void {
    const peer = this.#ownerOf(stream)
    if (peer !== undefined) this.#traffic.giveBack(peer, bytes)
  }

  /** More bytes than anybody may send. Before the handshake there is no peer to blame yet. */
  #cut(connection: MultiaddrConnection): void {
    const peer = this.#owners.get(connection)
    if (peer !== undefined) this.punish(peer, 'too-many-bytes')
    connection.abort(new Error('disconnected: too many bytes'))
  }

  #meterStream(stream: Stream, bytes: number): void {
    const peer = this.#ownerOf(stream)
    if (peer === undefined || this.refuses(peer)) return
    const offence = this.#traffic.takeFrame(peer, stream.protocol, bytes)
    if (offence !== undefined) this.punish(peer, offence)
  }

  /** A multiplexer does not know whose it is. */
  #cutMuxer(muxer: StreamMuxer, code: string): void {
    const connection = this.#libp2p?.getConnections().find((one) => muxerOf(one) === muxer)
    if (connection !== undefined) return this.punish(connection.remotePeer, code)
    // During the handshake it is nobody's yet, and when the multiplexer has ended by itself, nobody's any more. It ends
    // without a word to what it runs over, which would be read and decrypted for as long as bytes come.
    const reason = new Error(`disconnected: ${code}`)
    this.#cutFor.set(muxer, code)
    muxer.abort(reason)
    this.#carriers.get(muxer)?.abort(reason)
  }

  /** Of who is cut off by what comes with the end of a handshake libp2p tells afterwards, like of anybody who has come. */
  #punishLate(connection: Connection): void {
    const muxer = muxerOf(connection)
    const code = muxer && this.#cutFor.get(muxer)
    if (code === undefined) return
    const { remotePeer, remoteAddr } = connection
    this.punish(remotePeer, code)
    if (this.refuses(remotePeer)) this.doorway.blame(remoteAddr)
  }

  /** Of a connection that libp2p has yet to tell of the streams are libp2p's own. */
  #takes(muxer: StreamMuxer, stream: Stream): boolean {
    const connection = this.#connections.get(muxer)
    if (connection === undefined || this.#incoming === undefined) return false
    this.#incoming(stream, connection, {
      onBadLength: () => this.#cutMuxer(muxer, 'malformed-length'),
      onAgreed: () => void this.#streamOwners.set(stream, connection.remotePeer),
      onRefused: () => this.#traffic.metersOf(muxer).unused()
    })
    return true
  }

  #speaks(protocol: string): boolean {
    return this.#libp2p?.getProtocols().includes(protocol) === true
  }

  #makeRoom(libp2p: Libp2p, connectionsMax: number): void {
    const connections = libp2p.getConnections()
    if (connections.length <= connectionsMax) return
    const least = leastMissed(connections, ({ remotePeer }) => !this.#allowed.has(remotePeer.toString()))
    least?.abort(new Error('disconnected: too many connections'))
  }

  /** Who has not read for two looks what we said: it would stay in memory for as long as the connection does. */
  #cutUnread(libp2p: Libp2p): void {
    const behind = libp2p.getConnections().filter((connection) => unsentBytesOf(connection) > this.#unsentBytesMax)
    for (const connection of behind) {
      if (this.#behind.has(connection)) this.punish(connection.remotePeer, 'never-reads')
    }
    this.#behind = new WeakSet(behind)
  }

  #endMalformed(source: Stream | MultiaddrConnection): void {
    const peer = isConnection(source) ? this.#owners.get(source) : this.#ownerOf(source)
    if (peer !== undefined) this.punish(peer, 'malformed-length')
    else if (isConnection(source)) this.doorway.blame(source.remoteAddr)
    source.abort(new Error('ended: malformed-length'))
  }

  /** gossipsub would go on without it: a peer that takes no gossip any more, and does not know why. */
  #watchGossip(stream: Stream): void {
    const peer = this.#ownerOf(stream)
    if (peer === undefined) return
    stream.addEventListener('close', ({ error }) => {
      if (error?.name === 'StreamBufferError') this.punish(peer, 'never-reads')
    })
  }

  /** A stream does not know its peer; its connection does. Looked up once a stream. */
  #ownerOf(stream: Stream): PeerId | undefined {
    const known = this.#streamOwners.get(stream)
    if (known !== undefined) return known
    const connection = this.#libp2p?.getConnections().find(({ streams }) => streams.includes(stream))
    if (connection !== undefined) this.#streamOwners.set(stream, connection.remotePeer)
    return connection?.remotePeer
  }
}

function isConnection(source: Stream | MultiaddrConnection): source is MultiaddrConnection {
  return 'remoteAddr' in source
}

function muxerOf(connection: Connection): StreamMuxer | undefined {
  return (connection as Connection & { readonly muxer?: StreamMuxer }).muxer
}

function unsentBytesOf({ streams }: Connection): number {
  let bytes = 0
  // A loop, since each node looks at each of its streams every second.
  for (const stream of streams) bytes += stream.writeBufferLength
  return bytes
}
