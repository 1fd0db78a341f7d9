import { setTimeout as wait } from 'node:timers/promises'
import { lpStream } from '@libp2p/utils'
import type { Network } from '@souk/network'
import { type AnyRecord, createVerifier, openRecord, topicOf } from '@souk/records'
import { compare, createSigner, median, percentile, type Report, scratch, sealListings } from './measure.ts'
import { addressOf, openPeer, type Peer } from './peers.ts'

/** Of a round; a multiple of each of the sizes. */
const messages = 210
/** After the first, in which code is cold: each node compiles in it what it then runs for days. */
const warmRounds = 2
/** Links that each node opens when it joins; the mesh and the keeper add to them. */
const linksEach = 4
/** Between two messages: 40 a second, of the 50 that a node takes from a neighbour. Up to ten nodes fill half of a core. */
const fastPaceMs = 25
/** More nodes have more time, so that the process that plays them all is not asked for what it cannot: no queue is measured. */
const nodesAtPaceMax = 10
const paceMsPerNodeBeyond = 4
/** Where little is said, each message finds threads asleep and caches cold. */
const slowPaceMs = 100
/** By then those who have just met have caught up, and told each other what there is to tell. */
const settleMs = 12_000
/** Rest is what the middle one of so many takes: in one of them V8 clears the heap of what the round before left there. */
const restSliceMs = 500
const restSlices = 24
const rawProtocol = '/bench/fan-out/1'

const folder = await scratch()
try {
  process.send?.(await benchMarket(Number(process.argv[2]), folder.path))
} finally {
  await folder[Symbol.asyncDispose]()
}

/**
 * Gossip between nodes with a socket and a store on disk each, all in this process: how long a listing of 1 kB takes to
 * every other node, and what it costs each node in CPU, all threads together, publishing included: once without what
 * the same node takes at rest in that time, which is what messages cost, and twice with it, at two paces. The baseline
 * sends each listing once to every node over a plain libp2p stream, where it is verified and no more: a publisher that
 * knew everybody, and no mesh.
 */
async function benchMarket(nodes: number, directory: string): Promise<Report> {
  await using stack = new AsyncDisposableStack()
  const peers = await openMarket(stack, { nodes, directory })
  const [publisher, ...others] = peers
  if (publisher === undefined) throw new Error('a market needs a node')
  const [cold = [], slow = [], ...warm] = sealRounds(2 + warmRounds)
  const fastMs = nodes > nodesAtPaceMax ? nodes * paceMsPerNodeBeyond : fastPaceMs
  /** For each message at each node. */
  const shareMs = async (task: () => Promise<unknown>): Promise<number> => (await cpuMs(task)) / messages / nodes
  const coldFanOut = await shareMs(() => fanOut(publisher, others, cold))
  await wait(settleMs)
  /** Of a node, each second. */
  const restingMs = ((await cpuOfRest()) / nodes / restSliceMs) * 1000
  const coldGossip = await shareMs(() => gossip(peers, cold, { paceMs: fastMs, delays: [] }))
  const delays: number[] = []
  const rounds: number[] = []
  const startMs = performance.now()
  for (const records of warm) rounds.push(await shareMs(() => gossip(peers, records, { paceMs: fastMs, delays })))
  const perSecond = (warmRounds * messages) / ((performance.now() - startMs) / 1000)
  const slowGossip = await shareMs(() => gossip(peers, slow, { paceMs: Math.max(slowPaceMs, fastMs), delays: [] }))
  // Noise only ever slows down.
  const warmGossip = Math.min(...rounds)
  const warmFanOut = await shareMs(() => fanOut(publisher, others, cold))
  const name = `gossip between ${nodes} nodes`
  return {
    [`${name}, CPU a message a node, against a plain verified fan-out`]: compare('ms', {
      value: warmGossip - restingMs / perSecond,
      baseline: warmFanOut
    }),
    [`${name}, CPU a message a node with what rest costs, against such a fan-out`]: compare('ms', {
      value: warmGossip,
      baseline: warmFanOut
    }),
    [`${name}, CPU a message a node with what rest costs, of ten a second at most, against such a fan-out`]: compare(
      'ms',
      {
        value: slowGossip,
        baseline: warmFanOut
      }
    ),
    [`${name}, CPU a message a node while code is cold, against such a fan-out`]: compare('ms', {
      value: coldGossip,
      baseline: coldFanOut
    }),
    [`${name}, CPU a second of a node at rest, against one with these messages`]: compare('ms', {
      value: restingMs,
      baseline: warmGossip * perSecond
    }),
    [`${name}, delivery p99, against its p50`]: compare('ms', {
      value: percentile(delays, 99),
      baseline: median(delays)
    })
  }
}

/** Nodes that have joined one after the other, and know of each other what gossip needs. */
async function openMarket(
  stack: AsyncDisposableStack,
  { nodes, directory }: { nodes: number; directory: string }
): Promise<Peer[]> {
  const peers: Peer[] = []
  for (let index = 0; index < nodes; index++) {
    const peer = stack.use(await openPeer(`${directory}/${index}`, { search: 'off' }))
    for (const other of shuffled(peers).slice(0, linksEach)) await peer.network.connect(addressOf(other.network))
    peers.push(peer)
  }
  await untilJoined(peers)
  return peers
}

/** Different listings in each. */
function sealRounds(count: number): AnyRecord[][] {
  const records = sealListings(count * messages, createSigner())
  return Array.from({ length: count }, (_, round) => records.slice(round * messages, (round + 1) * messages))
}

/** Publishes at a pace, each from another node, and returns when every node has checked and stored all of the others. */
async function gossip(
  peers: readonly Peer[],
  records: readonly AnyRecord[],
  { paceMs, delays }: { paceMs: number; delays: number[] }
): Promise<void> {
  const sentAt = new Map<string, number>()
  const everywhere = Promise.all(
    peers.map(({ network }) => untilHeard(network, { sentAt, delays, count: messages - messages / peers.length }))
  )
  for (const [index, record] of records.entries()) {
    const publisher = peers[index % peers.length]
    sentAt.set(record.id, performance.now())
    await publisher?.storage.records.put([record], { own: true, sync: false })
    await publisher?.network.publish(record)
    await wait(paceMs)
  }
  await everywhere
}

interface Hearing {
  readonly sentAt: ReadonlyMap<string, number>
  readonly delays: number[]
  readonly count: number
}

function untilHeard(network: Network, { sentAt, delays, count }: Hearing): Promise<void> {
  const heard = new Set<string>()
  return new Promise((resolve) => {
    const off = network.on('record-checked', ({ result: { id } }) => {
      const startedAt = id === undefined ? undefined : sentAt.get(id)
      if (id === undefined || startedAt === undefined || heard.has(id)) return
      heard.add(id)
      delays.push(performance.now() - startedAt)
      if (heard.size < count) return
      off()
      resolve()
    })
  })
}

async function fanOut(publisher: Peer, others: readonly Peer[], records: readonly AnyRecord[]): Promise<void> {
  const verify = createVerifier()
  const nowMs = Date.now()
  await Promise.all(
    others.map(async ({ network }) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      await network.libp2p.handle(rawProtocol, async (stream) => {
        const frames = lpStream(stream)
        for (const _ of records) openRecord((await frames.read()).subarray(), { nowMs, verify })
        resolve()
      })
      const connection = await publisher.network.libp2p.dial(network.addresses())
      const frames = lpStream(await connection.newStream(rawProtocol))
      for (const { bytes } of records) await frames.write(bytes)
      await promise
      await network.libp2p.unhandle(rawProtocol)
    })
  )
}

/** Everybody knows who else carries the topic, and a heartbeat has passed. */
async function untilJoined(peers: readonly Peer[]): Promise<void> {
  const topic = topicOf('main', 'listings/hg')
  const enough = Math.min(linksEach, peers.length - 1)
  const isJoined = ({ network }: Peer): boolean => network.libp2p.services.pubsub.getSubscribers(topic).length >= enough
  while (!peers.every(isJoined)) await wait(100)
  await wait(1000)
}

async function cpuOfRest(): Promise<number> {
  const slices: number[] = []
  for (let index = 0; index < restSlices; index++) slices.push(await cpuMs(() => wait(restSliceMs)))
  return median(slices)
}

async function cpuMs(task: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await task()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((value) => ({ value, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value)
}
