import assert from 'node:assert/strict'
import { type AnyRecord, compareForSlot, kindLimits } from '@souk/records'
import { slotsPerLive } from '../limits.ts'
import { type StoreFactory, type TestRunner, withStore } from './runner.ts'
import { author, dayMs, feedback, listing, nowMs, tombstone } from './samples.ts'

const ana = author(1)
const bo = author(2)

/** What a store owes records. */
export function recordTests({ describe, test }: TestRunner, factory: StoreFactory): void {
  describe('records', () => {
    test('a record that was stored is there, after opening again too', () =>
      withStore(factory, async ({ store, reopen }) => {
        const record = listing(ana)
        assert.deepEqual(await store.records.put(record), ['stored'])
        const again = await reopen()
        assert.deepEqual(await again.records.get(record.id), record)
        assert.deepEqual(await again.records.getBytes([record.id, listing(bo).id]), [record.bytes, undefined])
        assert.deepEqual(await again.records.put(record), ['known'])
        assert.equal(again.records.count(), 1)
        assert.equal(again.records.bytes(), record.bytes.length)
      }))

    test('what goes with a record is written with it, also when the record is known', () =>
      withStore(factory, async ({ store, reopen }) => {
        const notes = store.sublevel<string>('notes', { values: 'json' })
        const record = listing(ana)
        const note = (value: string) => [{ type: 'put', sublevel: notes, key: 'n', value }] as const
        assert.deepEqual(await store.records.put(record, { own: true, extraOps: note('first') }), ['stored'])
        assert.deepEqual(await store.records.put(record, { own: true, extraOps: note('second') }), ['known'])
        const again = await reopen()
        assert.equal(await again.sublevel<string>('notes', { values: 'json' }).get('n'), 'second')
      }))

    test('the higher seq stands, in whatever order they come', () =>
      withStore(factory, async ({ store }) => {
        const [old, young] = [listing(ana, { seq: 1 }), listing(ana, { seq: 2 })]
        assert.deepEqual(await store.records.put([young, old]), ['stored', 'stale'])
        assert.equal((await store.records.head(old))?.id, young.id)
        assert.deepEqual(await store.records.put(old), ['stale'])
      }))

    test('a slot is never seen empty while what it holds is replaced', () =>
      withStore(factory, async ({ store }) => {
        const first = listing(ana, { seq: 1 })
        await store.records.put(first)
        const replaced = (async () => {
          for (let seq = 2; seq <= 100; seq++) await store.records.put(listing(ana, { seq }))
          return true
        })()
        let seen = 0
        for (let isOver = false; !isOver;) {
          const head = await store.records.head(first)
          assert.ok((head?.seq ?? -1) >= seen)
          seen = head?.seq ?? -1
          assert.equal((await store.records.list({ kind: 'listing' })).length, 1)
          isOver = seen === 100
        }
        assert.ok(await replaced)
      }))

    test('of one seq the lower id stands', () =>
      withStore(factory, async ({ store }) => {
        const pair: AnyRecord[] = [listing(ana, { title: 'One' }), listing(ana, { title: 'Two' })].toSorted(
          compareForSlot
        )
        const [winner, loser] = pair as [AnyRecord, AnyRecord]
        assert.deepEqual(await store.records.put(loser), ['stored'])
        assert.deepEqual(await store.records.put(winner), ['stored'])
        assert.equal((await store.records.head(winner))?.id, winner.id)
        assert.equal(await store.records.get(loser.id), undefined)
      }))

    test('a tombstone deletes, keeps its slot and goes when its time has come', () =>
      withStore(factory, async ({ store, clock }) => {
        const record = listing(ana)
        const gone = tombstone(ana, record)
        await store.records.put(record)
        assert.deepEqual(await store.records.put(gone), ['stored'])
        assert.deepEqual(await store.records.list({ kind: 'listing' }), [])
        assert.deepEqual(await store.records.put(record), ['stale'])
        assert.equal((await store.records.head(record))?.content, null)
        clock.nowMs = record.expiresAtMs
        assert.equal(await store.records.sweep(clock.nowMs), 1)
        assert.equal(await store.records.head(record), undefined)
        assert.equal(store.records.count(), 0)
      }))

    test('what was superseded does not come back when its successor expires first', () =>
      withStore(factory, async ({ store, clock }) => {
        const long = listing(ana, { seq: 1, expiresAtMs: nowMs + 20 * dayMs })
        const short = listing(ana, { seq: 2, expiresAtMs: nowMs + dayMs })
        await store.records.put(long)
        await store.records.put(short)
        clock.nowMs = nowMs + 2 * dayMs
        await store.records.sweep(clock.nowMs)
        assert.deepEqual(await store.records.put(long), ['stale'])
      }))

    test('what has expired is not taken', () =>
      withStore(factory, async ({ store, clock }) => {
        const record = listing(ana, { expiresAtMs: nowMs + dayMs })
        clock.nowMs = nowMs + dayMs
        assert.deepEqual(await store.records.put(record), ['stale'])
        assert.equal(store.records.count(), 0)
      }))

    test('what an author signed can be taken out, and nothing else goes with it', () =>
      withStore(factory, async ({ store }) => {
        const theirs = [listing(ana), listing(ana, { key: 'el.00000002' }), feedback(ana, bo)]
        const own = listing(ana, { key: 'el.00000003' })
        const others = [listing(bo), feedback(bo, ana)]
        await store.records.put([...theirs, ...others])
        await store.records.put(own, { own: true })
        assert.equal(await store.records.drop(ana.publicKey), 3)
        assert.equal(store.records.count(), 3)
        for (const { id } of [own, ...others]) assert.ok(await store.records.get(id))
        assert.deepEqual(ids(await store.records.feedbackOn(bo.publicKey)), [])
        assert.equal(await store.records.drop(ana.publicKey), 0)
        assert.deepEqual(await store.records.put(theirs), ['stored', 'stored', 'stored'])
      }))

    test('an immutable slot keeps the two harshest, as evidence, and the harsher stands', () =>
      withStore(factory, async ({ store }) => {
        const [first, second, third] = [0, 1, 2].map((n) => feedback(ana, bo, { stars: n + 1, createdAtMs: nowMs + n }))
        assert(first && second && third)
        assert.deepEqual(await store.records.put(second), ['stored'])
        assert.deepEqual(await store.records.put(third), ['conflict-kept'])
        assert.deepEqual(await store.records.put(first), ['conflict-kept'])
        assert.deepEqual(await store.records.put(third), ['stale'])
        assert.deepEqual(await store.records.put(second), ['known'])
        assert.deepEqual(ids(await store.records.conflicts(first)), ids([first, second]))
        assert.deepEqual(ids(await store.records.feedbackOn(bo.publicKey)), [first.id])
        assert.deepEqual(ids(await store.records.feedbackBy(ana.publicKey)), [first.id])
      }))

    test('a bad word stands whatever is dated back, and the kindest of three is not asked for again', () =>
      withStore(factory, async ({ store }) => {
        const harsh = feedback(ana, bo, { stars: 1 })
        const kind = [1, 2].map((n) => feedback(ana, bo, { stars: 5, createdAtMs: nowMs - n }))
        assert.deepEqual(await store.records.put(harsh), ['stored'])
        const outcomes = (await Promise.all(kind.map((record) => store.records.put(record)))).flat()
        assert.ok(outcomes.includes('conflict-kept'))
        assert.deepEqual(ids(await store.records.feedbackOn(bo.publicKey)), [harsh.id])
        assert.equal((await store.records.conflicts(harsh)).length, 2)
        const [outcome] = await store.records.put(feedback(ana, bo, { stars: 4, createdAtMs: nowMs + 1 }))
        assert.equal(outcome, 'conflict-kept')
        assert.deepEqual(await store.records.put(kind), ['stale', 'stale'])
        assert.deepEqual(ids(await store.records.feedbackOn(bo.publicKey)), [harsh.id])
      }))

    test('a stranger has a quota, a trusted author a larger one, the user none', () =>
      withStore(factory, async ({ store }) => {
        const max = kindLimits.listing.liveUnknownMax
        const many = listings(max + 2)
        const outcomes = await store.records.put(many)
        assert.deepEqual(outcomes, [...Array(max).fill('stored'), 'over-quota', 'over-quota'])
        assert.deepEqual(await store.records.put(many[max] as AnyRecord, { trusted: () => true }), ['stored'])
        assert.deepEqual(await store.records.put(many[max + 1] as AnyRecord, { own: true }), ['stored'])
      }))

    test('deleting frees a place in the quota, within bounds', () =>
      withStore(factory, async ({ store }) => {
        const max = kindLimits.listing.liveUnknownMax
        const many = listings(max * slotsPerLive + 1)
        let stored = 0
        for (const record of many) {
          const [outcome] = await store.records.put(record)
          if (outcome !== 'stored') break
          stored++
          await store.records.put(tombstone(ana, record))
        }
        assert.equal(stored, max * slotsPerLive)
      }))

    test('what expires frees its place', () =>
      withStore(factory, async ({ store, clock, reopen }) => {
        const max = kindLimits.listing.liveUnknownMax
        await store.records.put(listings(max))
        clock.nowMs = nowMs + 31 * dayMs
        await store.records.sweep(clock.nowMs)
        const again = await reopen()
        const fresh = listing(ana, { key: 'el.fresh001', createdAtMs: clock.nowMs })
        assert.deepEqual(await again.records.put(fresh), ['stored'])
      }))

    test('a full store lets the least trusted go first, then those of least work', () =>
      withStore(
        factory,
        async ({ store }) => {
          const worked = listing(author(11), { workBits: 12 })
          const trusted = listing(author(12))
          await store.records.put([worked, listing(author(13)), listing(author(14))])
          await store.records.put(trusted, { trusted: () => true })
          assert.deepEqual(await store.records.put(listing(author(15), { workBits: 13 })), ['stored'])
          assert.deepEqual(await store.records.put(listing(author(16)), { trusted: () => true }), ['stored'])
          // Left: two trusted ones, the two with work. A stranger without work is worth least.
          assert.deepEqual(await store.records.put(listing(author(17))), ['over-quota'])
          assert.ok(await store.records.get(worked.id))
          assert.deepEqual(await store.records.put(listing(author(18)), { own: true }), ['stored'])
          assert.equal(store.records.count(), 5)
        },
        { recordsMax: 4 }
      ))

    test('what a receipt stands behind is not crowded out by work, and takes no more than its part of the room', () =>
      withStore(
        factory,
        async ({ store }) => {
          const rated = [0, 1].map((n) => feedback(author(20 + n), bo, { order: `order ${n}` }))
          assert.deepEqual(await store.records.put(rated), ['stored', 'stored'])
          const worked = Array.from({ length: 20 }, (_, n) => listing(author(30 + n), { workBits: 12 + (n % 3) }))
          for (const record of worked) await store.records.put(record)
          assert.equal(store.records.count(), 8)
          assert.deepEqual(
            await store.records.getBytes(rated.map(({ id }) => id)),
            rated.map(({ bytes }) => bytes)
          )
          assert.deepEqual(store.records.fullness().receipts, 1)
          const more = Array.from({ length: 20 }, (_, n) => feedback(author(60 + n), bo, { order: `more ${n}` }))
          for (const record of more) await store.records.put(record)
          assert.equal(store.records.fullness().receipts, 1)
          assert.equal((await store.records.list({ kind: 'listing' })).length, 6)
          const own = feedback(ana, bo, { order: 'mine' })
          assert.deepEqual(await store.records.put(own, { trusted: () => true }), ['stored'])
        },
        { recordsMax: 8 }
      ))

    test('nothing is evicted for what does not fit in the end', () =>
      withStore(factory, async ({ store, reopen }) => {
        const small = [1, 2].map((n) => listing(author(n), { workBits: 12 + n }))
        await store.records.put(small)
        const tight = await reopen({ bytesMax: store.records.bytes() })
        const large = listing(author(3), { workBits: 14, description: 'Large. '.repeat(150).trim() })
        assert.deepEqual(await tight.records.put(large), ['over-quota'])
        assert.deepEqual(ids(await tight.records.list({ kind: 'listing' })).toSorted(), ids(small).toSorted())
      }))

    test('a smaller revision fits a full store', () =>
      withStore(factory, async ({ store, reopen }) => {
        const others = [2, 3].map((n) => listing(author(n), { workBits: 14 }))
        const before = listing(ana, { seq: 1, description: 'As good as new, and then some more.' })
        await store.records.put([before, ...others])
        const tight = await reopen({ bytesMax: store.records.bytes() })
        assert.deepEqual(await tight.records.put(listing(ana, { seq: 2, description: 'As good.' })), ['stored'])
        assert.equal(tight.records.count(), 3)
      }))

    test('whom the user comes to trust is not evicted as a stranger', () =>
      withStore(
        factory,
        async ({ store }) => {
          const friend = listing(author(40))
          await store.records.put([friend, listing(author(41), { workBits: 12 })])
          await store.records.trust(friend.author)
          await store.records.trust(author(99).publicKey)
          assert.deepEqual(await store.records.put(listing(author(42), { workBits: 14 })), ['stored'])
          assert.ok(await store.records.get(friend.id))
          assert.equal(store.records.count(), 2)
        },
        { recordsMax: 2 }
      ))

    test('knows which slots it holds and how full it is, after opening again too', () =>
      withStore(
        factory,
        async ({ store, reopen }) => {
          assert.deepEqual(store.records.fullness(), { shared: 0, receipts: 0 })
          const record = listing(ana)
          await store.records.put([record, feedback(ana, bo)])
          assert.equal(await store.records.holdsSlot(record), true)
          assert.equal(await store.records.holdsSlot({ ...record, key: 'el.elsewhere' }), false)
          const again = await reopen()
          assert.deepEqual(again.records.fullness(), { shared: 0.5, receipts: 1 })
        },
        { recordsMax: 4 }
      ))

    test('lists are newest first, in pages, of a kind, an author, a category, a market', () =>
      withStore(factory, async ({ store }) => {
        const facts = [
          { key: 'el.00000001', createdAtMs: nowMs - 3 },
          { key: 'fr.00000002', createdAtMs: nowMs - 1 },
          { key: 'el.00000003', createdAtMs: nowMs - 2, market: 'small' }
        ]
        const [first, second, third] = facts.map((fact) => listing(ana, fact)) as [AnyRecord, AnyRecord, AnyRecord]
        const other = listing(bo, { key: 'el.00000004', createdAtMs: nowMs - 9 })
        await store.records.put([first, second, third, other])
        const list = async (query: object): Promise<string[]> =>
          ids(await store.records.list({ kind: 'listing', ...query }))
        assert.deepEqual(await list({}), ids([second, third, first, other]))
        assert.deepEqual(await list({ author: ana.publicKey }), ids([second, third, first]))
        assert.deepEqual(await list({ category: 'el' }), ids([third, first, other]))
        assert.deepEqual(await list({ market: 'small' }), ids([third]))
        assert.deepEqual(await list({ limit: 2 }), ids([second, third]))
        assert.deepEqual(await list({ limit: 2, after: third }), ids([first, other]))
      }))

    test('tells of changes in order, those that are there and those that come', () =>
      withStore(factory, async ({ store }) => {
        const [first, second] = [listing(ana, { seq: 1 }), listing(ana, { seq: 2 })]
        await store.records.put(first)
        const ended = new AbortController()
        const seen: string[] = []
        const reading = (async () => {
          for await (const { type } of store.records.changes({ after: 0, signal: ended.signal })) {
            seen.push(type)
            if (seen.length === 1) await store.records.put(second)
            if (seen.length === 3) ended.abort()
          }
        })()
        await reading
        assert.deepEqual(seen, ['stored', 'removed', 'stored'])
        const log = await store.records.changesSince(0)
        assert.deepEqual(
          log.map(({ type }) => type),
          ['removed', 'stored']
        )
        assert.equal(log.at(-1)?.sequence, store.records.lastSequence)
      }))

    test('numbers of changes go on after opening again', () =>
      withStore(factory, async ({ store, reopen }) => {
        await store.records.put(listing(ana))
        const before = store.records.lastSequence
        const again = await reopen()
        assert.equal(again.records.lastSequence, before)
        await again.records.put(listing(bo))
        assert.ok(again.records.lastSequence > before)
      }))

    test('tells listeners when it is durable', () =>
      withStore(factory, async ({ store }) => {
        const [first, second] = [listing(ana, { seq: 1 }), listing(ana, { seq: 2 })]
        const heard: string[] = []
        store.records.on('stored', (stored) => heard.push(...stored.map(({ record }) => `+${record.seq}`)))
        const off = store.records.on('removed', (removed) =>
          heard.push(...removed.map(({ record, reason }) => `-${record.seq} ${reason}`))
        )
        await store.records.put(first)
        await store.records.put(second)
        off()
        await store.records.put(tombstone(ana, second))
        assert.deepEqual(heard, ['+1', '+2', '-1 superseded', '+3'])
      }))

    test('many puts at once end as one after the other would', () =>
      withStore(factory, async ({ store }) => {
        const all = [1, 2, 3, 4, 5].flatMap((seq) => [listing(ana, { seq }), listing(bo, { seq })])
        await Promise.all(all.map((record) => store.records.put(record)))
        assert.equal((await store.records.head(listing(ana)))?.seq, 5)
        assert.equal((await store.records.head(listing(bo)))?.seq, 5)
        assert.equal(store.records.count(), 2)
      }))
  })
}

function listings(count: number): AnyRecord[] {
  return Array.from({ length: count }, (_, n) => listing(ana, { key: `el.${String(n).padStart(8, '0')}` }))
}

function ids(records: readonly AnyRecord[]): string[] {
  return records.map(({ id }) => id)
}
