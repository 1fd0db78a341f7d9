import { createItemVector } from '@souk/negentropy'
import { recordDigest } from '@souk/records'
import { describe, expect, test } from 'vitest'
import { createStorage } from '../src/index.ts'
import { author, dayMs, feedback, listing, nowMs, temporaryDirectory, tombstone } from './fixtures.ts'

describe('a slot', () => {
  test('keeps the highest seq and remembers what it superseded', async () => {
    await using directory = await temporaryDirectory()
    await using storage = await createStorage({ directory: directory.path, now: () => nowMs })
    const ana = author(1)
    const [first, second] = [listing(ana, { seq: 1 }), listing(ana, { seq: 2, title: 'Better' })]
    expect(await storage.records.put([first, second, first])).toEqual(['stored', 'stored', 'stale'])
    expect(await storage.records.put(second)).toEqual(['known'])
    expect((await storage.records.head(first))?.id).toBe(second.id)
    expect(await storage.records.get(first.id)).toBeUndefined()
    expect(storage.records.count()).toBe(1)
    expect(await storage.sync.wanted([recordDigest(first.id), recordDigest(second.id)])).toEqual([])
  })
})

describe('sync', () => {
  test('the fingerprint of a partition is that of its items', async () => {
    await using directory = await temporaryDirectory()
    await using storage = await createStorage({ directory: directory.path, now: () => nowMs })
    const records = [1, 2, 3].map((n) => listing(author(n)))
    await storage.records.put(records)
    const [partition] = storage.sync.partitions({ market: 'main', channels: ['listings/el'] })
    const vector = createItemVector(records.map((r) => ({ timestampMs: r.createdAtMs, id: recordDigest(r.id) })))
    expect(partition).toMatchObject({ count: 3, fingerprint: vector.fingerprint(0, 3) })
    const items = await storage.sync.items(partition!)
    expect(items.fingerprint(0, 3)).toEqual(vector.fingerprint(0, 3))
    await storage.records.put(tombstone(author(1), records[0]!))
    const fb = feedback(author(1), author(2))
    expect(await storage.records.put(fb)).toEqual(['stored'])
    expect(items.size).toBe(3)
    expect(await storage.records.sweep(nowMs + 31 * dayMs)).toBe(3)
    expect(items.size).toBe(0)
    expect((await storage.records.feedbackOn(author(2).publicKey)).map((r) => r.id)).toEqual([fb.id])
    expect(await storage.check({ deep: true })).toEqual({ records: 1, damaged: [] })
  })
})
