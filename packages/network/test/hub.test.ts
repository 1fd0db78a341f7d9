import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { memory } from '@libp2p/memory'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import type { SoukRecord } from '@souk/records'
import { createLibp2p } from 'libp2p'
import { expect, it } from 'vitest'
import { createRecordGate } from '../src/gate.ts'
import { createGossip, type Gossip, gossipOptions } from '../src/gossip/gossip.ts'
import { meshDegree } from '../src/gossip/limits.ts'
import { createGuard } from '../src/guard/guard.ts'
import { newSigner, sealListing } from './support/records.ts'
import { TestStore } from './support/store.ts'

type Host = Libp2p<{ identify: object; pubsub: GossipSub }>

/** A node that has gossip and nothing else: no catch-up that would bring what gossip misses, and nobody who dials. */
interface Gossiper extends AsyncDisposable {
  readonly host: Host
  readonly gossip: Gossip
  readonly store: TestStore
}

async function startGossiper(name: string): Promise<Gossiper> {
  const now = Date.now
  const guard = createGuard({ now })
  const host = await createLibp2p({
    addresses: { listen: [`/memory/${name}`] },
    transports: [memory()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: 100 },
    services: { identify: identify(), pubsub: gossipsub(gossipOptions(guard)) }
  })
  guard.attach(host)
  const store = new TestStore()
  const gate = createRecordGate({ store, guard }, { now })
  const gossip = createGossip({ pubsub: host.services.pubsub, gate, guard }, { now, onKeptBack: () => {} })
  gossip.subscribe('main', 'listings/el')
  gossip.start()
  return { host, gossip, store, [Symbol.asyncDispose]: async () => host.stop() }
}

it('tells each peer of a hub of each record, also those for whom its mesh has no place', async () => {
  await using hub = await startGossiper('hub')
  await using publisher = await startGossiper('publisher')
  const leaves = await Promise.all(Array.from({ length: meshDegree.Dhi + 8 }, (_, at) => startGossiper(`leaf-${at}`)))
  await using _leaves = {
    [Symbol.asyncDispose]: async () => void (await Promise.all(leaves.map((leaf) => leaf[Symbol.asyncDispose]())))
  }
  const others = [publisher, ...leaves]
  for (const { host } of others) await host.dial(hub.host.getMultiaddrs()[0]!)
  await untilHeard(hub, others.length)
  for (const one of others) await untilHeard(one, 1)
  const records = Array.from({ length: 40 }, () => sealListing(newSigner()))
  for (const record of records) await publisher.gossip.publish(record)
  for (const { store } of leaves) await store.until(() => hasAll(store, records))
  expect(meshOf(hub).mesh.get(topic)?.size).toBeLessThan(leaves.length)
}, 60_000)

it('tells who enters its mesh of what it passed on a moment before', async () => {
  await using hub = await startGossiper('mesh-hub')
  await using publisher = await startGossiper('mesh-publisher')
  await using newcomer = await startGossiper('mesh-newcomer')
  for (const { host } of [publisher, newcomer]) await host.dial(hub.host.getMultiaddrs()[0]!)
  await untilHeard(hub, 2)
  for (const one of [publisher, newcomer]) await untilHeard(one, 1)
  // Streams keep their order: once a record has come each way the first changes of the mesh are over.
  for (const [one, other] of [
    [publisher, newcomer],
    [newcomer, publisher]
  ] as const) {
    const passed = sealListing(newSigner())
    await one.gossip.publish(passed)
    for (const { store } of [hub, other]) await store.until(() => store.has(passed))
  }
  meshOf(hub).mesh.get(topic)?.delete(newcomer.host.peerId.toString())
  meshOf(newcomer).mesh.get(topic)?.delete(hub.host.peerId.toString())
  const record = sealListing(newSigner())
  await publisher.gossip.publish(record)
  await hub.store.until(() => hub.store.has(record))
  meshOf(newcomer).sendGraft(hub.host.peerId.toString(), [topic])
  await newcomer.store.until(() => newcomer.store.has(record))
  expect(newcomer.store.has(record)).toBe(true)
}, 30_000)

const topic = '/souk/1/main/listings/el'

/** Private parts of gossipsub. */
interface Mesh {
  readonly mesh: Map<string, Set<string>>
  sendGraft(peer: string, topics: string[]): void
}

function meshOf({ host }: Gossiper): Mesh {
  return host.services.pubsub as unknown as Mesh
}

function hasAll(store: TestStore, records: readonly SoukRecord[]): boolean {
  return records.every((record) => store.has(record))
}

/** Waits until so many have said that they carry the channel. */
async function untilHeard({ host: { services }, gossip }: Gossiper, count: number): Promise<void> {
  while (gossip.carriersOf('main', 'listings/el').length < count) {
    await new Promise((resolve) => services.pubsub.addEventListener('subscription-change', resolve, { once: true }))
  }
}
