import assert from 'node:assert/strict'
import { createItemVector } from '@souk/negentropy'
import { type AnyRecord, kindLimits, recordDigest } from '@souk/records'
import { putOffMs } from '../limits.ts'
import type { Partition } from '../partition.ts'
import { type OpenedStore, type StoreFactory, type TestRunner, withStore } from './runner.ts'
import { author, dayMs, feedback, hash, listing, nowMs, tombstone } from './samples.ts'

const ana = author(1)
const bo = author(2)

/** What a store owes catch-up. */
export function syncTests({ describe, test }: TestRunner, factory: StoreFactory): void {
  describe('sync', () => {
    test('partitions are by market, channel and day of expiry, with the fingerprint of their items', () =>
      withStore(factory, async ({ store, reopen }) => {
        const today = Math.floor(nowMs / dayMs)
        const records = [1, 2, 3].map((n) => listing(author(n), { expiresAtMs: nowMs + dayMs }))
        await store.records.put([...records, listing(ana, { key: 'fr.00000001' }), feedback(ana, bo)])
        await store.records.put(listing(author(9), { market: 'small' }))
        const [partition, ...others] = await electronics(store)
        assert.deepEqual(others, [])
        assert.deepEqual(partition, {
          market: 'main',
          channel: 'listings/el',
          day: today + 1,
          count: 3,
          fingerprint: fingerprintOf(records)
        })
        assert.deepEqual(await electronics(await reopen()), [partition])
      }))

    test('the ids of a partition follow every change', () =>
      withStore(factory, async ({ store, clock }) => {
        const records = [1, 2, 3].map((n) => listing(author(n), { createdAtMs: nowMs - n }))
        await store.records.put(records)
        const [partition] = await electronics(store)
        const items = await store.sync.items(partition as Partition)
        const removed = tombstone(ana, records[0] as AnyRecord)
        const changes = [removed, listing(author(4))]
        await store.records.put(changes)
        const now = [...records.slice(1), ...changes]
        assert.equal(items.size, 4)
        assert.deepEqual(items.fingerprint(0, items.size), fingerprintOf(now))
        assert.deepEqual((await electronics(store))[0]?.fingerprint, fingerprintOf(now))
        clock.nowMs = nowMs + 31 * dayMs
        await store.records.sweep(clock.nowMs)
        assert.equal(items.size, 0)
        assert.deepEqual(await electronics(store), [])
      }))

    test('wanted leaves out what is held, superseded or was refused', () =>
      withStore(factory, async ({ store, clock }) => {
        const [old, young] = [listing(ana, { seq: 1 }), listing(ana, { seq: 2 })]
        await store.records.put([young, old])
        const max = kindLimits.listing.liveUnknownMax
        const full = Array.from({ length: max + 1 }, (_, n) => listing(bo, { key: `el.${String(n).padStart(8, '0')}` }))
        await store.records.put(full)
        const refused = recordDigest((full[max] as AnyRecord).id)
        const unknown = hash('unknown')
        const asked = [recordDigest(old.id), recordDigest(young.id), refused, unknown]
        assert.deepEqual(await store.sync.wanted(asked), [unknown])
        clock.nowMs = nowMs + dayMs
        assert.deepEqual(await store.sync.wanted(asked), [refused, unknown])
      }))

    test('what was refused for want of room is wanted again once its author is trusted', () =>
      withStore(factory, async ({ store }) => {
        const max = kindLimits.listing.liveUnknownMax
        const listings = (seller: typeof bo) =>
          Array.from({ length: max + 2 }, (_, n) => listing(seller, { key: `el.${String(n).padStart(8, '0')}` }))
        const [bos, anas] = [listings(bo), listings(ana)]
        await store.records.put(bos)
        await store.records.put(anas)
        const refused = [...bos, ...anas].map(({ id }) => recordDigest(id)).filter((_, n) => n % (max + 2) >= max)
        assert.deepEqual(await store.sync.wanted(refused), [])
        assert.equal(await store.records.trust(bo.publicKey), 2)
        assert.deepEqual(await store.sync.wanted(refused), refused.slice(0, 2))
        assert.deepEqual(await store.records.put(bos.slice(max), { trusted: () => true }), ['stored', 'stored'])
        assert.equal(await store.records.trust(bo.publicKey), 0)
      }))

    test('what was put off is wanted again after minutes, not hours', () =>
      withStore(factory, async ({ store, clock }) => {
        const [record, other] = [listing(ana), listing(bo)]
        const asked = [record, other].map(({ id }) => recordDigest(id))
        store.records.putOff([record.id])
        assert.deepEqual(await store.sync.wanted(asked), asked.slice(1))
        assert.deepEqual(await store.records.put(record), ['stored'])
        clock.nowMs += putOffMs
        assert.deepEqual(await store.sync.wanted(asked), asked.slice(1))
        store.records.putOff([other.id])
        assert.deepEqual(await store.sync.wanted(asked), [])
        clock.nowMs += putOffMs
        assert.deepEqual(await store.sync.wanted(asked), asked.slice(1))
      }))

    test('a peer with a cursor gets what came after it, of its channels', () =>
      withStore(factory, async ({ store }) => {
        const first = listing(ana, { key: 'el.00000001' })
        await store.records.put(first)
        const after = store.records.lastSequence
        const second = listing(ana, { key: 'el.00000002' })
        await store.records.put([second, listing(ana, { key: 'fr.00000003' }), feedback(ana, bo)])
        const query = { market: 'main', channels: ['listings/el' as const] }
        const page = await store.sync.changesSince(after, query)
        assert.deepEqual(
          page.changes.map(({ digest }) => digest),
          [recordDigest(second.id)]
        )
        assert.equal(page.done, true)
        assert.equal(page.next, store.records.lastSequence)
        const small = await store.sync.changesSince(0, { ...query, limit: 1 })
        assert.equal(small.done, false)
        assert.equal(small.next, after)
      }))

    test('keeps cursors of peers until they are to be forgotten', () =>
      withStore(factory, async ({ store, reopen }) => {
        await store.sync.saveCursor('peer', { epoch: 'ab', sequence: 7, ours: 3 })
        const again = await reopen()
        assert.deepEqual(await again.sync.cursor('peer'), { epoch: 'ab', sequence: 7, ours: 3 })
        assert.equal(await again.sync.cursor('stranger'), undefined)
        assert.equal(again.sync.epoch, store.sync.epoch)
        await again.sync.forgetCursor('peer')
        assert.equal(await again.sync.cursor('peer'), undefined)
      }))
  })
}

async function electronics(store: OpenedStore): Promise<Partition[]> {
  return store.sync.partitions({ market: 'main', channels: ['listings/el'] })
}

function fingerprintOf(records: readonly AnyRecord[]): Uint8Array {
  const items = records.map(({ id, createdAtMs }) => ({ timestampMs: createdAtMs, id: recordDigest(id) }))
  return createItemVector(items).fingerprint(0, items.length)
}
