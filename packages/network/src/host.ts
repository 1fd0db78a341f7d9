import { autoNATv2 } from '@libp2p/autonat-v2'
import { circuitRelayServer, type CircuitRelayService } from '@libp2p/circuit-relay-v2'
import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import type { Identify } from '@libp2p/identify'
import type { Libp2p, PrivateKey, ServiceMap } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { memory } from '@libp2p/memory'
import { noise } from '@libp2p/noise'
import { ping, type Ping } from '@libp2p/ping'
import { yamux } from '@libp2p/yamux'
import type { Datastore } from 'interface-datastore'
import { createLibp2p, type Libp2pInit, type ServiceFactoryMap } from 'libp2p'
import { guardedDht } from './dht/dht.ts'
import type { ReplicaLimits } from './dht/limits.ts'
import { gossipOptions } from './gossip/gossip.ts'
import { watchEncrypter } from './guard/encrypter.ts'
import type { HostGuard } from './guard/guard.ts'
import { crowdSpare } from './guard/limits.ts'
import { watchedTcp } from './guard/tcp.ts'
import { patientWebSockets } from './guard/web-socket.ts'
import {
  connectionsMax,
  peerStoreAges,
  pingIntervalMs,
  pingTimeoutMs,
  type RelayLimits,
  relayLimits,
  streamsPerConnectionDefault,
  streamWindowBytes
} from './limits.ts'
import { announcements, introductions } from './introductions.ts'
import { createPuncher, type Puncher } from './punch.ts'
import { quicFor, withoutQuic } from './quic.ts'
import { patientRelaying } from './reservation.ts'
import { createSilence } from './silence.ts'
import { noteProtocolsOnce } from './spoken.ts'
import { watchStored } from './stored.ts'

/** What a host is for. A relay also carries connections between peers that cannot reach each other. */
export type Role = 'node' | 'relay'

/** The services of every host. */
export interface HostServices extends ServiceMap {
  readonly identify: Identify
  readonly ping: Ping
  readonly pubsub: GossipSub
  readonly dht: KadDHT
  readonly relay?: CircuitRelayService
}

/** Our libp2p. */
export type Host = Libp2p<HostServices>

/** How a host is reached and what it looks for. */
export interface HostInit {
  readonly role: Role
  /**
   * Multiaddrs, e.g. `/ip4/0.0.0.0/tcp/0`; `/ip4/0.0.0.0/udp/0/quic-v1` where its binary loads; `/p2p-circuit` asks the
   * relays that it meets for a reservation.
   */
  readonly listen: readonly string[]
  /** Addresses to tell others in place of those listened on; a relay behind a name or a router must set them. */
  readonly announce?: readonly string[]
  /** Look for nodes on the LAN, and answer those that look. */
  readonly mdns?: boolean
  /**
   * `memory` joins hosts of one process over `/memory/…` addresses, for tests. A simulation brings transports of its
   * own, which say themselves who is at the other end.
   */
  readonly transports?: 'real' | 'memory' | NonNullable<Libp2pInit['transports']>
  /** A `client` asks the DHT but holds nothing for others: for a node that goes again in a minute. */
  readonly dht?: 'server' | 'client'
  /** What this node keeps of the DHT for others; what is left out is as in `replicaLimits`. */
  readonly dhtLimits?: Partial<ReplicaLimits>
  /** By default the system's clock. */
  readonly now?: () => number
  /** Connections at once. Default: `connectionsMax` of the role. */
  readonly connectionsMax?: number
  /** Streams that one connection may have open at a time, each way. Default: {@link streamsPerConnectionDefault}. */
  readonly streamsPerConnectionMax?: number
  /** What a relay does for peers behind NAT; what is left out is as in `relayLimits`. */
  readonly relay?: Partial<RelayLimits>
}

/**
 * A libp2p node set up as PROTOCOL section 3 says, to be started once all who are to hear of its connections listen:
 * what two peers tell each other at the start, they tell once. It looks for nobody by itself, but its DHT connects to
 * those whom it knew before a restart, sooner than anybody can ask it anything.
 */
export async function createHost(
  components: { datastore: Datastore; privateKey: PrivateKey; guard: HostGuard },
  init: HostInit
): Promise<Host> {
  const { datastore, privateKey, guard } = components
  const connections = init.connectionsMax ?? connectionsMax[init.role]
  const streams = init.streamsPerConnectionMax ?? streamsPerConnectionDefault
  const isReal = init.transports === undefined || init.transports === 'real'
  const quic = isReal ? await quicFor(init.listen) : []
  const puncher = await createPuncher()
  const listen = quic.length > 0 ? init.listen : withoutQuic(init.listen)
  const host = await createLibp2p<HostServices>({
    datastore,
    privateKey,
    nodeInfo: { name: 'souk', version: '1', userAgent: 'souk/1' },
    addresses: { listen: [...listen], announce: [...(init.announce ?? [])] },
    transports: [...transportsOf(init, { guard, puncher }), ...quic],
    connectionEncrypters: [watchEncrypter(noise())],
    streamMuxers: [
      guard.muxer(
        yamux({
          enableKeepAlive: false,
          maxInboundStreams: streams,
          maxOutboundStreams: streams,
          streamOptions: { maxStreamWindowSize: streamWindowBytes }
        })
      )
    ],
    connectionGater: guard.gater,
    metrics: guard.metrics,
    // Whoever asks for libp2p's log by the variable that it looks at gets it.
    ...(process.env['DEBUG'] === undefined ? { logger: createSilence() } : {}),
    connectionManager: {
      maxConnections: connections + crowdSpare,
      maxIncomingPendingConnections: guard.handshakes.max,
      inboundUpgradeTimeout: guard.handshakes.timeoutMs,
      inboundConnectionThreshold: guard.handshakes.perHostPerSecond
    },
    connectionMonitor: { pingInterval: pingIntervalMs, pingTimeout: { minTimeout: pingTimeoutMs } },
    peerStore: peerStoreAges,
    peerDiscovery: init.mdns === true ? [lanDiscovery()] : [],
    start: false,
    services: servicesOf(init, { guard, puncher })
  })
  noteProtocolsOnce(host.peerStore, await watchStored(host.peerStore, { datastore, self: host.peerId }))
  puncher.attach(host)
  guard.attach(host, {
    connectionsMax: connections,
    reservations: () => host.services.relay?.reservations ?? []
  })
  return host
}

/** What transports and services are made with. */
interface Parts {
  readonly guard: HostGuard
  readonly puncher: Puncher
}

function transportsOf({ transports }: HostInit, { guard, puncher }: Parts): NonNullable<Libp2pInit['transports']> {
  if (transports === 'memory') return [memory()]
  if (transports !== undefined && transports !== 'real') return transports
  return [watchedTcp(puncher.tcp, guard), patientWebSockets(guard), patientRelaying()]
}

/** Quiet where there is no network: multicast errors go to the log, and the next query tries again. */
function lanDiscovery(): ReturnType<typeof mdns> {
  return mdns({ serviceTag: '_souk._udp.local', interval: 20_000 })
}

function servicesOf(init: HostInit, { guard, puncher }: Parts): ServiceFactoryMap<HostServices> {
  const base = {
    identify: introductions(),
    identifyPush: announcements(),
    ping: ping(),
    pubsub: gossipsub(gossipOptions(guard)),
    dht: guardedDht(
      { guard },
      { now: init.now ?? Date.now, clientMode: init.dht === 'client', limits: init.dhtLimits ?? {} }
    )
  }
  if (init.transports !== undefined && init.transports !== 'real') return base
  const reach = { ...base, autonat: autoNATv2(), dcutr: puncher.dcutr }
  return init.role === 'relay' ? { ...reach, relay: relayService(init.relay) } : reach
}

function relayService(init: Partial<RelayLimits> = {}): ReturnType<typeof circuitRelayServer> {
  const limits: RelayLimits = { ...relayLimits, ...init }
  return circuitRelayServer({
    reservations: {
      maxReservations: limits.reservationsMax,
      reservationTtl: limits.reservationMs,
      defaultDurationLimit: limits.connectionMs,
      defaultDataLimit: limits.connectionBytes
    }
  })
}
