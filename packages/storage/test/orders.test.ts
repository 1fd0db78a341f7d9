import { describe, expect, test } from 'vitest'
import { createStorage } from '../src/index.ts'
import { nowMs, temporaryDirectory } from './fixtures.ts'

const order = 'ab'.repeat(32)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('orders', () => {
  test('a step writes events, facts, outbox, acknowledgements and other changes at once', async () => {
    await using directory = await temporaryDirectory()
    {
      await using storage = await createStorage({ directory: directory.path, now: () => nowMs })
      const watcher = storage.sublevel<number>('watcher', { values: 'json' })
      await storage.outbox.add([{ id: 'm0', to: 'bo', bytes: bytes('request') }])
      const added = await storage.orders.append(
        {
          order,
          events: [
            { id: 'e2', bytes: bytes('two') },
            { id: 'e1', bytes: bytes('one') }
          ],
          facts: [{ id: 'funded', fact: { amount: '100' } }],
          outbox: [{ id: 'm1', to: 'bo', bytes: bytes('accept'), order }],
          acknowledged: ['m0'],
          processed: ['from-bo']
        },
        [{ type: 'put', sublevel: watcher, key: 'cursor', value: 7 }]
      )
      expect(added).toEqual(['e2', 'e1'])
      expect(await storage.orders.append({ order, events: [{ id: 'e1', bytes: bytes('other') }] })).toEqual([])
    }
    await using storage = await createStorage({ directory: directory.path, now: () => nowMs + 5 })
    expect(await storage.orders.events(order)).toEqual([
      { id: 'e2', bytes: bytes('two') },
      { id: 'e1', bytes: bytes('one') }
    ])
    expect(await storage.orders.facts(order)).toEqual([{ id: 'funded', fact: { amount: '100' } }])
    expect(await storage.orders.list()).toEqual([{ order, createdAtMs: nowMs, updatedAtMs: nowMs, events: 2 }])
    expect(storage.outbox.list().map(({ id }) => id)).toEqual(['m1'])
    expect(await storage.inbox.wasProcessed('from-bo')).toBe(true)
    expect(await storage.inbox.wasProcessed('from-cy')).toBe(false)
    expect(await storage.sublevel<number>('watcher', { values: 'json' }).get('cursor')).toBe(7)
    await storage.orders.append({ order, facts: [{ id: 'funded', fact: null }] })
    expect(await storage.orders.facts(order)).toEqual([])
  })
})

describe('the outbox', () => {
  test('keeps the order of causes for each recipient, and holds nobody up behind a relay', async () => {
    await using directory = await temporaryDirectory()
    await using storage = await createStorage({ directory: directory.path, now: () => nowMs })
    const { outbox } = storage
    const message = (id: string, to: string) => ({ id, to, bytes: bytes(id) })
    await outbox.add([message('a1', 'ana'), message('a2', 'ana'), message('b1', 'bo'), message('a1', 'ana')])
    const due = async (atMs: number) => (await outbox.due(atMs)).map(({ id }) => id)
    expect(await due(nowMs - 1)).toEqual([])
    expect(await due(nowMs)).toEqual(['a1', 'b1'])
    await outbox.reschedule('a1', { dueAtMs: nowMs + 1000, error: 'no route' })
    expect(await due(nowMs)).toEqual(['b1'])
    expect(outbox.list({ to: 'ana' })[0]).toMatchObject({ attempts: 1, error: 'no route', state: 'sending' })
    await outbox.delivered(['b1', 'unknown'])
    expect(outbox.nextDueAtMs()).toBe(nowMs + 1000)
    await outbox.reschedule('a1', { dueAtMs: nowMs + 5000, state: 'at-relay' })
    expect(await due(nowMs)).toEqual(['a2'])
    expect(await due(nowMs + 5000)).toEqual(['a1', 'a2'])
    await outbox.delivered(['a1'])
    expect((await outbox.due(nowMs))[0]?.bytes).toEqual(bytes('a2'))
  })
})
