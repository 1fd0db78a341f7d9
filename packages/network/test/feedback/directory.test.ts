import { encodeCanonical, decodeCanonical, recordDigest } from '@souk/records'
import { afterEach, describe, expect, test } from 'vitest'
import {
  createFeedbackDirectory,
  type FeedbackDirectory,
  type FeedbackDirectoryInit
} from '../../src/feedback/directory.ts'
import { askExchange, openGuard, serveExchange } from '../../src/exchange.ts'
import { locatedSetLimits } from '../../src/feedback/limits.ts'
import {
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  type LocatedSetQuestion,
  locatedSetProtocol
} from '../../src/feedback/located-set.ts'
import { valueKey } from '../../src/feedback/value.ts'
import { connectAll, createPeer, knows, memoryStore, type Peer, type PeerInit, recordingGuard } from '../peers.ts'
import { feedbackOf, person, resealed } from './trade.ts'

type MemberInit = PeerInit & Pick<FeedbackDirectoryInit, 'limits' | 'onChanged'>

interface Member {
  readonly peer: Peer
  readonly directory: FeedbackDirectory
  readonly guard: ReturnType<typeof recordingGuard>
}

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const task of cleanUp.splice(0).toReversed()) await task()
})

async function member(init: MemberInit = {}): Promise<Member> {
  const peer = await createPeer(init)
  const guard = recordingGuard()
  const components = { libp2p: peer, dht: peer.services.dht, store: memoryStore(), guard }
  const directory = await createFeedbackDirectory(components, init)
  cleanUp.push(async () => {
    await directory[Symbol.asyncDispose]()
    await peer.stop()
  })
  return { peer, directory, guard }
}

async function market(size: number, init: MemberInit = {}): Promise<Member[]> {
  const members = await Promise.all(Array.from({ length: size }, () => member(init)))
  await connectAll(members.map(({ peer }) => peer))
  return members
}

/** A peer that answers as it likes. */
async function liar(answer: (question: LocatedSetQuestion) => Uint8Array | Promise<Uint8Array>): Promise<Peer> {
  const peer = await createPeer()
  cleanUp.push(async () => peer.stop())
  await serveExchange(
    { libp2p: peer, guard: openGuard },
    {
      protocol: locatedSetProtocol,
      limits: { ...locatedSetLimits, answerBytesMax: 10 * 1024 * 1024 },
      answer: async (bytes) => answer(decodeQuestion(bytes))
    }
  )
  return peer
}

async function join(newcomer: Peer, hub: Peer): Promise<void> {
  await newcomer.dial(hub.getMultiaddrs())
  await knows(newcomer, 2)
}

const ids = (found: { records: readonly { id: string }[] }): string[] => found.records.map(({ id }) => id).toSorted()

describe('a feedback directory', () => {
  test('finds feedback for a newcomer after rater and rated are gone', async () => {
    const [hub, seller, buyer, ...others] = await market(7)
    const rated = person()
    const record = feedbackOf({ buyer: person(), seller: rated, stars: 1 })
    const published = await buyer!.directory.publish(record)
    expect(published.replicas).toBeGreaterThanOrEqual(5)
    expect(published.keepers).toBe(7)
    for (const gone of [seller!, buyer!]) {
      await gone.directory[Symbol.asyncDispose]()
      await gone.peer.stop()
    }
    const late = await member({ clientMode: true })
    await join(late.peer, hub!.peer)
    const found = await late.directory.find(rated.publicKey)
    expect(ids(found)).toEqual([record.id])
    expect(found.records[0]!.content.stars).toBe(1)
    expect(found.keepersAnswered).toBe(1 + others.length)
    const value = await late.directory.get(recordDigest(record.id))
    expect(value?.id).toBe(record.id)
    expect(late.peer.getConnections(buyer!.peer.peerId)).toEqual([])
  })

  test('fetches nothing that the reader has', async () => {
    const rated = person()
    const [had, lacked] = [
      feedbackOf({ buyer: person(), seller: rated }),
      feedbackOf({ buyer: person(), seller: rated })
    ]
    const peer = await liar(({ op, ...question }) => {
      if (op === 'list') {
        const digests = [had, lacked].map(({ id }) => recordDigest(id)).toSorted((a, b) => Buffer.compare(a, b))
        return encodeAnswer.list({ digests, more: false })
      }
      const { digests } = question as { digests: readonly Uint8Array[] }
      expect(digests).toEqual([recordDigest(lacked.id)])
      return encodeAnswer.get([lacked.bytes])
    })
    const reader = await member({ clientMode: true })
    await reader.peer.dial(peer.getMultiaddrs())
    await knows(reader.peer, 1)
    expect(ids(await reader.directory.find(rated.publicKey, { known: [had.id] }))).toEqual([lacked.id])
    expect(ids(await reader.directory.find(rated.publicKey, { known: [had.id, lacked.id] }))).toEqual([])
  })

  test('works in a network of two, and alone', async () => {
    const [one, two] = await market(2)
    const rated = person()
    const record = feedbackOf({ buyer: person(), seller: rated })
    expect(await one!.directory.publish(record)).toEqual({ replicas: 1, keepers: 2 })
    expect(ids(await two!.directory.find(rated.publicKey))).toEqual([record.id])
    const hermit = await member()
    expect(await hermit.directory.publish(record)).toEqual({ replicas: 0, keepers: 1 })
    expect(ids(await hermit.directory.find(rated.publicKey))).toEqual([record.id])
  })

  test('keeps both of two differing feedbacks on one order: the second replaces nothing', async () => {
    const [one, two] = await market(3)
    const [buyer, seller] = [person(), person()]
    const order = new Uint8Array(32).fill(7)
    const bad = feedbackOf({ buyer, seller, order, stars: 1 })
    const good = feedbackOf({ buyer, seller, order, stars: 5 })
    const third = feedbackOf({ buyer, seller, order, stars: 3 })
    await one!.directory.publish(bad)
    await one!.directory.publish(good)
    expect((await one!.directory.publish(third)).keepers).toBe(0)
    expect(ids(await two!.directory.find(seller.publicKey))).toEqual([bad.id, good.id].toSorted())
  })

  test('stores nothing that is forged, altered, unreceipted, misplaced or without work, in any replica', async () => {
    const [attacker, ...honest] = await market(4)
    const rater = person()
    const record = feedbackOf({ buyer: rater, seller: person() })
    const { receipt: _, ...bare } = record.content
    const unreceipted = resealed(record, rater, () => bare)
    const selfMade = resealed(record, rater, ({ receipt, ...rest }) => ({
      ...rest,
      receipt: { ...receipt, sellerSig: receipt.buyerSig }
    }))
    const ofAnother = resealed(record, rater, (content) => ({ ...content, subject: person().publicKey }))
    const cheap = feedbackOf({ buyer: rater, seller: person(), workBits: 11 })
    const { body, sig } = decodeCanonical(record.bytes, { bytesMax: 8192 }) as { body: Uint8Array; sig: Uint8Array }
    const altered = encodeCanonical({ body, sig: sig.map((byte, index) => (index === 40 ? byte ^ 1 : byte)) })
    const other = feedbackOf({ buyer: person(), seller: person() })
    const cases: [name: string, key: Uint8Array, value: Uint8Array][] = [
      ['altered', valueKey(recordDigest(record.id)), altered],
      ['without a receipt', valueKey(unreceipted.digest), unreceipted.bytes],
      ['with a receipt that one side made up', valueKey(selfMade.digest), selfMade.bytes],
      ['about somebody else than the receipt', valueKey(ofAnother.digest), ofAnother.bytes],
      ['with less work than every author brings', valueKey(recordDigest(cheap.id)), cheap.bytes],
      ['misplaced', valueKey(recordDigest(other.id)), record.bytes],
      ['garbage', valueKey(recordDigest(record.id)), new Uint8Array(500).fill(1)],
      ['oversize', valueKey(recordDigest(record.id)), new Uint8Array(9000)]
    ]
    for (const [name, key, value] of cases) {
      const errors: string[] = []
      const confirmed: string[] = []
      for await (const event of attacker!.peer.services.dht.put(key, value)) {
        if (event.name === 'QUERY_ERROR') errors.push(event.from.toString())
        if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') confirmed.push(event.from.toString())
      }
      expect({ name, refused: errors.length > 0, confirmed }).toEqual({ name, refused: true, confirmed: [] })
    }
    const digests = [record, cheap].map(({ id }) => recordDigest(id))
    for (const digest of [...digests, unreceipted.digest, selfMade.digest, ofAnother.digest]) {
      for (const { directory } of honest) expect(await directory.get(digest)).toBeUndefined()
    }
  })

  test('punishes who brings a forged record to a keeper, and keeps nothing of it', async () => {
    const [one, two] = await market(2)
    const record = feedbackOf({ buyer: person(), seller: person() })
    const forged = record.bytes.slice()
    forged[forged.length - 1]! ^= 1
    const exchange = { protocol: locatedSetProtocol, limits: locatedSetLimits }
    const question = encodeQuestion({ op: 'add', record: forged })
    await expect(askExchange(one!.peer, two!.peer.peerId, question, exchange)).rejects.toMatchObject({
      code: 'stream-broken'
    })
    expect(two!.guard.codes).toEqual(['/souk/located-set/1:not-feedback'])
    expect((await one!.directory.find(record.content.subject)).records).toEqual([])
  })
})

describe('a client of the DHT', () => {
  test('keeps nothing for others, and finds and publishes all the same', async () => {
    const [hub, one] = await market(2)
    const client = await member({ clientMode: true })
    await join(client.peer, hub!.peer)
    const rated = person()
    const record = feedbackOf({ buyer: person(), seller: rated })
    expect(await client.directory.publish(record)).toEqual({ replicas: 2, keepers: 2 })
    const question = encodeQuestion({ op: 'sum', subject: rated.publicKey })
    const exchange = { protocol: locatedSetProtocol, limits: locatedSetLimits }
    await expect(askExchange(hub!.peer, client.peer.peerId, question, exchange)).rejects.toMatchObject({
      code: 'stream-broken'
    })
    expect(client.guard.codes).toEqual([])
    expect(ids(await one!.directory.find(rated.publicKey))).toEqual([record.id])
  })
})

describe('keepers that lie', () => {
  test('withholding, garbage, wrong records and endless pages change nothing for a reader', async () => {
    const rated = person()
    const record = feedbackOf({ buyer: person(), seller: rated, stars: 1 })
    const elsewhere = feedbackOf({ buyer: person(), seller: person() })
    const cheap = feedbackOf({ buyer: person(), seller: rated, workBits: 0 })
    const promised = new Uint8Array(32).fill(0xaa)
    let pages = 0
    const flood = (question: LocatedSetQuestion): Uint8Array => {
      if (question.op !== 'list') return encodeAnswer.get([])
      pages++
      const digests = Array.from({ length: 512 }, (_, index) => {
        const digest = new Uint8Array(32)
        new DataView(digest.buffer).setUint32(0, pages * 512 + index)
        return digest
      })
      return encodeAnswer.list({ digests, more: true })
    }
    const liars = await Promise.all([
      liar(() => encodeAnswer.list({ digests: [], more: false })),
      liar(() => new Uint8Array(300).fill(9)),
      liar(({ op }) =>
        op === 'list' ? encodeAnswer.list({ digests: [promised], more: false }) : encodeAnswer.get([elsewhere.bytes])
      ),
      liar(({ op }) =>
        op === 'list'
          ? encodeAnswer.list({ digests: [recordDigest(cheap.id)], more: false })
          : encodeAnswer.get([cheap.bytes])
      ),
      liar(flood),
      liar(() => encodeAnswer.list({ digests: [promised, promised], more: false })),
      liar(() => new Uint8Array(1024 * 1024))
    ])
    const [one, two] = await market(2)
    for (const peer of liars) await join(peer, one!.peer)
    await one!.directory.publish(record)
    const reader = await member({ clientMode: true })
    await join(reader.peer, one!.peer)
    await knows(reader.peer, 9)
    const found = await reader.directory.find(rated.publicKey)
    expect(ids(found)).toEqual([record.id])
    expect(pages).toBeLessThanOrEqual(6)
    expect(reader.guard.codes.toSorted()).toEqual(
      ['malformed', 'not-asked-for', 'ids-not-ascending', 'too-large', 'below-floor']
        .map((code) => `${locatedSetProtocol}:${code}`)
        .toSorted()
    )
    expect(two!.guard.codes).toEqual([])
  })

  test('a keeper that never answers costs a few seconds, not the result', async () => {
    const rated = person()
    const record = feedbackOf({ buyer: person(), seller: rated })
    const silent = await liar(() => new Promise<never>(() => {}))
    const [one, two] = await market(2)
    await join(silent, one!.peer)
    await one!.directory.publish(record, { signal: AbortSignal.timeout(20_000) })
    expect(ids(await two!.directory.find(rated.publicKey))).toEqual([record.id])
  })
})

describe('keeping feedback alive', () => {
  test('a keeper that joined later has the set after the daily run, though rater and rated are gone', async () => {
    let now = Date.now()
    const clock = { now: () => now }
    const [hub, buyer, keeper] = await market(3, clock)
    const rated = person()
    const record = feedbackOf({ buyer: person(), seller: rated })
    await buyer!.directory.publish(record)
    await buyer!.directory[Symbol.asyncDispose]()
    await buyer!.peer.stop()
    const joined = await member(clock)
    await join(joined.peer, hub!.peer)
    await keeper!.directory.republish()
    await hub!.directory.republish()
    for (const gone of [hub!, keeper!]) {
      await gone.directory[Symbol.asyncDispose]()
      await gone.peer.stop()
    }
    expect(ids(await joined.directory.find(rated.publicKey))).toEqual([record.id])
    now += 800 * 24 * 3600 * 1000
    await joined.directory.republish()
    expect((await joined.directory.find(rated.publicKey)).records).toEqual([])
  })

  test('outlives all eight keepers, who leave one a day, with rater and rated long gone', async () => {
    let now = Date.now()
    const members = await market(13, { now: () => now })
    const [hub, rater] = members as [Member, Member]
    const rated = person()
    const records = [1, 3, 5].map((stars) => feedbackOf({ buyer: person(), seller: rated, stars, nowMs: now }))
    for (const record of records) await rater.directory.publish(record)
    const leave = async ({ directory, peer }: Member): Promise<void> => {
      await directory[Symbol.asyncDispose]()
      await peer.stop()
    }
    const holders = members.filter((one) => one.directory.held().records > 0)
    expect(holders).toHaveLength(8)
    // The rater goes first. Whoever lets newcomers in must stay to the end, holder or not.
    const leaving = [rater, ...holders.filter((one) => one !== rater && one !== hub)]
    let left = members
    for (const one of leaving) {
      await leave(one)
      left = left.filter((other) => other !== one)
      now += 24 * 3600 * 1000
      await Promise.all(left.map(({ directory }) => directory.republish()))
    }
    const late = await member({ now: () => now })
    await join(late.peer, hub.peer)
    if (holders.includes(hub)) await leave(hub)
    const found = await late.directory.find(rated.publicKey)
    expect(ids(found)).toEqual(records.map(({ id }) => id).toSorted())
    expect(left.filter((one) => !holders.includes(one) && one.directory.held().records === 3)).toHaveLength(
      left.filter((one) => !holders.includes(one)).length
    )
  }, 180_000)

  test('what was published with nobody there is put as soon as somebody is met', async () => {
    const rater = await member()
    const rated = person()
    const record = feedbackOf({ buyer: person(), seller: rated })
    expect(await rater.directory.publish(record)).toEqual({ replicas: 0, keepers: 1 })
    const arrived = Promise.withResolvers<void>()
    const keeper = await member({ onChanged: arrived.resolve })
    await rater.peer.dial(keeper.peer.getMultiaddrs())
    await arrived.promise
    expect(ids(await keeper.directory.find(rated.publicKey))).toEqual([record.id])
  })

  test('what is adopted is put, but for what is no feedback', async () => {
    const rated = person()
    const records = [1, 2].map(() => feedbackOf({ buyer: person(), seller: rated }))
    const [{ bytes }, { id }] = [
      feedbackOf({ buyer: person(), seller: rated }),
      feedbackOf({ buyer: person(), seller: rated })
    ]
    const cut = { id, bytes: bytes.slice(1) }
    const arrived = Promise.withResolvers<void>()
    const keeper: Member = await member({
      onChanged: () => keeper.directory.held().records === records.length && arrived.resolve()
    })
    const late = await member()
    await late.directory.adopt([cut, ...records])
    await late.peer.dial(keeper.peer.getMultiaddrs())
    await arrived.promise
    expect(ids(await keeper.directory.find(rated.publicKey))).toEqual(records.map((record) => record.id).toSorted())
  })
})
