/**
 * The whole of libp2p over the simulated wire: a transport as TCP is one, with yamux, multistream-select, identify,
 * ping and the DHT above it. Only Noise is left out: the wire knows who is at the other end, and its keys would cost
 * more than everything else together.
 */
import {
  type Connection,
  type CreateListenerOptions,
  type DialTransportOptions,
  type Listener,
  type ListenerEvents,
  type Logger,
  type PeerId,
  serviceCapabilities,
  type Transport,
  transportSymbol,
  TypedEventEmitter,
  type Upgrader
} from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import type { Line, Place, Side, Wire } from './wire.ts'

/** What two libp2ps need of each other. */
export interface Libp2pParty {
  readonly peerId: PeerId
  /** Its end of the connection, as soon as there is one. */
  end?: End
}

interface Components {
  readonly peerId: PeerId
  readonly logger: { forComponent(name: string): Logger }
}

/** TCP, and what Noise would take. */
const openingRoundTrips = 3

/** Where every node listens. */
export const listenPort = 4001

/** What a libp2p at this place dials and listens with. */
export function createTransport(wire: Wire<Libp2pParty>, place: Place): (components: Components) => Transport {
  return (components) => new WireTransport(wire, place, components)
}

/** The address of a place. */
export function addressOf(host: string): Multiaddr {
  return multiaddr(`/ip4/${host}/tcp/${listenPort}`)
}

/** The IPv4 address in a multiaddr. */
export function hostOf(address: Multiaddr): string {
  return address.getComponents().find(({ name }) => name === 'ip4')?.value ?? ''
}

/** What libp2p hands over to be sent. */
type Chunk = Parameters<AbstractMultiaddrConnection['sendData']>[0]

/** One end of a connection. */
class End extends AbstractMultiaddrConnection {
  readonly #line: Line
  readonly #side: Side
  readonly #other: () => End | undefined

  constructor(
    { line, side, other }: { line: Line; side: Side; other: () => End | undefined },
    init: ConstructorParameters<typeof AbstractMultiaddrConnection>[0]
  ) {
    super(init)
    this.#line = line
    this.#side = side
    this.#other = other
    line.onBroken(side, () => this.onRemoteReset())
  }

  override sendData(data: Chunk): { sentBytes: number; canSendMore: boolean } {
    this.#line.send(this.#side, data.byteLength, () => this.#other()?.deliver(data))
    return { sentBytes: data.byteLength, canSendMore: true }
  }

  /** Past the guard's meter of raw connections, which follows Noise's handshake; those of streams stand above. */
  deliver(data: Chunk): void {
    super.onData(data)
  }

  override sendReset(): void {
    this.#line.end(this.#side)
  }

  override async sendClose(): Promise<void> {
    this.#line.end(this.#side)
    await Promise.resolve()
  }

  /** There is no way to tell a sender to wait; yamux has windows above. */
  override sendPause(): void {}

  override sendResume(): void {}
}

function createEnd(line: Line, side: Side, own: Libp2pParty, other: Libp2pParty, { logger }: Components): End {
  const { dialer, listener } = line.places
  const remoteAddr = side === 'dialer' ? addressOf(listener.host) : multiaddr(`/ip4/${dialer.host}/tcp/40001`)
  const direction = side === 'dialer' ? 'outbound' : 'inbound'
  const init = { remoteAddr, direction, log: logger.forComponent('souk:wire') } as const
  return (own.end = new End({ line, side, other: () => other.end }, init))
}

class WireTransport implements Transport {
  readonly [transportSymbol] = true as const
  readonly [Symbol.toStringTag] = 'souk-wire'
  readonly [serviceCapabilities] = ['@libp2p/transport']
  readonly #wire: Wire<Libp2pParty>
  readonly #place: Place
  readonly #components: Components

  constructor(wire: Wire<Libp2pParty>, place: Place, components: Components) {
    this.#wire = wire
    this.#place = place
    this.#components = components
  }

  async dial(address: Multiaddr, options: DialTransportOptions): Promise<Connection> {
    const { signal, upgrader } = options
    const caller: Libp2pParty = { peerId: this.#components.peerId }
    const dialing = { caller, roundTrips: openingRoundTrips, signal }
    const { line, party } = await this.#wire.dial(this.#place, hostOf(address), dialing)
    const end = createEnd(line, 'dialer', caller, party, this.#components)
    try {
      signal.throwIfAborted()
      const native = { ...options, skipEncryption: true as const, remotePeer: party.peerId }
      return await upgrader.upgradeOutbound(end, native)
    } catch (error) {
      end.abort(error as Error)
      throw error
    }
  }

  createListener({ upgrader }: CreateListenerOptions): Listener {
    return new WireListener(this.#wire, this.#place, this.#components, upgrader)
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter((address) => hostOf(address) !== '')
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return this.listenFilter(addresses)
  }
}

class WireListener extends TypedEventEmitter<ListenerEvents> implements Listener {
  readonly #wire: Wire<Libp2pParty>
  readonly #place: Place
  readonly #components: Components
  readonly #upgrader: Upgrader
  readonly #closing = new AbortController()
  #stop: (() => void) | undefined

  constructor(wire: Wire<Libp2pParty>, place: Place, components: Components, upgrader: Upgrader) {
    super()
    this.#wire = wire
    this.#place = place
    this.#components = components
    this.#upgrader = upgrader
  }

  async listen(): Promise<void> {
    this.#stop = this.#wire.listen(this.#place, (line, caller) => this.#accept(line, caller))
    queueMicrotask(() => this.safeDispatchEvent('listening'))
    await Promise.resolve()
  }

  getAddrs(): Multiaddr[] {
    return [addressOf(this.#place.host)]
  }

  updateAnnounceAddrs(): void {}

  async close(): Promise<void> {
    this.#stop?.()
    this.#closing.abort()
    queueMicrotask(() => this.safeDispatchEvent('close'))
    await Promise.resolve()
  }

  #accept(line: Line, caller: Libp2pParty): Libp2pParty {
    const own: Libp2pParty = { peerId: this.#components.peerId }
    const end = createEnd(line, 'listener', own, caller, this.#components)
    const options = { signal: this.#closing.signal, skipEncryption: true as const, remotePeer: caller.peerId }
    this.#upgrader.upgradeInbound(end, options).catch((error: unknown) => end.abort(error as Error))
    return own
  }
}
