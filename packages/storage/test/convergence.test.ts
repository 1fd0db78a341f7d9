import * as fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import type { AnyRecord } from '@souk/records'
import { expect, test } from 'vitest'
import { author, dayMs, feedback, listing, nowMs, tombstone } from '../src/compliance/samples.ts'
import { createStorage, type Storage } from '../src/index.ts'

/** Few authors and keys, so that slots are contested; listings, tombstones and conflicting feedback. */
const pool: readonly AnyRecord[] = [1, 2].flatMap((n) => {
  const listings = [1, 2, 3].flatMap((seq) =>
    ['el.00000001', 'fr.00000002'].flatMap((key) =>
      [20, 30].map((days) => listing(author(n), { key, seq, expiresAtMs: nowMs + days * dayMs, title: `${days}` }))
    )
  )
  const ratings = [1, 2, 3, 4].map((stars) => feedback(author(n), author(3), { stars, createdAtMs: nowMs - stars }))
  return [...listings, tombstone(author(n), listings[2] as AnyRecord), ...ratings]
})

const channels = ['listings/el', 'listings/fr', 'feedback'] as const

async function stateOf(storage: Storage): Promise<unknown> {
  const partitions = storage.sync.partitions({ market: 'main', channels })
  const heads = await Promise.all(pool.map(async (record) => (await storage.records.head(record))?.id))
  const evidence = await Promise.all(
    pool.map(async (record) => (await storage.records.conflicts(record)).map(({ id }) => id))
  )
  const sorted = partitions.toSorted((a, b) => a.channel.localeCompare(b.channel) || a.day - b.day)
  return { heads, evidence, partitions: sorted, count: storage.records.count() }
}

/** Puts the records in calls of the given sizes and says what the store is like then. */
async function putAll(order: readonly AnyRecord[], sizes: readonly number[]): Promise<unknown> {
  const level = new MemoryLevel()
  await using storage = await createStorage({ level, now: () => nowMs, search: 'off' })
  for (let at = 0, call = 0; at < order.length; call++) {
    const size = sizes[call % sizes.length] ?? 1
    await storage.records.put(order.slice(at, at + size))
    at += size
  }
  expect((await storage.check({ depth: 'signatures' })).damaged).toEqual([])
  return stateOf(storage)
}

/** Places in the pool: what fails is shown as a few numbers. */
const place = fc.nat({ max: pool.length - 1 })
const cut = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })
const recordsAt = (places: readonly number[]): AnyRecord[] => places.map((at) => pool[at] as AnyRecord)

test('the same records in any order, cut in any way, with any repeated, make the same store', async () => {
  const orders = fc
    .array(place, { minLength: 1, maxLength: 40 })
    .chain((some) => fc.tuple(fc.constant(some), fc.shuffledSubarray(some, { minLength: some.length })))
  await fc.assert(
    fc.asyncProperty(orders, cut, cut, async ([some, shuffled], cuts, otherCuts) => {
      expect(await putAll(recordsAt(shuffled), cuts)).toEqual(await putAll(recordsAt(some), otherCuts))
    }),
    {
      numRuns: 100,
      // Found by this property: one batch held a record that was stored, and before it what supersedes it.
      examples: [
        [
          [
            [0, 2],
            [0, 2]
          ],
          [1],
          [1]
        ],
        [
          [
            [0, 4, 0],
            [0, 4, 0]
          ],
          [1, 2],
          [3]
        ]
      ]
    }
  )
})
