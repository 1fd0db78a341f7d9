import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import {
  createVerifier,
  type RecordId,
  sameBytes,
  type SignatureInput,
  type Signer,
  type SoukRecord,
  topicOf,
  type Verifier
} from '@souk/records'
import { describe, expect, it, vi } from 'vitest'
import { createRecordGate, type PutOutcome, type RecordGateInit, type RecordSource } from '../src/gate.ts'
import { createGuard } from '../src/guard/guard.ts'
import { feedbackOf } from './feedback/trade.ts'
import { type ListingOptions, newSigner, sealListing } from './support/records.ts'
import { TestStore } from './support/store.ts'

const minuteMs = 60_000
const from = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
const gossip: RecordSource = { from, via: 'gossip', topic: topicOf('main', 'listings/el') }
const catchUp: RecordSource = { from, via: 'catch-up' }

describe('the record gate', () => {
  it('accepts a new record, and passes a known one on only while it is fresh, and only by gossip', async () => {
    const { gate, clock } = setUp()
    const record = sealListing(newSigner(), { nowMs: clock.nowMs })
    expect(await gate.accept(record.bytes, gossip)).toEqual({ verdict: 'accept', id: record.id })
    expect(await gate.accept(record.bytes, gossip)).toEqual({ verdict: 'accept', code: 'known', id: record.id })
    expect(await gate.accept(record.bytes, catchUp)).toEqual({ verdict: 'ignore', code: 'known', id: record.id })
    clock.nowMs += 11 * minuteMs
    expect(await gate.accept(record.bytes, gossip)).toEqual({ verdict: 'ignore', code: 'known', id: record.id })
  })

  it.each<[PutOutcome, 'accept' | 'ignore']>([
    ['stored', 'accept'],
    ['conflict-kept', 'accept'],
    ['stale', 'ignore'],
    ['over-quota', 'ignore'],
    ['conflict-full', 'ignore']
  ])('takes the store at its word: %s means %s', async (outcome, verdict) => {
    const { guard } = setUp()
    const store = { put: () => Promise.resolve([outcome]) }
    const gate = createRecordGate({ store, guard }, { now: Date.now })
    expect(await gate.accept(sealListing(newSigner()).bytes, gossip)).toMatchObject({ verdict })
    expect(guard.report()).toEqual([])
  })

  it('ignores what ran out a moment ago, and rejects what ran out an hour ago', async () => {
    const { gate, clock, guard } = setUp()
    const record = sealListing(newSigner(), { nowMs: clock.nowMs, lifeMs: minuteMs })
    clock.nowMs += 2 * minuteMs
    expect(await gate.accept(record.bytes, gossip)).toEqual({ verdict: 'ignore', code: 'expired' })
    expect(guard.report()).toEqual([])
    clock.nowMs += 60 * minuteMs
    expect(await gate.accept(record.bytes, gossip)).toEqual({ verdict: 'reject', code: 'expired' })
    expect(guard.score(from)).toBe(-1)
  })

  it('rejects a record on a topic that is not its own, and ignores a channel that is not carried', async () => {
    const { gate, clock } = setUp({ carries: (_market, channel) => channel === 'people' })
    const { bytes, id } = sealListing(newSigner(), { nowMs: clock.nowMs })
    const people = { ...gossip, topic: topicOf('main', 'people') }
    expect(await gate.accept(bytes, people)).toEqual({ verdict: 'reject', code: 'wrong-topic', id })
    expect(await gate.accept(bytes, catchUp)).toEqual({ verdict: 'ignore', code: 'not-carried', id })
  })

  it('judges a batch one by one, in order, with one write, and only what was asked for', async () => {
    const { gate, store, clock } = setUp()
    const [a, b, c] = [1, 2, 3].map((number) => sealListing(newSigner(), { number, nowMs: clock.nowMs }))
    const list = [a!.bytes, Uint8Array.of(0xff), b!.bytes, c!.bytes]
    const results = await gate.acceptMany(list, { ...catchUp, asked: new Set([a!.id, b!.id]) })
    expect(results.map(({ verdict, code }) => code ?? verdict)).toEqual([
      'accept',
      'not-cbor',
      'accept',
      'unasked-record'
    ])
    expect([...store.records.keys()]).toEqual([a!.id, b!.id])
  })

  it('ignores too little work at nobody’s cost, whichever way it came, and takes it when less is asked', async () => {
    const room = { shared: 0.8, receipts: 0 }
    const put: RecordId[] = []
    const { gate, store, clock, guard } = setUp({ price: { fullness: () => room } })
    Object.assign(store, { putOff: (ids: readonly RecordId[]) => void put.push(...ids) })
    const record = sealListing(newSigner(), { nowMs: clock.nowMs })
    const refused = { verdict: 'ignore', code: 'too-little-work', id: record.id }
    expect(await gate.accept(record.bytes, gossip)).toEqual(refused)
    expect(await gate.accept(record.bytes, catchUp)).toEqual(refused)
    expect(guard.report()).toEqual([])
    expect(put).toEqual([record.id, record.id])
    room.shared = 0
    expect(await gate.accept(record.bytes, catchUp)).toEqual({ verdict: 'accept', id: record.id })
  })

  it('asks nothing of those who are trusted, and nothing for what it holds already', async () => {
    const friend = newSigner()
    const room = { shared: 0, receipts: 0 }
    const trusts = (author: Uint8Array): boolean => sameBytes(author, friend.publicKey)
    const { gate, clock } = setUp({ price: { fullness: () => room, trusts } })
    const free = sealListing(friend, { nowMs: clock.nowMs, workBits: 0 })
    const paid = sealListing(newSigner(), { nowMs: clock.nowMs })
    for (const { bytes } of [free, paid]) await gate.accept(bytes, catchUp)
    room.shared = 1
    expect(await gate.accept(free.bytes, gossip)).toMatchObject({ verdict: 'ignore', code: 'known' })
    expect(await gate.accept(paid.bytes, gossip)).toMatchObject({ verdict: 'accept', code: 'known' })
  })

  it('has a peer pay that gossips less than every honest author brings, and passes none of it on', async () => {
    const friend = newSigner()
    const { gate, store, clock, guard } = setUp({ price: { trusts: (author) => sameBytes(author, friend.publicKey) } })
    const make = (signer: Signer, workBits?: number) =>
      sealListing(signer, { nowMs: clock.nowMs, ...(workBits !== undefined && { workBits }) })
    const [free, short] = [make(newSigner(), 0), make(newSigner(), 11)]
    expect(await gate.accept(free.bytes, catchUp)).toMatchObject({ verdict: 'ignore', code: 'too-little-work' })
    expect(guard.report()).toEqual([])
    for (const { bytes, id } of [free, short]) {
      expect(await gate.accept(bytes, gossip)).toEqual({ verdict: 'reject', code: 'below-floor', id })
    }
    expect(guard.report()[0]?.reasons).toMatchObject([{ code: 'below-floor', times: 2 }])
    const trusted = make(friend, 0)
    expect(await gate.accept(trusted.bytes, gossip)).toEqual({ verdict: 'ignore', id: trusted.id })
    expect([...store.records.keys()]).toEqual([trusted.id])
  })

  it('takes a rating for no less than any author brings, whatever receipt it has', async () => {
    const { gate, store, clock, guard } = setUp()
    const rate = (workBits?: number) =>
      feedbackOf({
        buyer: newSigner(),
        seller: newSigner(),
        nowMs: clock.nowMs,
        ...(workBits !== undefined && { workBits })
      })
    const [free, short, paid] = [rate(0), rate(11), rate()]
    for (const { bytes, id } of [free, short]) {
      expect(await gate.accept(bytes, catchUp)).toEqual({ verdict: 'ignore', code: 'too-little-work', id })
    }
    expect(guard.report()).toEqual([])
    const ofRatings = { ...gossip, topic: topicOf('main', 'feedback') }
    for (const { bytes, id } of [free, short]) {
      expect(await gate.accept(bytes, ofRatings)).toEqual({ verdict: 'reject', code: 'below-floor', id })
    }
    expect(guard.report()[0]?.reasons).toMatchObject([{ code: 'below-floor', times: 2 }])
    expect(await gate.accept(paid.bytes, ofRatings)).toEqual({ verdict: 'accept', id: paid.id })
    expect([...store.records.keys()]).toEqual([paid.id])
  })

  it('verifies here what a peer brings by gossip until something of it is good, and after something is not', async () => {
    const verifier = createVerifier()
    const aside = vi.fn<Verifier['bulk']>(verifier.bulk)
    const { gate, clock } = setUp({
      verifier: Object.assign((input: SignatureInput) => verifier(input), { aside: verifier.aside, bulk: aside })
    })
    const good = sealListing(newSigner(), { nowMs: clock.nowMs })
    const forged = good.bytes.slice()
    forged.set([forged[20]! ^ 1], 20)
    expect(await gate.accept(forged, gossip)).toMatchObject({ verdict: 'reject', code: 'bad-signature' })
    expect(await gate.accept(good.bytes, gossip)).toMatchObject({ verdict: 'accept' })
    expect(aside).not.toHaveBeenCalled()
    expect(await gate.accept(forged, gossip)).toMatchObject({ verdict: 'reject', code: 'bad-signature' })
    expect(aside).toHaveBeenCalledOnce()
    expect(await gate.accept(forged, gossip)).toMatchObject({ verdict: 'reject', code: 'bad-signature' })
    expect(aside).toHaveBeenCalledOnce()
    await verifier[Symbol.asyncDispose]()
  })

  it('takes and passes on what has no work where the operator asks for none', async () => {
    const { gate, clock } = setUp({ price: { bitsMax: 0 } })
    const free = sealListing(newSigner(), { nowMs: clock.nowMs, workBits: 0 })
    expect(await gate.accept(free.bytes, gossip)).toEqual({ verdict: 'accept', id: free.id })
  })

  it('lets a seller change and delete under load what it holds, for the floor and not for less', async () => {
    const signer = newSigner()
    const room = { shared: 0, receipts: 0 }
    const { gate, clock, store } = setUp({ price: { fullness: () => room } })
    const make = (options: ListingOptions) => sealListing(signer, { nowMs: clock.nowMs, ...options })
    await gate.accept(make({ seq: 1 }).bytes, gossip)
    room.shared = 1
    expect(await gate.accept(make({ seq: 2 }).bytes, gossip)).toMatchObject({ verdict: 'accept' })
    expect(await gate.accept(make({ seq: 3, workBits: 0 }).bytes, gossip)).toMatchObject({ code: 'below-floor' })
    expect(await gate.accept(make({ number: 2 }).bytes, gossip)).toMatchObject({ code: 'too-little-work' })
    const gone = make({ seq: 4, deleted: true })
    expect(await gate.accept(gone.bytes, catchUp)).toMatchObject({ verdict: 'accept' })
    expect([...store.records.keys()]).toEqual([gone.id])
  })

  it('asks more while gossip brings more than a market has to say, and not for what catch-up fetched', async () => {
    const { gate, clock } = setUp({ price: { freePerSecond: 0.1 } })
    const many = Array.from({ length: 30 }, (_, number) => sealListing(newSigner(), { number, nowMs: clock.nowMs }))
    const [first] = many as [SoukRecord]
    const priced = {
      kind: 'listing',
      bytes: first.bytes.length,
      lifeMs: first.expiresAtMs - first.createdAtMs
    } as const
    const bytes = many.map((record) => record.bytes)
    await gate.acceptMany(bytes.slice(0, 15), catchUp)
    expect(gate.asksStrangers(priced)).toBe(12)
    await gate.acceptMany(bytes.slice(15), gossip)
    expect(gate.asksStrangers(priced)).toBe(13)
    await gate.acceptMany(bytes, gossip)
    expect(gate.asksStrangers(priced)).toBe(13)
    clock.nowMs += 5 * minuteMs
    expect(gate.asksStrangers(priced)).toBe(12)
  })

  it('tells of every judgement', async () => {
    const seen: unknown[] = []
    const { gate, clock } = setUp({ onChecked: (source, result) => seen.push([source.via, result.code]) })
    await gate.acceptMany([Uint8Array.of(0xff), sealListing(newSigner(), { nowMs: clock.nowMs }).bytes], catchUp)
    expect(seen).toEqual([
      ['catch-up', 'not-cbor'],
      ['catch-up', undefined]
    ])
  })
})

function setUp(init: Partial<RecordGateInit> = {}) {
  const clock = { nowMs: 1_800_000_000_000 }
  const now = (): number => clock.nowMs
  const store = new TestStore()
  const guard = createGuard({ now })
  return { clock, store, guard, gate: createRecordGate({ store, guard }, { now, ...init }) }
}
