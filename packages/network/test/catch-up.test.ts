import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { createReconciler, createItemVector } from '@souk/negentropy'
import type { SoukRecord } from '@souk/records'
import { describe, expect, it } from 'vitest'
import {
  encodeNews,
  encodePartitions,
  encodeQuestion,
  encodeReconciled,
  encodeRecords,
  encodeTail
} from '../src/catch-up/frames.ts'
import type { CatchUpReport } from '../src/catch-up/client.ts'
import { newsAfterMs } from '../src/catch-up/limits.ts'
import { addressOf, join, nextEvent, settle, startNode, type TestNode } from './support/net.ts'
import { newSigner, sealListing } from './support/records.ts'
import { TestStore } from './support/store.ts'

const protocol = '/souk/sync/1'

describe('catch-up', () => {
  it('brings a late joiner everything that is live, and nothing that was deleted', async () => {
    const store = new TestStore()
    const author = newSigner()
    const live = Array.from({ length: 300 }, (_, number) =>
      sealListing(author, { number, lifeMs: dayMs * (1 + (number % 20)) })
    )
    await store.put(live)
    await store.put([sealListing(author, { number: 7, seq: 2, deleted: true })])
    await using seller = await startNode({ store })
    await using joiner = await startNode()
    const report = nextEvent(joiner.network, 'caught-up')
    await joiner.network.connect(addressOf(seller))
    expect(await report).toMatchObject({ fetched: 300, stored: 300, equal: false })
    expect(joiner.store.records.size).toBe(300)
    expect(joiner.store.has(live[7]!)).toBe(false)
    const again = await joiner.network.catchUp(seller.network.peerId)
    expect(again).toMatchObject({ fetched: 0, equal: true })
  })

  it('brings what had too little work once less is asked', async () => {
    const store = new TestStore()
    const records = [12, 15].map((workBits, number) => sealListing(newSigner(), { number, workBits }))
    await store.put(records)
    const room = { shared: 0.84, receipts: 0 }
    await using seller = await startNode({ store })
    await using victim = await startNode({ price: { fullness: () => room } })
    const [first] = await Promise.all([nextEvent(victim.network, 'caught-up'), join(victim, seller)])
    expect(first).toMatchObject({ fetched: 2, stored: 1 })
    room.shared = 0
    expect(await victim.network.catchUp(seller.network.peerId)).toMatchObject({ fetched: 1, stored: 1 })
    expect(await victim.network.catchUp(seller.network.peerId)).toMatchObject({ fetched: 0, equal: true })
    expect(victim.network.guard.report()).toEqual([])
  })

  it('stops fetching where hardly anything has the work that is asked, at nobody’s cost', async () => {
    const author = newSigner()
    const spam = Array.from({ length: 8000 }, (_, number) => sealListing(author, { number, workBits: 0 }))
    const [store, honest] = [new TestStore(), new TestStore()]
    await store.put(spam)
    const good = sealListing(newSigner())
    await honest.put([good])
    await using spammer = await startNode({ store })
    await using seller = await startNode({ store: honest })
    await using victim = await startNode()
    const [report] = await Promise.all([nextEvent(victim.network, 'caught-up'), join(victim, spammer)])
    expect(report.fetched).toBeGreaterThan(1000)
    expect(report.fetched).toBeLessThan(6000)
    expect(report.stored).toBe(0)
    expect(victim.network.guard.report()).toEqual([])
    await Promise.all([victim.store.until(() => victim.store.has(good)), join(victim, seller)])
    expect(victim.store.records.size).toBe(1)
  })

  it('takes what comes after all that it has without a list of ids', async () => {
    const nowMs = Date.now() - 1000
    const author = newSigner()
    const all = Array.from({ length: 300 }, (_, number) => sealListing(author, { number, nowMs: nowMs + number }))
    const [whole, part] = [new TestStore(), new TestStore()]
    await whole.put(all)
    await part.put(all.slice(0, 200))
    await using a = await startNode({ store: whole })
    await using b = await startNode({ store: part })
    const report = nextEvent(b.network, 'caught-up')
    await b.network.connect(addressOf(a))
    const payload = all.slice(200).reduce((sum, { bytes }) => sum + bytes.length, 0)
    const { bytes, stored, fetched } = await report
    expect({ stored, fetched }).toEqual({ stored: 100, fetched: 100 })
    // Four bytes a record; an id is 32, and was sent twice.
    expect(bytes - payload).toBeLessThan(4 * 100 + 400)
  })

  it('fetches neither records twice nor ids at all when it has followed the log', async () => {
    const author = newSigner()
    const store = new TestStore()
    await store.put([sealListing(author)])
    await using a = await startNode({ store })
    await using b = await startNode()
    await settle(a, b)
    const news = Array.from({ length: 600 }, (_, number) => sealListing(author, { number: 2 + number }))
    await store.put(news)
    const payload = news.reduce((sum, { bytes }) => sum + bytes.length, 0)
    const { bytes, fetched } = await b.network.catchUp(a.network.peerId)
    expect(fetched).toBe(600)
    expect(bytes - payload).toBeLessThan(4 * 600 + 600)
  })

  it('lists ids when it has heard much from elsewhere meanwhile, and fetches none of that again', async () => {
    const author = newSigner()
    await using a = await startNode()
    await using b = await startNode()
    await settle(a, b)
    const heard = Array.from({ length: 200 }, (_, number) => sealListing(author, { number }))
    await a.store.put([...heard, sealListing(author, { number: 200 })])
    await b.store.put(heard)
    expect(await b.network.catchUp(a.network.peerId)).toMatchObject({ fetched: 1, stored: 1 })
  })

  it('takes nothing back from a peer that was behind, and has caught up meanwhile', async () => {
    const author = newSigner()
    await using a = await startNode()
    await a.store.put(Array.from({ length: 200 }, (_, number) => sealListing(author, { number })))
    await using b = await startNode({ carry: {} })
    const reports: CatchUpReport[] = []
    a.network.on('caught-up', (report) => reports.push(report))
    const asked = nextEvent(a.network, 'caught-up')
    await b.network.connect(addressOf(a))
    await asked
    b.network.subscribe('main', 'listings/el')
    await b.network.catchUp(a.network.peerId)
    expect(b.store.records.size).toBe(200)
    const { equal, bytes } = await a.network.catchUp(b.network.peerId)
    expect(equal).toBe(true)
    expect(bytes).toBeLessThan(400)
    expect(reports.map(({ fetched }) => fetched)).not.toContain(200)
  })

  it('fetches a record once that it knows to be superseded, not with every tail', async () => {
    const author = newSigner()
    const [old, fresh] = [new TestStore(), new TestStore()]
    await old.put([sealListing(author, { seq: 1, lifeMs: 5 * dayMs })])
    await fresh.put([sealListing(author, { seq: 2, lifeMs: 9 * dayMs })])
    await using a = await startNode({ store: old, carry: {} })
    await using b = await startNode({ store: fresh })
    const first = nextEvent(b.network, 'caught-up')
    await b.network.connect(addressOf(a))
    expect(await first).toMatchObject({ fetched: 1, stored: 0 })
    expect(await b.network.catchUp(a.network.peerId)).toMatchObject({ fetched: 0, stored: 0 })
  })

  it('does not bring back what the node saw deleted', async () => {
    const author = newSigner()
    const listing = sealListing(author)
    const tombstone = sealListing(author, { seq: 2, deleted: true })
    const [old, fresh] = [new TestStore(), new TestStore()]
    await old.put([listing])
    await fresh.put([listing])
    await fresh.put([tombstone])
    await using a = await startNode({ store: old })
    await using b = await startNode({ store: fresh })
    const both = [nextEvent(a.network, 'caught-up'), nextEvent(b.network, 'caught-up')]
    await a.network.connect(addressOf(b))
    await Promise.all(both)
    expect([...a.store.records.keys()]).toEqual([tombstone.id])
    expect([...b.store.records.keys()]).toEqual([tombstone.id])
  })

  it('tells a newly connected peer of what was published with nobody there', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await using c = await startNode()
    await join(b, c)
    const record = sealListing(newSigner())
    await a.store.put([record])
    expect(await a.network.publish(record)).toEqual({ peers: 0 })
    const heard = nextEvent(b.network, 'record-checked')
    await a.network.connect(addressOf(b))
    expect((await heard).source).toMatchObject({ via: 'catch-up', from: a.network.peerId })
    await c.store.until(() => c.store.has(record))
  })

  it('asks a new peer once more: what is published before gossip is ready does not wait for an hour', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await settle(a, b)
    const settledAtMs = performance.now()
    const isLater = (): boolean => performance.now() - settledAtMs > newsAfterMs / 2
    const once = nextEvent(b.network, 'caught-up', isLater)
    // libp2p tells of a peer again when that has found out its addresses: that is asked about by itself, and over by then.
    expect(await once).toMatchObject({ fetched: 0, equal: true })
  }, 15_000)

  it('carries a bulk that gossip has no budget for', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await join(a, b)
    const author = newSigner()
    for (let number = 0; number < 1000; number++) {
      const record = sealListing(author, { number })
      await a.store.put([record])
      await a.network.publish(record)
    }
    await b.store.until(() => b.store.records.size === 1000)
    expect(b.network.guard.report()).toEqual([])
  })

  it('carries a bulk that is published at once, and no message of gossip for it', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await join(a, b)
    const ways: string[] = []
    b.network.on('record-checked', ({ source, result }) => void ways.push(`${source.via} ${result.verdict}`))
    const author = newSigner()
    const records = Array.from({ length: 100 }, (_, number) => sealListing(author, { number }))
    await a.store.put(records)
    const caughtUp = nextEvent(b.network, 'caught-up', ({ stored }) => stored > 0)
    expect(await a.network.publish(records)).toEqual({ peers: 0 })
    expect(await caughtUp).toMatchObject({ stored: 100 })
    expect(ways).toEqual(Array.from({ length: 100 }, () => 'catch-up accept'))
  })

  it('hears of what is published last, after more hints than a peer may send', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await join(a, b)
    const author = newSigner()
    for (let bulk = 0; bulk < 45; bulk++) {
      const records = [0, 1, 2].map((number) => sealListing(author, { number: bulk * 3 + number }))
      await a.store.put(records)
      await a.network.publish(records)
      await b.store.until(() => b.store.records.size > (bulk - 20) * 3)
    }
    await b.store.until(() => b.store.records.size === 135)
    expect(b.network.guard.report()).toEqual([])
  })

  it('makes two halves equal after a partition', async () => {
    const nodes: TestNode[] = []
    await using _all = { [Symbol.asyncDispose]: async () => void (await Promise.all(nodes.map(stop))) }
    for (let i = 0; i < 4; i++) nodes.push(await startNode())
    const [a, b, c, d] = nodes as [TestNode, TestNode, TestNode, TestNode]
    await join(a, b)
    await join(c, d)
    const author = newSigner()
    const left = Array.from({ length: 20 }, (_, number) => sealListing(author, { number }))
    const right = Array.from({ length: 20 }, (_, number) => sealListing(author, { number: number + 100 }))
    for (const record of left) await publish(a, record)
    for (const record of right) await publish(c, record)
    await b.store.until(() => b.store.records.size === 20)
    await d.store.until(() => d.store.records.size === 20)
    await b.network.connect(addressOf(c))
    await Promise.all(nodes.map(({ store }) => store.until(() => store.records.size === 40)))
    expect(nodes.map(({ network }) => network.guard.report())).toEqual([[], [], [], []])
  })

  it('fetches a channel that is subscribed to later', async () => {
    const store = new TestStore()
    const record = sealListing(newSigner())
    await store.put([record])
    await using a = await startNode({ store })
    await using b = await startNode({ carry: { main: ['people'] } })
    const first = nextEvent(b.network, 'caught-up')
    await b.network.connect(addressOf(a))
    expect(await first).toMatchObject({ equal: true })
    b.network.subscribe('main', 'listings/el')
    await b.store.until(() => b.store.has(record))
  })
})

describe('a server of catch-up', () => {
  it.each([
    ['an unknown question', Uint8Array.of(9), 'bad-frame'],
    ['a question cut short', Uint8Array.of(1, 4, 109), 'bad-frame'],
    ['half an id', Uint8Array.of(4, 1, 2, 3), 'bad-frame'],
    ['garbage for a reconciliation', reconcileQuestion(Uint8Array.of(0x61, 0, 0, 9)), 'bad-reconciliation'],
    ['a name that is not ASCII', Uint8Array.of(1, 1, 200, 0), 'bad-frame']
  ])('answers %s by ending the session, at the cost of the asker', async (_name, frame, code) => {
    await using victim = await startNode()
    await using liar = await startNode()
    await settle(liar, victim)
    const stream = await openSync(liar, victim)
    const closed = closing(stream)
    await lpStream(stream).write(frame)
    await closed
    expect(reasonsOf(victim)).toEqual([`${protocol}:${code}`])
  })

  it('refuses a frame above 1 MiB before it has come', async () => {
    await using victim = await startNode()
    await using liar = await startNode()
    await settle(liar, victim)
    const stream = await openSync(liar, victim)
    const closed = closing(stream)
    stream.send(Uint8Array.of(0x81, 0x80, 0x40, 1, 2, 3))
    await closed
    expect(reasonsOf(victim)).toEqual([`${protocol}:frame-too-large`])
  })

  it('serves others while one peer holds streams open and asks nothing', async () => {
    const store = new TestStore()
    await store.put([sealListing(newSigner())])
    await using victim = await startNode({ store })
    await using idler = await startNode()
    await using honest = await startNode()
    await settle(idler, victim)
    const idle = await Promise.all(Array.from({ length: 3 }, () => openSync(idler, victim)))
    await settle(honest, victim)
    expect(await honest.network.catchUp(victim.network.peerId)).toMatchObject({ equal: true })
    expect(honest.store.records.size).toBe(1)
    for (const stream of idle) stream.abort(new Error('done'))
  })
})

describe('a peer that serves catch-up falsely', () => {
  it.each<[string, string, () => Answers, string?]>([
    ['garbage', 'bad-frame', () => ({ 1: () => Uint8Array.of(1, 2, 3) })],
    ['partitions of channels not asked for', 'bad-frame', () => ({ 1: () => partitionsOf(200) })],
    [
      'garbage for a reconciliation',
      'bad-reconciliation',
      () => ({ 1: () => partitionsOf(0), 3: () => encodeReconciled(Uint8Array.of(0x61, 1)) })
    ],
    [
      'ids that it does not have',
      'withheld-records',
      () => ({ 1: () => partitionsOf(0), 3: reconcileWith(64), 4: () => encodeRecords({ consumed: 64, records: [] }) })
    ],
    [
      'records that were not asked for',
      'refused-record',
      () => ({
        1: () => partitionsOf(0),
        3: reconcileWith(64),
        4: () => encodeRecords({ consumed: 64, records: [sealListing(newSigner()).bytes] })
      }),
      'unasked-record'
    ],
    [
      'more records than asked for',
      'bad-frame',
      () => ({
        1: () => partitionsOf(0),
        3: reconcileWith(1),
        4: () => encodeRecords({ consumed: 1, records: [Uint8Array.of(1), Uint8Array.of(2)] })
      })
    ],
    [
      'an answer that reaches nothing',
      'bad-frame',
      () => ({ 1: () => partitionsOf(0), 3: reconcileWith(1), 4: () => encodeRecords({ consumed: 0, records: [] }) })
    ],
    ['garbage for a tail', 'bad-frame', () => ({ 1: () => partitionsOf(0), 7: () => Uint8Array.of(0x87, 1, 0) })],
    [
      'a tail that goes nowhere',
      'bad-frame',
      () => ({ 1: () => partitionsOf(0), 7: () => encodeTail({ left: 64, consumed: 0, records: [] }) })
    ],
    [
      'a tail without records',
      'withheld-records',
      () => ({ 1: () => partitionsOf(0), 7: () => encodeTail({ left: 0, consumed: 64, records: [] }) })
    ],
    [
      'a tail of more records than ids',
      'bad-frame',
      () => ({
        1: () => partitionsOf(0),
        7: () => encodeTail({ left: 0, consumed: 1, records: [Uint8Array.of(1), Uint8Array.of(2)] })
      })
    ],
    [
      'a forged record in a tail',
      'refused-record',
      () => ({
        1: () => partitionsOf(0),
        7: () => encodeTail({ left: 0, consumed: 1, records: [forge(sealListing(newSigner()))] })
      }),
      'bad-signature'
    ]
  ])('with %s, loses score and leaves nothing behind', async (_name, code, answersOf, paid) => {
    await using victim = await startNode()
    await using liar = await startNode()
    const answers = answersOf()
    await liar.network.libp2p.unhandle(protocol)
    await liar.network.libp2p.handle(protocol, (stream) => serveFalsely(stream, answers))
    await join(victim, liar)
    await expect(victim.network.catchUp(liar.network.peerId)).rejects.toMatchObject({ code })
    expect(reasonsOf(victim)).toEqual(paid === undefined ? [`${protocol}:${code}`] : [paid])
    expect(victim.store.records.size).toBe(0)
  })

  it.each<[string, string, () => Uint8Array, string?]>([
    ['a log that goes nowhere', 'bad-frame', () => encodeNews({ epoch: 'e', sequence: 1, done: false, records: [] })],
    [
      'a forged record',
      'refused-record',
      () => encodeNews({ epoch: 'e', sequence: 2, done: true, records: [forge(sealListing(newSigner()))] }),
      'bad-signature'
    ],
    ['half a record', 'bad-frame', () => encodeNews({ epoch: 'e', sequence: 2, done: true, records: [] }).fill(9, -1)]
  ])('with %s for news, loses score and leaves nothing behind', async (_name, code, news, paid) => {
    await using victim = await startNode()
    await using liar = await startNode()
    const equal = encodePartitions({ epoch: 'e', sequence: 1, partitions: 'equal' }, { market: 'main', channels: [] })
    await liar.network.libp2p.unhandle(protocol)
    await liar.network.libp2p.handle(protocol, (stream) => serveFalsely(stream, { 1: () => equal, 6: news }))
    const first = nextEvent(victim.network, 'caught-up')
    await victim.network.connect(addressOf(liar))
    expect(await first).toMatchObject({ equal: true })
    await expect(victim.network.catchUp(liar.network.peerId)).rejects.toMatchObject({ code })
    expect(reasonsOf(victim)).toEqual([paid ?? `${protocol}:${code}`])
    expect(victim.store.records.size).toBe(0)
  })

  it('with a forged record, pays for that record', async () => {
    const record = sealListing(newSigner())
    const store = new TestStore()
    await store.put([{ ...record, bytes: forge(record) }])
    await using liar = await startNode({ store })
    await using victim = await startNode()
    const checked = nextEvent(victim.network, 'record-checked')
    await victim.network.connect(addressOf(liar))
    expect((await checked).result).toMatchObject({ verdict: 'reject', code: 'bad-signature' })
    expect(victim.network.guard.score(liar.network.peerId)).toBeLessThanOrEqual(-9.9)
    expect(victim.store.records.size).toBe(0)
  })
})

describe('peers that serve slowly', () => {
  it('hold nobody up: who asks next is asked beside them', async () => {
    await using stack = new AsyncDisposableStack()
    const open = new Set<Stream>()
    const slow = await Promise.all(Array.from({ length: 5 }, async () => stack.use(await startNode())))
    for (const { network } of slow) {
      await network.libp2p.unhandle(protocol)
      await network.libp2p.handle(protocol, (stream) => serveSlowly(stream, open))
    }
    const record = sealListing(newSigner())
    const honest = stack.use(await startNode())
    await honest.store.put([record])
    const node = stack.use(await startNode())
    for (const peer of slow) await node.network.connect(addressOf(peer))
    const caughtUp = nextEvent(node.network, 'caught-up', ({ peer }) => peer.equals(honest.network.peerId))
    await node.network.connect(addressOf(honest))
    expect(await caughtUp).toMatchObject({ stored: 1 })
    // Beside them, and not after the last of them had been given up.
    expect(open.size).toBeGreaterThan(0)
  })
})

const dayMs = 86_400_000

/** A frame of which a byte comes now and then. */
async function serveSlowly(stream: Stream, open: Set<Stream>): Promise<void> {
  open.add(stream)
  stream.addEventListener('close', () => open.delete(stream), { once: true })
  stream.send(Uint8Array.of(200, 1))
  const timer = setInterval(() => stream.writeStatus === 'writable' && stream.send(Uint8Array.of(0)), 200)
  stream.addEventListener('close', () => clearInterval(timer), { once: true })
}

type Answers = Partial<Record<number, (question: Uint8Array) => Uint8Array>>

async function serveFalsely(stream: Stream, answers: Answers): Promise<void> {
  const frames = lpStream(stream)
  try {
    for (;;) {
      const question = (await frames.read()).subarray()
      const answer = answers[question[0] ?? 0] ?? (question[0] === 7 ? notTheSame : undefined)
      if (answer === undefined) return
      await frames.write(answer(question))
    }
  } catch {
    // The victim hung up, as it should.
  }
}

const notTheSame = (): Uint8Array => encodeTail({ left: undefined, consumed: 0, records: [] })

function forge({ bytes }: SoukRecord): Uint8Array {
  const forged = bytes.slice()
  forged.set([forged[20]! ^ 1], 20)
  return forged
}

function partitionsOf(channelIndex: number): Uint8Array {
  const channels = Array.from({ length: channelIndex + 1 }, () => 'people' as const)
  const frame = encodePartitions(
    {
      epoch: 'e',
      sequence: 1,
      partitions: [{ channel: 'people', day: 40_000, count: 64, fingerprint: new Uint8Array(16) }]
    },
    { market: 'main', channels }
  )
  frame[frame.length - 25] = channelIndex
  return frame
}

/** Answers honestly about a set of ids that nothing stands behind. */
function reconcileWith(count: number): (question: Uint8Array) => Uint8Array {
  const items = Array.from({ length: count }, (_, n) => ({ timestampMs: n, id: new Uint8Array(32).fill(n + 1) }))
  return (question) => {
    const names = 1 + question[1]!
    const message = question.subarray(1 + names + 1 + question[1 + names]! + 4)
    const { reply } = createReconciler(createItemVector(items), { initiator: false }).reconcile(message)
    return encodeReconciled(reply!)
  }
}

function reconcileQuestion(message: Uint8Array): Uint8Array {
  return encodeQuestion({ kind: 'reconcile', partition: { market: 'main', channel: 'people', day: 1 }, message })
}

function openSync(from: TestNode, to: TestNode): Promise<Stream> {
  return from.network.libp2p.dialProtocol(to.network.peerId, protocol)
}

function closing(stream: Stream): Promise<unknown> {
  return new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }))
}

function reasonsOf({ network }: TestNode): string[] {
  return network.guard.report().flatMap(({ reasons }) => reasons.map(({ code }) => code))
}

async function publish(
  { store, network }: TestNode,
  record: SoukRecord & Parameters<TestStore['put']>[0][number]
): Promise<void> {
  await store.put([record])
  await network.publish(record)
}

const stop = (node: TestNode): PromiseLike<void> => node[Symbol.asyncDispose]()
