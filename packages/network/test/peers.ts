import { identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey } from '@libp2p/interface'
import { type KadDHT, kadDHT, passthroughMapper, type SingleKadDHT } from '@libp2p/kad-dht'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { MemoryLevel } from 'memory-level'
import { walkToTheEnd } from '../src/dht/walk.ts'
import { feedbackDhtInit } from '../src/feedback/value.ts'
import type { Guard } from '../src/exchange.ts'
import type { KeyValueStore } from '../src/store.ts'

/** A libp2p node with the DHT, as the tests of one protocol need it. */
export type Peer = Libp2p<{ dht: SingleKadDHT }>

export interface PeerInit {
  readonly clientMode?: boolean
  readonly now?: () => number
  /** Be a circuit relay for others. */
  readonly relay?: boolean
  /** Listen through a relay only. */
  readonly behindRelay?: boolean
  /** Who it is; a new one by default. */
  readonly privateKey?: PrivateKey
}

export async function createPeer(init: PeerInit = {}): Promise<Peer> {
  const libp2p = await createLibp2p({
    ...(init.privateKey && { privateKey: init.privateKey }),
    addresses: { listen: init.behindRelay ? ['/p2p-circuit'] : ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: Number.POSITIVE_INFINITY },
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/souk/kad/1.0.0',
        clientMode: init.clientMode ?? false,
        peerInfoMapper: passthroughMapper,
        initialQuerySelfInterval: 10,
        ...feedbackDhtInit(init.now && { now: init.now })
      }),
      ...(init.relay && { relay: circuitRelayServer() })
    }
  })
  const peer = libp2p as unknown as Peer
  walkToTheEnd(peer.services.dht, peer.peerId)
  return peer
}

/** Connects each new node to the first one, as to a relay, and waits until all servers are in its routing table. */
export async function connectAll(peers: readonly Peer[]): Promise<void> {
  const [hub, ...others] = peers
  for (const peer of others) await peer.dial(hub!.getMultiaddrs())
  await Promise.all(peers.map((peer) => knows(peer, Math.min(peers.filter(isServer).length - 1, 7))))
}

/** Whoever takes part in the DHT. */
export interface Knowing {
  readonly services: { readonly dht: KadDHT }
}

/** Resolves when the routing table has at least `count` peers. */
export async function knows(peer: Knowing, count: number): Promise<void> {
  const dht = peer.services.dht as SingleKadDHT
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => {
    if (dht.routingTable.size >= count) resolve()
  }
  const table = dht.routingTable as unknown as EventTarget
  table.addEventListener('peer:add', look)
  look()
  if (dht.routingTable.size < count) await dht.refreshRoutingTable()
  await promise
  table.removeEventListener('peer:add', look)
}

/** A store in memory; the same `store` given to a second node is what a restart finds on disk. */
export function memoryStore(): KeyValueStore {
  return new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
}

/** Counts what it is told, and allows what `allow` says. */
export function recordingGuard(allow: Guard['allow'] = () => true): Guard & { readonly codes: string[] } {
  const codes: string[] = []
  return { allow, allowAddress: () => true, charge: () => {}, punish: (_peer, code) => void codes.push(code), codes }
}

function isServer(peer: Peer): boolean {
  return peer.services.dht.getMode() === 'server'
}
