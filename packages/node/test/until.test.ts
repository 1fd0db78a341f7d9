import { openRecord } from '@souk/records'
import { expect, test } from 'vitest'
import { createEventBus } from '../src/events.ts'
import type { NodeEvent } from '../src/index.ts'
import { until } from '../src/index.ts'
import { lamp, openNode } from './support.ts'

const sync: NodeEvent = { type: 'sync', state: 'current' }

async function collect(events: AsyncIterable<NodeEvent>): Promise<NodeEvent[]> {
  const seen: NodeEvent[] = []
  for await (const event of events) seen.push(event)
  return seen
}

/** A bus as a node shows it. */
function createHub(): { emit(): void; close(): void; events: ReturnType<typeof createEventBus>['follow'] } {
  const bus = createEventBus()
  return { emit: () => bus.emit(sync), close: () => bus.close(), events: (options) => bus.follow(options) }
}

test('events are kept from the call on, not from the first read', async () => {
  const hub = createHub()
  const events = hub.events({ signal: new AbortController().signal })
  hub.emit()
  hub.emit()
  hub.close()
  expect(await collect(events)).toEqual([sync, sync])
})

test('following ends with its signal, and at once when that has aborted or the node has closed', async () => {
  const hub = createHub()
  const over = new AbortController()
  const events = collect(hub.events({ signal: over.signal }))
  over.abort()
  expect(await events).toEqual([])
  expect(await collect(hub.events({ signal: AbortSignal.abort() }))).toEqual([])
  hub.close()
  expect(await collect(hub.events({ signal: new AbortController().signal }))).toEqual([])
})

test('until misses nothing that happens while it looks', async () => {
  const hub = createHub()
  let looks = 0
  const found = await until(hub, async () => {
    if (looks === 0) hub.emit()
    return ++looks > 1 && 'there'
  })
  expect(found).toBe('there')
  expect(looks).toBe(2)
})

test('until passes on what goes wrong, and says why it ended without an answer', async () => {
  const hub = createHub()
  const never = async (): Promise<undefined> => undefined
  const broken = new Error('broken')
  await expect(until(hub, () => Promise.reject(broken))).rejects.toBe(broken)
  await expect(until(hub, never, { signal: AbortSignal.abort(broken) })).rejects.toBe(broken)
  const over = new AbortController()
  const waiting = until(hub, never, { signal: over.signal })
  over.abort(broken)
  await expect(waiting).rejects.toBe(broken)
  const closed = until(hub, never)
  hub.close()
  await expect(closed).rejects.toMatchObject({ name: 'AbortError' })
})

test('a node that closes ends what follows it', async () => {
  const node = await openNode()
  const events = collect(node.events({ signal: new AbortController().signal }))
  await node[Symbol.asyncDispose]()
  expect(await events).toBeInstanceOf(Array)
})

test('a listing goes out as JSON-LD, and as the signed bytes that anybody can check', async () => {
  const node = await openNode()
  const { id, key } = await node.listings.publish(lamp)
  expect(await node.listings.jsonLd(id)).toMatchObject({ '@type': 'Offer', '@id': `ipfs://${id}` })
  expect(openRecord(await node.listings.bytes(key), { nowMs: Date.now() }).id).toBe(id)
  await node.listings.delete(key)
  await expect(node.listings.jsonLd(id)).rejects.toMatchObject({ code: 'not-found' })
  await expect(node.listings.bytes(key)).rejects.toMatchObject({ code: 'not-found' })
})
