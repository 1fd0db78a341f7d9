import type { PeerId, PrivateKey } from '@libp2p/interface'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { type Channel, type SoukRecord } from '@souk/records'
import type { Datastore } from 'interface-datastore'
import { NetworkError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import type { RecordGate } from './gate.ts'
import { createGossip } from './gossip/gossip.ts'
import { createGuard, type Guard, type GuardInit, type HostGuard } from './guard/guard.ts'
import { createHost, type Host, type HostInit } from './host.ts'

/** What happens on a network. */
export interface NetworkEvents {
  /** The first connection to a peer has opened. */
  'peer-connected': { readonly peer: PeerId }
  /** The last connection to a peer has closed. */
  'peer-disconnected': { readonly peer: PeerId }
}

/** Set-up of a network; see {@link HostInit} for how it is reached. */
export interface NetworkInit extends HostInit {
  readonly now?: () => number
  readonly guard?: Omit<GuardInit, 'now'>
}

/** What a network is made of. */
export interface NetworkComponents {
  /** Peers, DHT values and learnt addresses; a sublevel of the node's database. */
  readonly datastore: Datastore
  /** The Ed25519 key of this installation: not the identity of its user. */
  readonly privateKey: PrivateKey
  /** Made from the guard, since both judge the same peers. */
  readonly gate: (guard: Guard) => RecordGate
}

/** A node's presence among its peers. */
export interface Network extends AsyncDisposable {
  readonly libp2p: Host
  readonly peerId: PeerId
  readonly guard: Guard
  addresses(): Multiaddr[]
  peers(): PeerId[]
  subscribe(market: string, channel: Channel): void
  unsubscribe(market: string, channel: Channel): void
  publish(record: Pick<SoukRecord, 'market' | 'channel' | 'bytes'>): Promise<{ peers: number }>
  connect(address: string | Multiaddr, options?: { signal?: AbortSignal }): Promise<PeerId>
  on<Name extends keyof NetworkEvents>(name: Name, listener: (event: NetworkEvents[Name]) => void): Unsubscribe
}

/** Starts a network; it listens when the promise resolves. */
export async function createNetwork(components: NetworkComponents, init: NetworkInit): Promise<Network> {
  const now = init.now ?? Date.now
  const guard: HostGuard = createGuard({ ...init.guard, now })
  const libp2p = await createHost({ ...components, guard }, init)
  const gate = components.gate(guard)
  const gossip = createGossip({ pubsub: libp2p.services.pubsub, gate, guard }, { now })
  const events = new Emitter<NetworkEvents>()
  libp2p.addEventListener('peer:connect', ({ detail: peer }) => events.emit('peer-connected', { peer }))
  libp2p.addEventListener('peer:disconnect', ({ detail: peer }) => events.emit('peer-disconnected', { peer }))
  return {
    libp2p,
    peerId: libp2p.peerId,
    guard,
    addresses: () => libp2p.getMultiaddrs(),
    peers: () => libp2p.getPeers(),
    subscribe: (market, channel) => gossip.subscribe(market, channel),
    unsubscribe: (market, channel) => gossip.unsubscribe(market, channel),
    publish: async (record) => ({ peers: await gossip.publish(record) }),
    connect: async (address, options) => {
      try {
        return (await libp2p.dial(multiaddr(address.toString()), options)).remotePeer
      } catch (cause) {
        throw new NetworkError('unreachable', `${address.toString()} does not answer: ${(cause as Error).message}`, {
          cause
        })
      }
    },
    on: (name, listener) => events.on(name, listener),
    [Symbol.asyncDispose]: async () => {
      await libp2p.stop()
    }
  }
}
