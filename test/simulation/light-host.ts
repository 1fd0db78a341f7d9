/**
 * What our protocols and gossipsub need of libp2p, and nothing below it: connections, streams, and who speaks which
 * protocol. Left out are Noise, yamux, multistream-select, identify, ping, the peer store and the DHT, nine tenths of
 * the CPU of an idle node; their bytes and round trips are counted, and what they find out happens. The gater, the
 * meters and the streams' own code are the real ones. For runs of hundreds of nodes; docs/decisions/0311 compares it
 * with the whole of libp2p.
 */
import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import {
  type AbortOptions,
  type ConnectionGater,
  type Logger,
  type Metrics,
  type PeerId,
  type PrivateKey,
  type StreamHandler,
  type StreamHandlerOptions,
  type Topology,
  TypedEventEmitter
} from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { AbstractStream } from '@libp2p/utils'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { gossipOptions, type Host, type HostGuard, type NetworkInit } from '@souk/network'
import { leanScores } from './lean-scores.ts'
import type { Random } from './random.ts'
import { addressOf, hostOf } from './transport.ts'
import type { Line, Place, Side, Wire } from './wire.ts'

type CreateHost = NonNullable<NetworkInit['createHost']>

export interface LightHostInit {
  readonly wire: Wire<LightParty>
  readonly place: Place
  readonly random: Random
  /** gossipsub's heartbeat, where it is to be other than ours: a simulated day of one a second takes long. */
  readonly heartbeatMs?: number
  /** Told of all bytes that are sent on streams. */
  readonly onStreamBytes?: (protocol: string, bytes: number) => void
}

/** What two hosts that are connected know of each other. */
export interface LightParty {
  readonly host: LightHost
  /** Its end of the connection, as soon as there is one. */
  connection?: LightConnection
}

/** TCP, Noise, and the choice of a muxer. */
const openingRoundTrips = 4

/** What two libp2ps tell each other of themselves: keys, a signed address record, some ten protocols. */
const identifyBytes = 900

/** What opening a stream takes beside a round trip: a yamux header and multistream-select, each way. */
const openingBytes = 60

/** A yamux header. */
const headerBytes = 12

/** Peers that one tells another of on meeting: what the DHT's look-ups at the start bring. */
const introductionsMax = 8
const introductionBytes = 70

/** Makes hosts at one place, as `createHost` of `@souk/network` does. */
export function createLightHost(init: LightHostInit): CreateHost {
  return ({ privateKey, guard }, { role, connectionsMax }) => {
    const host = new LightHost(init, { privateKey, guard, connectionsMax: connectionsMax ?? placesOf[role] })
    guard.attach(host as unknown as Host, { connectionsMax: connectionsMax ?? placesOf[role] })
    return Promise.resolve(host as unknown as Host)
  }
}

const spare = 10
const placesOf = { node: 150, relay: 1200 } as const

const silent = Object.assign(() => undefined, {
  enabled: false,
  error: () => undefined,
  trace: () => undefined,
  newScope: (): Logger => silent
}) as unknown as Logger

const logger = { forComponent: () => silent }

interface Handler {
  readonly handler: StreamHandler
  readonly options: StreamHandlerOptions
}

interface HostParts {
  readonly privateKey: PrivateKey
  readonly guard: HostGuard
  readonly connectionsMax: number
}

export class LightHost extends TypedEventEmitter<Record<string, CustomEvent>> {
  readonly peerId: PeerId
  readonly guard: HostGuard
  readonly metrics: Metrics
  readonly logger = logger
  readonly services: { readonly pubsub: GossipSub }
  status: 'stopped' | 'started' = 'stopped'
  readonly peerStore: { merge(peer: PeerId, data: { multiaddrs?: readonly Multiaddr[] }): Promise<void> }
  readonly #init: LightHostInit
  readonly #connectionsMax: number
  readonly #handlers = new Map<string, Handler>()
  readonly #topologies = new Map<string, { readonly protocol: string; readonly topology: Topology }>()
  readonly #connections = new Map<string, LightConnection[]>()
  /** All of them in one list, while none comes or goes. */
  #all: readonly LightConnection[] | undefined
  readonly #addresses = new Map<string, readonly Multiaddr[]>()
  readonly #dialling = new Map<string, Promise<LightConnection>>()
  #topologyCount = 0
  #connectionCount = 0
  #telling = false
  #unlisten: (() => void) | undefined

  constructor(init: LightHostInit, { privateKey, guard, connectionsMax }: HostParts) {
    super()
    this.#init = init
    this.#connectionsMax = connectionsMax
    this.guard = guard
    this.metrics = guard.metrics()
    this.peerId = peerIdFromPrivateKey(privateKey)
    this.peerStore = { merge: (peer, data) => Promise.resolve(this.#remember(peer, data.multiaddrs ?? [])) }
    const pubsub = gossipsub(this.#gossipOptions())({
      peerId: this.peerId,
      privateKey,
      peerStore: this.peerStore,
      registrar: this,
      connectionManager: this,
      logger,
      events: this
    } as never)
    leanScores(pubsub)
    this.services = { pubsub }
  }

  #gossipOptions(): ReturnType<typeof gossipOptions> {
    const options = gossipOptions(this.guard)
    const { heartbeatMs } = this.#init
    if (heartbeatMs === undefined) return options
    const scoreParams = { ...options.scoreParams, decayInterval: heartbeatMs }
    return { ...options, heartbeatInterval: heartbeatMs, scoreParams }
  }

  countBytes(protocol: string, bytes: number): void {
    this.#init.onStreamBytes?.(protocol, bytes)
  }

  get place(): Place {
    return this.#init.place
  }

  /** What others may open streams for. */
  get protocols(): string[] {
    return [...this.#handlers.keys()]
  }

  async start(): Promise<void> {
    const { wire, place } = this.#init
    this.#unlisten = wire.listen(place, (line, caller) => this.#accept(line, caller))
    await (this.services.pubsub as unknown as { start(): Promise<void> }).start()
    this.status = 'started'
    this.#tell('start', this)
  }

  async stop(): Promise<void> {
    this.#unlisten?.()
    await (this.services.pubsub as unknown as { stop(): Promise<void> }).stop()
    for (const connection of this.getConnections()) connection.abort()
    this.#tell('stop', undefined)
  }

  getMultiaddrs(): Multiaddr[] {
    return [multiaddr(`${addressOf(this.place.host).toString()}/p2p/${this.peerId.toString()}`)]
  }

  getConnections(peer?: PeerId): LightConnection[] {
    if (peer !== undefined) return this.#connections.get(peer.toString()) ?? []
    this.#all ??= [...this.#connections.values()].flat()
    return this.#all as LightConnection[]
  }

  getPeers(): PeerId[] {
    return [...this.#connections.values()].map(([first]) => (first as LightConnection).remotePeer)
  }

  handle(protocol: string, handler: StreamHandler, options: StreamHandlerOptions = {}): Promise<void> {
    this.#handlers.set(protocol, { handler, options })
    this.#tellSoon()
    return Promise.resolve()
  }

  unhandle(protocol: string): Promise<void> {
    this.#handlers.delete(protocol)
    this.#tellSoon()
    return Promise.resolve()
  }

  getProtocols(): string[] {
    return this.protocols
  }

  handlerOf(protocol: string): Handler | undefined {
    return this.#handlers.get(protocol)
  }

  register(protocol: string, topology: Topology): Promise<string> {
    const id = `${protocol} ${this.#topologyCount++}`
    this.#topologies.set(id, { protocol, topology })
    return Promise.resolve(id)
  }

  unregister(id: string): void {
    this.#topologies.delete(id)
  }

  async dial(target: PeerId | Multiaddr, options: AbortOptions = {}): Promise<LightConnection> {
    const { name, hosts } = this.#targetOf(target)
    const open = this.#connections.get(name)?.[0]
    if (open !== undefined) return open
    const under = this.#dialling.get(name)
    if (under !== undefined) return under
    const dialling = this.#dialAny(name, hosts, options.signal ?? AbortSignal.timeout(10_000))
    this.#dialling.set(name, dialling)
    return dialling.finally(() => void this.#dialling.delete(name))
  }

  async dialProtocol(
    target: PeerId | Multiaddr,
    protocol: string | string[],
    options: AbortOptions = {}
  ): Promise<LightStream> {
    const connection = await this.dial(target, options)
    return connection.newStream([protocol].flat(), options)
  }

  /** A connection has been opened, by either side. */
  onOpened(connection: LightConnection): void {
    const name = connection.remotePeer.toString()
    const known = this.#connections.get(name)
    this.#connections.set(name, [...(known ?? []), connection])
    this.#all = undefined
    this.#connectionCount++
    this.metrics.trackMultiaddrConnection(connection as never)
    this.#tell('connection:open', connection)
    if (known === undefined) this.#tell('peer:connect', connection.remotePeer)
    connection.identify(this.#introduction(connection))
  }

  onClosed(connection: LightConnection): void {
    const name = connection.remotePeer.toString()
    const left = (this.#connections.get(name) ?? []).filter((one) => one !== connection)
    this.#connectionCount--
    this.#all = undefined
    if (left.length > 0) this.#connections.set(name, left)
    else this.#connections.delete(name)
    this.#tell('connection:close', connection)
    if (left.length > 0) return
    for (const { protocol, topology } of this.#topologies.values()) {
      if (connection.protocols.has(protocol)) void topology.onDisconnect?.(connection.remotePeer)
    }
    this.#tell('peer:disconnect', connection.remotePeer)
  }

  /** The other side has said who it is, what it speaks, and whom it knows. */
  onIdentified(connection: LightConnection, introduction: Introduction): void {
    const { remotePeer, protocols: known } = connection
    const first = known.size === 0
    const spoken = new Set(introduction.protocols)
    const news = introduction.protocols.filter((protocol) => !known.has(protocol))
    const gone = [...known].filter((protocol) => !spoken.has(protocol))
    for (const protocol of news) known.add(protocol)
    for (const protocol of gone) known.delete(protocol)
    for (const { protocol, topology } of this.#topologies.values()) {
      if (news.includes(protocol)) void topology.onConnect?.(remotePeer, connection as never)
      if (gone.includes(protocol)) void topology.onDisconnect?.(remotePeer)
    }
    const listenAddrs = [introduction.address]
    this.#remember(remotePeer, listenAddrs)
    this.#tell('peer:identify', { connection, peerId: remotePeer, listenAddrs, protocols: introduction.protocols })
    if (!first) return
    for (const { id, address } of introduction.others) {
      if (!id.equals(this.peerId)) this.#tell('peer:discovery', { id, multiaddrs: [address] })
    }
  }

  #accept(line: Line, caller: LightParty): LightParty {
    const own: LightParty = { host: this }
    const peer = caller.host.peerId
    const connection = new LightConnection(line, 'listener', { own: this, other: caller, peer })
    own.connection = connection
    void this.#admit(connection, peer).then(
      () => this.onOpened(connection),
      (error: unknown) => connection.abort(error as Error)
    )
    return own
  }

  /** What a connection from outside has to pass before it is one. */
  async #admit(connection: LightConnection, peer: PeerId): Promise<void> {
    const { gater } = this.guard
    const raw = connection as never
    // The guard makes room for who comes by ending what is worth least; libp2p's own limit is a little above its.
    if (this.#connectionCount >= this.#connectionsMax + spare) throw new Error('no place is left')
    if (await gater.denyInboundConnection?.(raw)) throw new Error('this address is refused')
    if (await gater.denyInboundEncryptedConnection?.(peer, raw)) throw new Error('this peer is refused')
    if (connection.status !== 'open') throw new Error('the connection broke off')
  }

  async #dialAny(name: string, hosts: readonly string[], signal: AbortSignal): Promise<LightConnection> {
    const { gater } = this.guard
    if (await gater.denyDialPeer?.(peerIdFromString(name))) throw new Error(`${name} is refused`)
    for (const host of hosts) {
      if (await gater.denyDialMultiaddr?.(addressOf(host))) continue
      const connection = await this.#dialOne(name, host, gater, signal)
      if (connection !== undefined) return connection
    }
    throw new Error(`none of the addresses of ${name} answers as it`)
  }

  async #dialOne(
    name: string,
    host: string,
    gater: ConnectionGater,
    signal: AbortSignal
  ): Promise<LightConnection | undefined> {
    const { wire, place } = this.#init
    const caller: LightParty = { host: this }
    const dialling = AbortSignal.any([signal, AbortSignal.timeout(10_000)])
    const { line, party } = await wire.dial(place, host, { caller, roundTrips: openingRoundTrips, signal: dialling })
    const peer = party.host.peerId
    const connection = new LightConnection(line, 'dialer', { own: this, other: party, peer })
    caller.connection = connection
    const isWrong =
      peer.toString() !== name || (await gater.denyOutboundEncryptedConnection?.(peer, connection as never))
    if (isWrong === true) {
      connection.abort()
      return undefined
    }
    this.onOpened(connection)
    return connection
  }

  #targetOf(target: PeerId | Multiaddr): { name: string; hosts: string[] } {
    if ('getComponents' in target) {
      const name = target.getComponents().findLast((part) => part.name === 'p2p')?.value ?? ''
      return { name, hosts: [hostOf(target)] }
    }
    const name = target.toString()
    return { name, hosts: [...new Set((this.#addresses.get(name) ?? []).map(hostOf))] }
  }

  #remember(peer: PeerId, addresses: readonly Multiaddr[]): void {
    if (addresses.length > 0) this.#addresses.set(peer.toString(), addresses)
  }

  #introduction(connection: LightConnection): Introduction {
    const peers = this.getPeers().filter((peer) => !peer.equals(connection.remotePeer))
    const others = this.#init.random.shuffled(peers).slice(0, introductionsMax)
    return {
      protocols: this.protocols,
      address: addressOf(this.place.host),
      others: others.flatMap((id) => {
        const [address] = this.#addresses.get(id.toString()) ?? []
        return address === undefined ? [] : [{ id, address }]
      })
    }
  }

  /** Tells all who are connected what we speak now, once for all changes of a moment. */
  #tellSoon(): void {
    if (this.#telling) return
    this.#telling = true
    queueMicrotask(() => {
      this.#telling = false
      for (const connection of this.getConnections()) connection.identify(this.#introduction(connection))
    })
  }

  #tell(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }
}

/** Bytes on a connection, of which there is nothing but their number: handshakes are not simulated. */
class Weight {
  readonly byteLength: number

  constructor(byteLength: number) {
    this.byteLength = byteLength
  }

  *[Symbol.iterator](): Generator<Uint8Array> {}
}

interface Introduction {
  readonly protocols: readonly string[]
  readonly address: Multiaddr
  readonly others: readonly { readonly id: PeerId; readonly address: Multiaddr }[]
}

interface ConnectionInit {
  readonly own: LightHost
  readonly other: LightParty
  readonly peer: PeerId
}

/** One end of a connection, as libp2p and the guard see it. */
export class LightConnection extends TypedEventEmitter<{ close: Event }> {
  readonly id: string
  readonly remotePeer: PeerId
  readonly remoteAddr: Multiaddr
  readonly direction: 'inbound' | 'outbound'
  readonly timeline: { readonly open: number; close?: number } = { open: Date.now() }
  readonly streams: LightStream[] = []
  readonly log = silent
  readonly limits = undefined
  /** What the other side is known to speak. */
  readonly protocols = new Set<string>()
  status: 'open' | 'aborted' = 'open'
  readonly #line: Line
  readonly #side: Side
  readonly #own: LightHost
  readonly #other: LightParty
  #opened = 0

  constructor(line: Line, side: Side, { own, other, peer }: ConnectionInit) {
    super()
    this.#line = line
    this.#side = side
    this.#own = own
    this.#other = other
    const { dialer, listener } = line.places
    this.id = `${dialer.host} ${listener.host} ${side}`
    this.remotePeer = peer
    this.remoteAddr = side === 'dialer' ? addressOf(listener.host) : multiaddr(`/ip4/${dialer.host}/tcp/40001`)
    this.direction = side === 'dialer' ? 'outbound' : 'inbound'
    line.onBroken(side, () => this.#close())
  }

  /** Weighs what arrives; the guard's meter stands before it. */
  onData(_data: Weight): void {}

  identify(introduction: Introduction): void {
    const bytes = identifyBytes + introduction.others.length * introductionBytes
    this.#send(bytes, (there) => there.#own.onIdentified(there, introduction))
  }

  /** @throws An error when the other side speaks none of the protocols, or the connection ends. */
  async newStream(protocols: string[], { signal }: AbortOptions = {}): Promise<LightStream> {
    if (this.status !== 'open') throw new Error('the connection is closed')
    const { promise, resolve, reject } = Promise.withResolvers<LightStream>()
    this.addEventListener('close', () => reject(new Error('the connection broke off')), { once: true })
    signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    const id = `${this.#side} ${this.#opened++}`
    this.#send(openingBytes, (there) => {
      const protocol = protocols.find((one) => there.#own.handlerOf(one) !== undefined)
      if (protocol === undefined) return there.#send(openingBytes, () => reject(new Error('speaks none of these')))
      const theirs = there.#attach(id, protocol, 'inbound')
      there.#send(openingBytes, (here) => {
        const ours = here.#attach(id, protocol, 'outbound')
        ours.other = theirs
        theirs.other = ours
        resolve(ours)
      })
      there.#serve(theirs, protocol)
    })
    return promise
  }

  /** For the streams of this connection. */
  carry({ protocol }: LightStream, bytes: number, arrive: () => void): void {
    if (this.status !== 'open') return
    this.#own.countBytes(protocol, bytes + headerBytes)
    this.#send(bytes + headerBytes, arrive)
  }

  async close(): Promise<void> {
    this.abort()
    await Promise.resolve()
  }

  abort(_reason?: Error): void {
    if (this.status !== 'open') return
    this.#line.end(this.#side)
    this.#close()
  }

  #send(bytes: number, arrive: (there: LightConnection) => void): void {
    this.#line.send(this.#side, bytes, () => {
      const there = this.#other.connection
      if (there?.status !== 'open') return
      there.onData(new Weight(bytes))
      if (there.status === 'open') arrive(there)
    })
  }

  #attach(id: string, protocol: string, direction: 'inbound' | 'outbound'): LightStream {
    const stream = new LightStream(this, { id, protocol, direction, log: silent })
    this.streams.push(stream)
    stream.addEventListener('close', () => void this.streams.splice(this.streams.indexOf(stream), 1))
    this.#own.metrics.trackProtocolStream(stream)
    return stream
  }

  #serve(stream: LightStream, protocol: string): void {
    const { handler, options } = this.#own.handlerOf(protocol) as Handler
    const open = this.streams.filter((one) => one.protocol === protocol && one.direction === 'inbound').length
    if (open > (options.maxInboundStreams ?? 32)) return stream.abort(new Error('too many streams'))
    void Promise.resolve(handler(stream, this as never)).catch((error: unknown) => stream.abort(error as Error))
  }

  #close(): void {
    if (this.status !== 'open') return
    this.status = 'aborted'
    this.timeline.close = Date.now()
    for (const stream of this.streams.slice()) stream.onTransportClosed(new Error('the connection broke off'))
    const wasOpen = this.#own.getConnections(this.remotePeer).includes(this)
    this.safeDispatchEvent('close')
    if (wasOpen) this.#own.onClosed(this)
  }
}

/** What libp2p hands over to be sent. */
type Chunk = Parameters<AbstractStream['sendData']>[0]

/** One end of a stream. */
export class LightStream extends AbstractStream {
  /** The other end, from when the opening has been answered. */
  other: LightStream | undefined
  readonly #connection: LightConnection

  constructor(connection: LightConnection, init: ConstructorParameters<typeof AbstractStream>[0]) {
    super(init)
    this.#connection = connection
  }

  override sendData(data: Chunk): { sentBytes: number; canSendMore: boolean } {
    this.#carry(data.byteLength, (other) => other.onData(data))
    return { sentBytes: data.byteLength, canSendMore: true }
  }

  override sendReset(): void {
    this.#carry(0, (other) => other.onRemoteReset())
  }

  override async sendCloseWrite(): Promise<void> {
    this.#carry(0, (other) => other.onRemoteCloseWrite())
    await Promise.resolve()
  }

  override async sendCloseRead(): Promise<void> {
    await Promise.resolve()
  }

  /** There is no way to tell a sender to wait. */
  override sendPause(): void {}

  override sendResume(): void {}

  #carry(bytes: number, arrive: (other: LightStream) => void): void {
    this.#connection.carry(this, bytes, () => {
      const { other } = this
      if (other !== undefined && other.status === 'open') arrive(other)
    })
  }
}
