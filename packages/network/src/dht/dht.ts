/**
 * The DHT as a node takes part in it. kad-dht serves whoever asks as often as they ask, keeps provider records of
 * anybody for anything, takes keys that are none of ours, and never tells who put a value: all that is decided here,
 * before one of its handlers runs.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import assert from 'node:assert/strict'
import type { PeerId, StreamHandler } from '@libp2p/interface'
import { type KadDHT, kadDHT, type KadDHTComponents, type KadDHTInit, passthroughMapper } from '@libp2p/kad-dht'
import type { Datastore } from 'interface-datastore'
import { sameBytes } from '@souk/records'
import { feedbackDhtInit } from '../feedback/value.ts'
import { blockOf } from '../guard/address.ts'
import type { Guard } from '../guard/guard.ts'
import { mayPutValue } from '../guard/values.ts'
import { createPresenceValidator, presenceNamespace, selectPresence, standingValue } from '../presence/value.ts'
import { ProtocolError } from '../protocol-error.ts'
import { createAnswering } from './answering.ts'
import { paceQuestions } from './asking.ts'
import { findNodeBefore } from './find-node.ts'
import { dhtProtocol, replicaLimits, type ReplicaLimits } from './limits.ts'
import type { HandleQuestion } from './message.ts'
import { createNearest, type FindNearest } from './nearest.ts'
import { createReception } from './reception.ts'
import { type Putter, Replicas } from './replicas.ts'
import type { RoutingTable } from './table.ts'
import { walkToTheEnd } from './walk.ts'

export interface DhtInit {
  readonly now: () => number
  /** Ask, but hold nothing for others. */
  readonly clientMode: boolean
  readonly limits?: Partial<ReplicaLimits>
}

/** For `services` of libp2p. */
export function guardedDht(
  { guard }: { guard: Pick<Guard, 'allow' | 'allowAddress' | 'punish'> },
  init: DhtInit
): (components: KadDHTComponents) => KadDHT {
  return (components) => {
    const asking = new AsyncLocalStorage<Putter>()
    const limits: ReplicaLimits = { ...replicaLimits, ...init.limits }
    const replicas = new Replicas(components.datastore, { now: init.now, limits, putter: () => asking.getStore() })
    const make = kadDHT({
      protocol: dhtProtocol,
      ...valueInit({
        datastore: replicas,
        now: init.now,
        mayBeChecked: () => {
          const putter = asking.getStore()
          return putter === undefined || mayPutValue(guard, putter.peer)
        }
      }),
      clientMode: init.clientMode,
      // Markets live on LANs and loopback too.
      peerInfoMapper: passthroughMapper
    })
    const dht = make(Object.create(components, { datastore: { value: replicas } }) as KadDHTComponents)
    closeNamespaces(dht)
    walkToTheEnd(dht, components.peerId)
    paceQuestions(dht)
    const blockOfPeer = (peer: PeerId): string => {
      const [connection] = components.connectionManager.getConnections(peer)
      return connection === undefined ? 'unconnected' : blockOf(connection.remoteAddr)
    }
    const { rpc, peerRouting, routingTable: table } = internalsOf(dht)
    const { peerStore, events } = components
    const otherwise = peerRouting.getClosestPeersOffline.bind(peerRouting)
    const nearest = createNearest({ table, peerStore, events }, { otherwise, clock: init.now })
    peerRouting.getClosestPeersOffline = nearest
    const handle = findNodeBefore(rpc.handleMessage.bind(rpc), { nearest, self: components.peerId })
    rpc.onIncomingStream = createReception(createAnswering({ guard, replicas, handle, blockOfPeer, asking }))
    return dht
  }
}

interface ValueInit {
  readonly datastore: Datastore
  readonly now: () => number
  /** False when whoever is asking has had as many values checked as a peer may; true for what this node checks itself. */
  readonly mayBeChecked: () => boolean
}

/** The two kinds of values: `/souk/` immutable, `/presence/` the newest of an identity. */
function valueInit({
  datastore,
  now,
  mayBeChecked
}: ValueInit): Required<Pick<KadDHTInit, 'validators' | 'selectors'>> {
  const feedback = feedbackDhtInit({ now })
  const presence = createPresenceValidator({ now, standing: (key) => standingValue(datastore, key) })
  return {
    validators: {
      souk: async (key, value) => {
        // Three signatures take a millisecond. What is held byte for byte has been checked.
        const held = await standingValue(datastore, key)
        if (held !== undefined && sameBytes(held, value)) return
        if (!mayBeChecked()) throw new ProtocolError('refused', 'this peer has had enough values checked')
        feedback.validators['souk']?.(key, value)
      },
      [presenceNamespace]: (key, value) => {
        if (!mayBeChecked()) throw new ProtocolError('refused', 'this peer has had enough values checked')
        return presence(key, value)
      }
    },
    selectors: { ...feedback.selectors, [presenceNamespace]: (key, values) => selectPresence(key, values, now()) }
  }
}

/**
 * Leaves `/souk/` and `/presence/` as the only kinds of key. kad-dht knows `/pk/` besides, which holds any public key
 * that somebody makes up, and finds its validators in a plain object: `/constructor/…` and `/toString/…` find the ones
 * of `Object`, which take everything.
 */
function closeNamespaces({ validators, selectors }: Pick<KadDHT, 'validators' | 'selectors'>): void {
  for (const table of [validators, selectors]) {
    delete table['pk']
    Object.setPrototypeOf(table, null)
  }
}

/** What of kad-dht its interface leaves out. The tests of this folder hold a new version to it. */
interface KadDHTInternals {
  readonly rpc: {
    readonly handleMessage: HandleQuestion
    onIncomingStream: StreamHandler
  }
  readonly peerRouting: { getClosestPeersOffline: FindNearest }
  readonly routingTable: RoutingTable
}

function internalsOf(dht: KadDHT): KadDHTInternals {
  const internals = dht as KadDHT & KadDHTInternals
  requireMethod(internals.rpc, 'handleMessage')
  requireMethod(internals.rpc, 'onIncomingStream')
  requireMethod(internals.peerRouting, 'getClosestPeersOffline')
  requireMethod(internals.routingTable.kb ?? {}, 'toIterable')
  requireMethod(internals.routingTable, 'addEventListener')
  return internals
}

function requireMethod(part: object, name: string): void {
  assert.equal(
    typeof (part as Record<string, unknown>)[name],
    'function',
    'kad-dht answers its peers in another way than this was made for'
  )
}
