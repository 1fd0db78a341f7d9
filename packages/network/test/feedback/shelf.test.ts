import { randomBytes } from '@noble/hashes/utils.js'
import { recordDigest } from '@souk/records'
import { describe, expect, test } from 'vitest'
import { createShelf, type Shelf, type ShelfLimits } from '../../src/feedback/shelf.ts'
import type { FeedbackRecord } from '../../src/feedback/value.ts'
import type { ProtocolError } from '../../src/protocol-error.ts'
import type { KeyValueStore } from '../../src/store.ts'
import { memoryStore } from '../peers.ts'
import { feedbackOf, person } from './trade.ts'

const hex = (subject: Uint8Array): string => Buffer.from(subject).toString('hex')

const shelfOf = (
  init: { limits?: Partial<ShelfLimits>; now?: () => number; store?: KeyValueStore; near?: Uint8Array } = {}
): Promise<Shelf> =>
  createShelf(
    { store: init.store ?? memoryStore() },
    {
      now: init.now ?? Date.now,
      distance: (subject) => (init.near && hex(subject) === hex(init.near) ? '' : hex(subject)),
      ...(init.limits && { limits: init.limits })
    }
  )

const codeOf = (task: Promise<unknown>): Promise<string> =>
  task.then(
    () => 'none',
    (error: ProtocolError) => error.code
  )

const held = async (shelf: Shelf, subject: Uint8Array): Promise<string[]> =>
  (await shelf.records(subject)).map(({ id }) => id).toSorted()

const idsOf = (records: readonly FeedbackRecord[]): string[] => records.map(({ id }) => id).toSorted()

describe('a shelf', () => {
  test('only grows, counts each record once, and is the same after a restart', async () => {
    const store = memoryStore()
    const shelf = await shelfOf({ store })
    const seller = person()
    const records = Array.from({ length: 20 }, () => feedbackOf({ buyer: person(), seller }))
    for (const record of records) expect(await shelf.add(record)).toBe('kept')
    for (const record of records) expect(await shelf.add(record)).toBe('known')
    const again = await shelfOf({ store })
    expect(again.summary(seller.publicKey)).toEqual(shelf.summary(seller.publicKey))
    expect(again.summary(seller.publicKey).count).toBe(20)
    expect(await held(again, seller.publicKey)).toEqual(idsOf(records))
  })

  test('is familiar with the bytes that it has taken for as long as it holds them', async () => {
    let nowMs = Date.now()
    const shelf = await shelfOf({ limits: { recordsPerSubjectMax: 1 }, now: () => nowMs })
    const seller = person()
    const [good, bad] = [
      feedbackOf({ buyer: person(), seller, stars: 5 }),
      feedbackOf({ buyer: person(), seller, stars: 1 })
    ]
    expect(shelf.isFamiliar(good.bytes)).toBe(false)
    await shelf.add(good)
    expect([shelf.isFamiliar(good.bytes), shelf.isFamiliar(good.bytes.with(40, 1))]).toEqual([true, false])
    await shelf.add(bad)
    expect([shelf.isFamiliar(good.bytes), shelf.isFamiliar(bad.bytes)]).toEqual([false, true])
    nowMs = bad.expiresAtMs
    expect(shelf.isFamiliar(bad.bytes)).toBe(false)
  })

  test('is familiar with nothing that its author had dropped', async () => {
    const shelf = await shelfOf()
    const buyer = person()
    const record = feedbackOf({ buyer, seller: person() })
    await shelf.add(record)
    await shelf.drop(buyer.publicKey)
    expect(shelf.isFamiliar(record.bytes)).toBe(false)
    expect(await shelf.add(record)).toBe('kept')
  })

  test('has one sum for one set, in whatever order it came', async () => {
    const [one, two] = [await shelfOf(), await shelfOf()]
    const seller = person()
    const records = Array.from({ length: 5 }, () => feedbackOf({ buyer: person(), seller }))
    for (const record of records) await one.add(record)
    for (const record of records.toReversed()) await two.add(record)
    expect(one.summary(seller.publicKey)).toEqual(two.summary(seller.publicKey))
    expect((await shelfOf()).summary(seller.publicKey)).toEqual({ count: 0, sum: 0n })
  })

  test('pages through a set in ascending order, each digest once', async () => {
    const shelf = await shelfOf()
    const seller = person()
    const records = Array.from({ length: 23 }, () => feedbackOf({ buyer: person(), seller }))
    for (const record of records) await shelf.add(record)
    const seen: string[] = []
    let after: Uint8Array | undefined
    for (let more = true; more;) {
      const page = await shelf.page(seller.publicKey, { after, limit: 5 })
      seen.push(...page.digests.map(hex))
      after = page.digests.at(-1)
      more = page.more
    }
    expect(seen).toEqual(records.map(({ id }) => hex(recordDigest(id))).toSorted())
  })

  test('takes two differing records of one order, and a bounded number of one author', async () => {
    const shelf = await shelfOf({ limits: { recordsPerAuthorMax: 4 } })
    const [buyer, seller] = [person(), person()]
    const order = randomBytes(32)
    await shelf.add(feedbackOf({ buyer, seller, order, stars: 1 }))
    await shelf.add(feedbackOf({ buyer, seller, order, stars: 2 }))
    expect(await codeOf(shelf.add(feedbackOf({ buyer, seller, order, stars: 3 })))).toBe('slot-full')
    for (let count = 0; count < 2; count++) await shelf.add(feedbackOf({ buyer, seller }))
    expect(await codeOf(shelf.add(feedbackOf({ buyer, seller })))).toBe('author-full')
    expect(await codeOf(shelf.add(feedbackOf({ buyer: person(), seller })))).toBe('none')
  })

  test('that a seller has stuffed with praise still takes a bad word, and lets praise go', async () => {
    const shelf = await shelfOf({ limits: { recordsPerSubjectMax: 10 } })
    const seller = person()
    for (let count = 0; count < 10; count++) await shelf.add(feedbackOf({ buyer: person(), seller, stars: 5 }))
    const bad = Array.from({ length: 10 }, () => feedbackOf({ buyer: person(), seller, stars: 1 }))
    for (const record of bad) expect(await shelf.add(record)).toBe('kept')
    expect(await held(shelf, seller.publicKey)).toEqual(idsOf(bad))
    expect(await codeOf(shelf.add(feedbackOf({ buyer: person(), seller, stars: 5 })))).toBe('subject-full')
    expect(shelf.summary(seller.publicKey).count).toBe(10)
  })

  test('that a seller has stuffed with bad words keeps others than its neighbours do', async () => {
    const seller = person()
    const stuffing = Array.from({ length: 40 }, () => feedbackOf({ buyer: person(), seller, stars: 1 }))
    const honest = feedbackOf({ buyer: person(), seller, stars: 1 })
    const keepers = await Promise.all(
      Array.from({ length: 24 }, () => shelfOf({ limits: { recordsPerSubjectMax: 20 } }))
    )
    let having = 0
    for (const shelf of keepers) {
      for (const record of [...stuffing, honest]) await shelf.add(record).catch(() => {})
      if ((await held(shelf, seller.publicKey)).includes(honest.id)) having++
    }
    // Each keeps it with a chance of 20 in 41: none or all of 24 happens once in ten million runs.
    expect(having).toBeGreaterThan(0)
    expect(having).toBeLessThan(24)
  })

  test('that is full as a whole keeps what is near', async () => {
    const near = person()
    const shelf = await shelfOf({ limits: { recordsMax: 5 }, near: near.publicKey })
    const add = (record: FeedbackRecord): Promise<string> => shelf.add(record, { block: '192.0.2' })
    const elsewhere = Array.from({ length: 5 }, () => feedbackOf({ buyer: person(), seller: person() }))
    for (const record of elsewhere) await add(record)
    const own = Array.from({ length: 5 }, () => feedbackOf({ buyer: person(), seller: near, stars: 3 }))
    for (const record of own) expect(await add(record)).toBe('kept')
    expect(shelf.subjects().map(hex)).toEqual([hex(near.publicKey)])
    expect(await codeOf(add(feedbackOf({ buyer: person(), seller: person() })))).toBe('store-full')
    expect(await codeOf(add(feedbackOf({ buyer: person(), seller: near, stars: 1 })))).toBe('none')
    expect(await held(shelf, near.publicKey)).toHaveLength(5)
  })

  test('that one block of addresses has filled makes room for what comes from elsewhere, over a restart too', async () => {
    const [store, near] = [memoryStore(), person()]
    const limits = { recordsMax: 8 }
    const first = await shelfOf({ limits, store, near: near.publicKey })
    const stuffing = Array.from({ length: 12 }, () => feedbackOf({ buyer: person(), seller: near }))
    for (const record of stuffing) await first.add(record, { block: '192.0.2' }).catch(() => 'full')
    expect(first.count()).toBe(8)
    const shelf = await shelfOf({ limits, store, near: near.publicKey })
    const honest = Array.from({ length: 4 }, () => feedbackOf({ buyer: person(), seller: person() }))
    for (const record of honest) expect(await shelf.add(record, { block: '198.51.100' })).toBe('kept')
    expect(shelf.count()).toBe(8)
    for (const { content, id } of honest) expect(await held(shelf, content.subject)).toEqual([id])
    // Now both have four: neither has more to give.
    const far = feedbackOf({ buyer: person(), seller: person() })
    expect(await codeOf(shelf.add(far, { block: '203.0.113' }))).toBe('none')
    const own = feedbackOf({ buyer: person(), seller: person() })
    expect(await shelf.add(own)).toBe('kept')
    expect(await held(shelf, own.content.subject)).toEqual([own.id])
  })

  test('drops what an identity wrote, and nothing that was written about it', async () => {
    const shelf = await shelfOf()
    const [ana, bo, cy] = [person(), person(), person()]
    const records = [
      feedbackOf({ buyer: ana, seller: bo }),
      feedbackOf({ buyer: cy, seller: ana }),
      feedbackOf({ buyer: cy, seller: bo })
    ]
    for (const record of records) await shelf.add(record, { block: '192.0.2' })
    expect(await shelf.drop(ana.publicKey)).toBe(1)
    expect(shelf.count()).toBe(2)
    expect(await held(shelf, bo.publicKey)).toEqual([records[2]!.id])
    expect(await held(shelf, ana.publicKey)).toEqual([records[1]!.id])
    expect(await shelf.drop(ana.publicKey)).toBe(0)
  })

  test('lets go of what has expired, and of nothing else', async () => {
    let now = Date.now()
    const shelf = await shelfOf({ now: () => now })
    const seller = person()
    const short = feedbackOf({ buyer: person(), seller, lifeMs: 1000 })
    const long = feedbackOf({ buyer: person(), seller })
    for (const record of [short, long]) await shelf.add(record)
    now += 2000
    await shelf.sweep()
    expect(await held(shelf, seller.publicKey)).toEqual([long.id])
    expect(shelf.summary(seller.publicKey).count).toBe(1)
  })

  test('is right however many add at once', async () => {
    const shelf = await shelfOf({ limits: { recordsPerSubjectMax: 10 } })
    const seller = person()
    const records = Array.from({ length: 30 }, (_, index) =>
      feedbackOf({ buyer: person(), seller, stars: (index % 5) + 1 })
    )
    await Promise.allSettled([...records, ...records].map((record) => shelf.add(record)))
    expect(shelf.summary(seller.publicKey).count).toBe(10)
    const stars = (await shelf.records(seller.publicKey)).map(({ content }) => content.stars)
    expect(stars.toSorted((a, b) => a - b)).toEqual([1, 1, 1, 1, 1, 1, 2, 2, 2, 2])
  })
})
