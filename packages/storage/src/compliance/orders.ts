import assert from 'node:assert/strict'
import { eventBytesMax, lettersPerSenderMax, seenMs } from '../limits.ts'
import { type StoreFactory, type TestRunner, withStore } from './runner.ts'
import { nowMs } from './samples.ts'

const order = 'ab'.repeat(32)

/** What a store owes orders and messages. */
export function orderTests({ describe, test }: TestRunner, factory: StoreFactory): void {
  describe('orders', () => {
    test('a step is there as a whole after opening again', () =>
      withStore(factory, async ({ store, reopen, clock }) => {
        await store.outbox.add([{ id: 'request', to: 'bo', bytes: bytes('request') }])
        const step = {
          order,
          events: [event('e2'), event('e1')],
          facts: [{ id: 'funded', fact: { amount: '100' } }],
          outbox: [{ id: 'accept', to: 'bo', bytes: bytes('accept'), order }],
          acknowledged: ['request'],
          processed: ['from-bo']
        }
        assert.deepEqual(await store.orders.append(step), ['e2', 'e1'])
        clock.nowMs = nowMs + 5
        assert.deepEqual(await store.orders.append({ order, events: [event('e1'), event('e3')] }), ['e3'])
        const again = await reopen()
        assert.deepEqual(await again.orders.events(order), [event('e2'), event('e1'), event('e3')])
        assert.deepEqual(await again.orders.facts(order), step.facts)
        const summary = { order, createdAtMs: nowMs, updatedAtMs: nowMs + 5, events: 3, steps: 2 }
        assert.deepEqual(await again.orders.list(), [summary])
        assert.deepEqual(await again.orders.list(order.slice(0, 9)), [summary])
        assert.deepEqual(await again.orders.list('ac'), [])
        assert.deepEqual(await again.orders.get(order), summary)
        assert.deepEqual(
          again.outbox.list({ order }).map(({ id }) => id),
          ['accept']
        )
        assert.deepEqual(again.outbox.list({ to: 'bo' }).length, 1)
        assert.equal(await again.inbox.wasProcessed('from-bo'), true)
        assert.equal(await again.inbox.wasProcessed('from-cy'), false)
      }))

    test('a fact is replaced and taken back', () =>
      withStore(factory, async ({ store }) => {
        await store.orders.append({ order, facts: [{ id: 'a', fact: 1 }] })
        await store.orders.append({ order, facts: [{ id: 'a', fact: 2 }] })
        assert.deepEqual(await store.orders.facts(order), [{ id: 'a', fact: 2 }])
        await store.orders.append({ order, facts: [{ id: 'a', fact: null }] })
        assert.deepEqual(await store.orders.facts(order), [])
      }))

    test('steps of one order at once are all kept, in the order of their calls', () =>
      withStore(factory, async ({ store }) => {
        const names = Array.from({ length: 20 }, (_, n) => `e${n}`)
        await Promise.all(names.map((id) => store.orders.append({ order, events: [event(id)] })))
        assert.deepEqual(
          (await store.orders.events(order)).map(({ id }) => id),
          names
        )
      }))

    test('whoever sees an event sees its letter in the outbox', () =>
      withStore(factory, async ({ store }) => {
        const names = Array.from({ length: 100 }, (_, n) => `e${n}`)
        for (const [n, id] of names.entries()) {
          const letter = { id, to: 'bo', bytes: bytes(id), order }
          const appending = store.orders.append({ order, events: [event(id)], outbox: [letter] })
          while ((await store.orders.events(order)).length === n);
          assert.equal(store.outbox.list({ order }).length, n + 1)
          await appending
        }
      }))

    test('what is no order, and an event too large, are refused and leave nothing', () =>
      withStore(factory, async ({ store }) => {
        assert.throws(() => store.orders.append({ order: 'x', events: [event('e')] }), { code: 'bad-argument' })
        const large = { id: 'large', bytes: new Uint8Array(eventBytesMax + 1) }
        assert.throws(() => store.orders.append({ order, events: [event('e'), large] }), { code: 'limit' })
        assert.deepEqual(await store.orders.list(), [])
      }))
  })

  describe('outbox', () => {
    test('a later message waits for the earlier one to the same recipient, unless a relay has that', () =>
      withStore(factory, async ({ store, reopen }) => {
        const message = (id: string, to: string): object => ({ id, to, bytes: bytes(id) })
        const all = [message('a1', 'ana'), message('a2', 'ana'), message('b1', 'bo'), message('a1', 'ana')]
        await store.outbox.add(all as never)
        const due = async (atMs: number): Promise<string[]> => (await store.outbox.due(atMs)).map(({ id }) => id)
        assert.deepEqual(await due(nowMs - 1), [])
        assert.deepEqual(await due(nowMs), ['a1', 'b1'])
        await store.outbox.reschedule('a1', { dueAtMs: nowMs + 1000, error: 'no route' })
        assert.deepEqual(await due(nowMs), ['b1'])
        await store.outbox.delivered(['b1', 'unknown'])
        assert.equal(store.outbox.nextDueAtMs(), nowMs + 1000)
        await store.outbox.reschedule('a1', { dueAtMs: nowMs + 5000, state: 'at-relay' })
        assert.deepEqual(await due(nowMs), ['a2'])
        const again = await reopen()
        const [a1, a2] = await again.outbox.due(nowMs + 5000)
        assert.deepEqual([a1?.id, a1?.attempts, a1?.state, a1?.error], ['a1', 2, 'at-relay', undefined])
        assert.deepEqual(a2?.bytes, bytes('a2'))
        await again.outbox.delivered(['a1', 'a2'])
        assert.equal(again.outbox.nextDueAtMs(), undefined)
      }))

    test('what is hurried is due at once, as if it had never been tried', () =>
      withStore(factory, async ({ store, clock }) => {
        await store.outbox.add([{ id: 'a', to: 'ana', bytes: bytes('a') }])
        await store.outbox.reschedule('a', { dueAtMs: nowMs + 600_000, error: 'no route' })
        clock.nowMs = nowMs + 5
        await store.outbox.hurry(['a', 'unknown'])
        assert.equal(store.outbox.nextDueAtMs(), nowMs + 5)
        assert.deepEqual([store.outbox.list()[0]?.attempts, store.outbox.list()[0]?.state], [0, 'sending'])
      }))

    test('a retry that is written beside the end of its message does not bring it back', () =>
      withStore(factory, async ({ store, reopen }) => {
        const ids = Array.from({ length: 20 }, (_, index) => `m${index}`)
        await store.outbox.add(ids.map((id) => ({ id, to: id, bytes: bytes(id) })))
        const changes = ids.flatMap((id) => [store.outbox.delivered([id]), store.outbox.reschedule(id, { dueAtMs: 0 })])
        await Promise.all(changes)
        assert.deepEqual((await reopen()).outbox.list(), [])
      }))
  })

  describe('inbox', () => {
    test('a dead letter stays until it can be processed', () =>
      withStore(factory, async ({ store, reopen }) => {
        const letter = { id: 'l', from: 'bo', bytes: bytes('what'), code: 'early', message: 'too early' }
        assert.equal(await store.inbox.reject(letter), true)
        const again = await reopen()
        const [kept] = again.inbox.deadLetters()
        assert.deepEqual([kept?.id, kept?.from, kept?.code, kept?.attempts], ['l', 'bo', 'early', 1])
        const failing = again.inbox.replay('l', () => Promise.reject(Object.assign(new Error('no'), { code: 'still' })))
        assert.equal(await failing, false)
        assert.deepEqual([again.inbox.deadLetters()[0]?.code, again.inbox.deadLetters()[0]?.attempts], ['still', 2])
        const seen: Uint8Array[] = []
        const handle = async (given: { bytes: Uint8Array }): Promise<void> => void seen.push(given.bytes)
        assert.equal(await again.inbox.replay('l', handle), true)
        assert.deepEqual(seen, [bytes('what')])
        assert.deepEqual(again.inbox.deadLetters(), [])
      }))

    test('one sender cannot fill the list', () =>
      withStore(factory, async ({ store }) => {
        const reject = (id: string, from: string): Promise<boolean> =>
          store.inbox.reject({ id, from, bytes: bytes(id), code: 'bad', message: '' })
        for (let n = 0; n < lettersPerSenderMax; n++) assert.equal(await reject(`m${n}`, 'mallory'), true)
        assert.equal(await reject('one more', 'mallory'), false)
        assert.equal(await reject('m0', 'mallory'), true)
        assert.equal(await reject('hello', 'bo'), true)
      }))

    test('processed messages are forgotten when no relay can bring them again', () =>
      withStore(factory, async ({ store, clock }) => {
        await store.inbox.process(['m'])
        await store.sweep()
        assert.equal(await store.inbox.wasProcessed('m'), true)
        clock.nowMs = nowMs + seenMs
        await store.sweep()
        assert.equal(await store.inbox.wasProcessed('m'), false)
      }))
  })
}

function event(id: string): { id: string; bytes: Uint8Array } {
  return { id, bytes: bytes(`event ${id}`) }
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
