import type { ConnectionGater, Libp2p, Metrics, MultiaddrConnection, PeerId, Stream } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { addressGroups, type AddressGroups, isLoopback } from './address.ts'
import type { Budget } from './bucket.ts'
import {
  connectionBytes,
  connectionsPerBlockMax,
  connectionsPerHostMax,
  peersMax,
  requestBudgetDefault,
  requestBudgets,
  reservationsPerBlockMax,
  streamBytes,
  streamBytesDefault,
  streamFrames
} from './limits.ts'
import { createMeter, meterOf } from './meter.ts'
import { type Reason, Standing } from './score.ts'

/** How strict a guard is. Everything has a default in `guard/limits.ts`. */
export interface GuardInit {
  readonly now: () => number
  readonly connectionsPerHostMax?: number
  readonly connectionsPerBlockMax?: number
  readonly reservationsPerBlockMax?: number
  /** Count connections of this machine like all others; off by default, since people run several nodes on one. */
  readonly limitLoopback?: boolean
  /** Budgets that replace or add to the rows of `requestBudgets`. */
  readonly budgets?: Readonly<Record<string, Budget>>
  /** Peers that are never refused: an operator's own. */
  readonly allow?: Iterable<string>
  /** Peers that are always refused. */
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
  /** 0 down to -100; at -20 it is disconnected, at -50 banned. */
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
  /** Gives the guard the node that it guards; until then it only counts. */
  attach(libp2p: Libp2p, options?: { reservations?: Reservations }): void
}

/** Everything in PROTOCOL's table of attacks but proof of work and quotas, which the record gate and store hold. */
export function createGuard(init: GuardInit): HostGuard {
  return new DefaultGuard(init)
}

class DefaultGuard implements HostGuard {
  readonly gater: ConnectionGater
  readonly metrics: () => Metrics
  readonly #init: GuardInit
  readonly #allowed: ReadonlySet<string>
  readonly #denied: ReadonlySet<string>
  readonly #peers = new Map<string, Standing>()
  readonly #inbound = new Map<string, number>()
  readonly #owners = new WeakMap<MultiaddrConnection, PeerId>()
  readonly #connectionMeters = new WeakMap<MultiaddrConnection, (bytes: number) => void>()
  readonly #streamOwners = new WeakMap<Stream, PeerId>()
  #libp2p: Libp2p | undefined
  #reservations: Reservations = () => []

  constructor(init: GuardInit) {
    this.#init = init
    this.#allowed = new Set(init.allow)
    this.#denied = new Set(init.deny)
    this.gater = this.#createGater()
    const meter = createMeter({
      onConnectionBytes: (connection, bytes) => this.#meterConnection(connection, bytes),
      onStreamFrame: (stream, bytes) => this.#meterStream(stream, bytes)
    })
    this.metrics = () => meter
  }

  attach(libp2p: Libp2p, options: { reservations?: Reservations } = {}): void {
    this.#libp2p = libp2p
    if (options.reservations !== undefined) this.#reservations = options.reservations
  }

  punish(peer: PeerId, code: string): void {
    const name = peer.toString()
    if (this.#allowed.has(name)) return
    if (this.#standing(name).punish(code, this.#init.now())) this.#disconnect(peer, code)
  }

  allow(peer: PeerId, protocol: string, cost = 1): boolean {
    return this.#standing(peer.toString()).allow(protocol, this.#budgetOf(protocol), cost, this.#init.now())
  }

  charge(peer: PeerId, protocol: string, cost: number): void {
    this.#standing(peer.toString()).charge(protocol, this.#budgetOf(protocol), cost, this.#init.now())
  }

  score(peer: PeerId | string): number {
    return this.#peers.get(peer.toString())?.score(this.#init.now()) ?? 0
  }

  refuses(peer: PeerId | string): boolean {
    const name = peer.toString()
    if (this.#denied.has(name)) return true
    return this.#peers.get(name)?.refusedUntilMs(this.#init.now()) !== undefined
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
    this.#peers.delete(peer.toString())
  }

  #budgetOf(protocol: string): Budget {
    return this.#init.budgets?.[protocol] ?? requestBudgets[protocol] ?? requestBudgetDefault
  }

  #standing(name: string): Standing {
    const standing = this.#peers.get(name) ?? new Standing()
    this.#peers.delete(name)
    this.#peers.set(name, standing)
    if (this.#peers.size > peersMax) this.#forgetOne()
    return standing
  }

  /** The longest unseen goes, but a refused peer only when all are: else new identities would buy an old one free. */
  #forgetOne(): void {
    const nowMs = this.#init.now()
    const [oldest] = this.#peers.keys()
    const harmless = [...this.#peers].find(([, standing]) => standing.refusedUntilMs(nowMs) === undefined)
    const name = harmless?.[0] ?? oldest
    if (name !== undefined) this.#peers.delete(name)
  }

  #disconnect(peer: PeerId, code: string): void {
    const reason = new Error(`disconnected: ${code}`)
    for (const connection of this.#libp2p?.getConnections(peer) ?? []) connection.abort(reason)
  }

  #createGater(): ConnectionGater {
    return {
      denyDialPeer: (peer) => this.refuses(peer),
      denyDialMultiaddr: (address) => this.#isDeniedHost(address),
      denyInboundConnection: (connection) => this.#denyByAddress(connection),
      denyInboundEncryptedConnection: (peer, connection) => this.#denyPeer(peer, connection),
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

  #isDeniedHost(address: Multiaddr): boolean {
    const host = addressGroups(address)?.host
    return host !== undefined && this.#init.denyHost?.(host) === true
  }

  #denyByAddress(connection: MultiaddrConnection): boolean {
    if (!this.#isOpen() || this.#isDeniedHost(connection.remoteAddr)) return true
    const groups = this.#limitedGroups(connection.remoteAddr)
    if (groups === undefined) return false
    const hostMax = this.#init.connectionsPerHostMax ?? connectionsPerHostMax
    const blockMax = this.#init.connectionsPerBlockMax ?? connectionsPerBlockMax
    const names = [`host ${groups.host}`, `block ${groups.block}`] as const
    if (this.#count(names[0]) >= hostMax || this.#count(names[1]) >= blockMax) return true
    for (const name of names) this.#inbound.set(name, this.#count(name) + 1)
    connection.addEventListener('close', () => names.forEach((name) => this.#release(name)), { once: true })
    return false
  }

  #limitedGroups(address: Multiaddr): AddressGroups | undefined {
    const groups = addressGroups(address)
    if (groups === undefined || (isLoopback(groups) && this.#init.limitLoopback !== true)) return undefined
    return this.#init.allowHost?.(groups.host) === true ? undefined : groups
  }

  #count(name: string): number {
    return this.#inbound.get(name) ?? 0
  }

  #release(name: string): void {
    const left = this.#count(name) - 1
    if (left > 0) this.#inbound.set(name, left)
    else this.#inbound.delete(name)
  }

  #denyReservation(peer: PeerId): boolean {
    const asked = (this.#libp2p?.getConnections(peer) ?? []).map(({ remoteAddr }) => this.#limitedGroups(remoteAddr))
    const blocks = new Set(asked.map((groups) => groups?.block))
    blocks.delete(undefined)
    if (blocks.size === 0) return false
    const others = [...this.#reservations()].filter(([holder]) => !holder.equals(peer))
    const held = others.filter(([, { addr }]) => blocks.has(addressGroups(addr)?.block)).length
    return held >= (this.#init.reservationsPerBlockMax ?? reservationsPerBlockMax)
  }

  #meterConnection(connection: MultiaddrConnection, bytes: number): void {
    let meter = this.#connectionMeters.get(connection)
    if (meter === undefined) {
      meter = meterOf(connectionBytes, this.#init.now, () => this.#cut(connection))
      this.#connectionMeters.set(connection, meter)
    }
    meter(bytes)
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
    const row = streamBytes.find(([prefix]) => stream.protocol.startsWith(prefix))
    const [name, budget] = row ?? ['other', streamBytesDefault]
    const standing = this.#standing(peer.toString())
    const nowMs = this.#init.now()
    if (!standing.allow(`bytes ${name}`, budget, bytes, nowMs)) this.punish(peer, 'too-many-bytes')
    else if (!standing.allow('frames', streamFrames, 1, nowMs)) this.punish(peer, 'too-many-frames')
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
