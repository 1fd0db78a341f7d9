/**
 * A node of the simulation: the real `@souk/network` over the real `@souk/storage`, on a simulated disk, wire and
 * clock. It can be stopped as a user stops it, killed, or lose its power, and started again on what its disk has kept.
 */
import {
  createNetwork,
  type Network,
  type NetworkComponents,
  type NetworkInit,
  peerKeyFromSeed,
  type Role
} from '@souk/network'
import { type AnyRecord, type Channel, type Signer, signerFromKey, type SoukRecord, type Verifier } from '@souk/records'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { createStorage, type Storage } from '@souk/storage'
import { createDisk, type Disk } from './disk.ts'
import { createLightHost, type LightParty } from './light-host.ts'
import type { Random } from './random.ts'
import { addressOf, createTransport, type Libp2pParty } from './transport.ts'
import type { Place, Wire } from './wire.ts'

/** Which code is below our protocols. */
export type Stack = 'light' | 'libp2p'

/** What all peers of a run share. */
export interface PeerComponents {
  readonly wire: Wire<unknown>
  readonly stack: Stack
  readonly nowMs: () => number
  readonly verifier: Verifier
  readonly shared: Map<string, string>
  /** What the network is given in place of the store: for liars. */
  readonly disguise: (components: NetworkComponents) => NetworkComponents
  readonly heartbeatMs?: number
  readonly onStreamBytes?: (protocol: string, bytes: number) => void
  readonly onStarted?: (peer: Peer, network: Network) => void
}

export interface PeerInit {
  readonly name: string
  readonly role: Role
  readonly host: string
  readonly random: Random
  readonly channels: readonly Channel[]
  readonly bootstrap: readonly string[]
  /** Its clock is so much ahead of the true one. */
  readonly clockSkewMs: number
  /** Asked at each start. */
  readonly guard: () => NonNullable<NetworkInit['guard']>
}

/** How a peer goes away. */
export type Departure = 'stopped' | 'killed' | 'power-cut'

export interface Peer {
  readonly name: string
  readonly role: Role
  readonly host: string
  readonly channels: readonly Channel[]
  readonly signer: Signer
  /** Undefined while it is away. */
  readonly network: Network | undefined
  readonly storage: Storage | undefined
  readonly place: Place | undefined
  readonly isUp: boolean
  readonly peerId: string
  /** What its network stands on, as the network sees it. */
  readonly components: NetworkComponents | undefined
  /** A multiaddr to bootstrap from. */
  readonly address: string
  nowMs(): number
  received(): number
  start(): Promise<void>
  leave(departure: Departure): Promise<void>
  /** Stores one of its own records durably, then tells the network. */
  publish(record: SoukRecord): Promise<void>
}

export async function createPeer(components: PeerComponents, init: PeerInit): Promise<Peer> {
  const { random } = init
  const privateKey = await peerKeyFromSeed(random.bytes(32))
  const signer = signerFromKey(random.bytes(32))
  const disk = createDisk({ now: components.nowMs, random: random.fork('disk'), shared: components.shared })
  return new SimulatedPeer(components, init, { privateKey, signer, disk })
}

interface Belongings {
  readonly privateKey: NetworkComponents['privateKey']
  readonly signer: Signer
  readonly disk: Disk
}

/** As housework in `@souk/node` does. */
const sweepEveryMs = 5 * 60_000

class SimulatedPeer implements Peer {
  readonly name: string
  readonly role: Role
  readonly host: string
  readonly channels: readonly Channel[]
  readonly signer: Signer
  readonly peerId: string
  components: NetworkComponents | undefined
  network: Network | undefined
  storage: Storage | undefined
  place: Place | undefined
  readonly #components: PeerComponents
  readonly #init: PeerInit
  readonly #belongings: Belongings
  #received = 0
  #housework: NodeJS.Timeout | undefined

  constructor(components: PeerComponents, init: PeerInit, belongings: Belongings) {
    this.name = init.name
    this.role = init.role
    this.host = init.host
    this.channels = init.channels
    this.signer = belongings.signer
    this.peerId = peerIdFromPrivateKey(belongings.privateKey).toString()
    this.#components = components
    this.#init = init
    this.#belongings = belongings
  }

  get isUp(): boolean {
    return this.network !== undefined
  }

  get address(): string {
    return `${addressOf(this.host).toString()}/p2p/${this.peerId}`
  }

  nowMs(): number {
    return Math.floor(this.#components.nowMs() + this.#init.clockSkewMs)
  }

  received(): number {
    return this.#received + (this.place?.traffic.received ?? 0)
  }

  async start(): Promise<void> {
    const now = (): number => this.nowMs()
    const { disk, privateKey } = this.#belongings
    const storage = await createStorage({ level: disk.open() as never, now, search: 'off' })
    const place = this.#components.wire.plug(this.host)
    const { records, sync } = storage
    const plain: NetworkComponents = { datastore: storage.datastore('libp2p'), privateKey, records, sync }
    const given = this.#components.disguise(plain)
    const network = await createNetwork(given, {
      role: this.role,
      listen: [addressOf(this.host).toString()],
      carry: { main: this.channels },
      bootstrap: this.#init.bootstrap,
      verifier: this.#components.verifier,
      // Work takes no time here; real CPU time would make two runs differ.
      cpuMs: () => 0,
      now,
      ...this.#hostInit(place),
      guard: this.#init.guard()
    })
    this.components = given
    this.storage = storage
    this.network = network
    this.place = place
    this.#housework = setInterval(() => void storage.sweep(), sweepEveryMs)
    this.#components.onStarted?.(this, network)
  }

  async leave(departure: Departure): Promise<void> {
    const { network, storage, place } = this
    if (network === undefined || storage === undefined || place === undefined) return
    clearInterval(this.#housework)
    this.network = this.storage = this.components = this.place = undefined
    if (departure === 'stopped') {
      await network[Symbol.asyncDispose]()
      await storage.close()
    } else {
      this.#components.wire.unplug(place, { reset: departure === 'killed' })
      this.#belongings.disk.crash({ power: departure === 'power-cut' })
      // Nobody hears of it any more; this only ends its timers.
      void network.libp2p.stop()
      void network[Symbol.asyncDispose]()
    }
    this.#received += place.traffic.received
  }

  async publish(record: SoukRecord): Promise<void> {
    const { network, components } = this
    const records = components?.records as Storage['records'] | undefined
    await records?.put([record as AnyRecord], { own: true })
    await network?.publish(record)
  }

  #hostInit(place: Place): Partial<NetworkInit> {
    const { stack, wire, heartbeatMs, onStreamBytes } = this.#components
    if (stack === 'libp2p') return { transports: [createTransport(wire as Wire<Libp2pParty>, place)] }
    const random = this.#init.random.fork('host')
    const init = { wire: wire as Wire<LightParty>, place, random, heartbeatMs, onStreamBytes }
    return { createHost: createLightHost(init) }
  }
}
