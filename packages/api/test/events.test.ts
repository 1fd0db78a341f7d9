import type { NodeEvent, SoukNode } from '@souk/node'
import { once } from 'node:events'
import { get } from 'node:http'
import { beforeAll, expect, test } from 'vitest'
import { createClient } from '../src/client.ts'
import { createEventStream } from '../src/event-stream.ts'
import { createEventLog, type NumberedEvent, parseAfter } from '../src/events.ts'
import { ApiError } from '../src/index.ts'
import { eventsKept, followerBytesMax, followersMax } from '../src/limits.ts'
import { knock, lamp, later, openNode, type Served, serve } from './support.ts'

let node: SoukNode
let served: Served

beforeAll(async () => {
  node = await openNode()
  served = await serve(node)
})

const bearing = (token: string): { protocols: string[] } => ({ protocols: ['souk', `token.${token}`] })

/** Passes over what else a node tells, such as that it knows nobody. */
async function nextOfListing(messages: AsyncIterator<NumberedEvent>): Promise<NumberedEvent> {
  for (;;) {
    const { value, done } = await messages.next()
    if (done) throw new Error('the socket closed')
    if (value.event.type === 'listing') return value
  }
}

/** A log that is told by hand. */
function createParts() {
  const queue: NodeEvent[] = []
  let wake = (): void => undefined
  async function* events(): AsyncGenerator<NodeEvent> {
    for (;;) {
      const event = queue.shift()
      if (event !== undefined) yield event
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  const mistakes: unknown[] = []
  const log = createEventLog({ events: events() }, { run: 'this', onError: (error) => mistakes.push(error) })
  const emit = (count: number): Promise<void> => {
    const last = Promise.withResolvers<void>()
    let seen = 0
    const stop = log.follow(undefined, {
      event: () => {
        if (++seen < count) return
        stop()
        last.resolve()
      },
      end: () => undefined
    })
    for (let index = 0; index < count; index++)
      queue.push({ type: 'order', id: String(index), phase: 'x'.repeat(1000) })
    wake()
    return last.promise
  }
  const seen = (after: string | undefined): NumberedEvent[] => {
    const events: NumberedEvent[] = []
    log.follow(parseAfter(after), { event: (event) => void events.push(event), end: () => undefined })()
    return events
  }
  return { log, emit, seen, mistakes }
}

test('who comes back gets what was missed, or is told that some is gone', async () => {
  const { emit, seen } = createParts()
  expect(seen('this:0')).toEqual([])
  await emit(3)
  expect(seen('this:1').map(({ seq }) => seq)).toEqual([2, 3])
  expect(seen('this:3')).toEqual([])
  expect(seen(undefined)).toEqual([])
  await emit(eventsKept)
  expect(seen('this:3')).toHaveLength(eventsKept)
  const gap = [{ seq: eventsKept + 3, run: 'this', event: { type: 'gap' } }]
  for (const after of ['this:2', 'other:5', 'this:9999', 'this:-1', 'nonsense', `this:${'9'.repeat(16)}`]) {
    expect(seen(after)).toEqual(gap)
  }
})

test('a follower that fails costs the others nothing', async () => {
  const { log, emit, mistakes } = createParts()
  const bad = new Error('bad follower')
  log.follow(undefined, {
    event: () => {
      throw bad
    },
    end: () => undefined
  })
  await emit(2)
  expect(mistakes).toEqual([bad])
})

test('followers are bounded, and make room when they go', () => {
  const { log } = createParts()
  const follower = { event: () => undefined, end: () => undefined }
  const stops = Array.from({ length: followersMax }, () => log.follow(undefined, { ...follower }))
  expect(() => log.follow(undefined, { ...follower })).toThrow(ApiError)
  expect(() => log.requireRoom()).toThrow(expect.objectContaining({ code: 'too-many-requests' }))
  stops[0]?.()
  log.follow(undefined, { ...follower })
})

test('a stream that nobody reads ends instead of growing', async () => {
  const { log, emit } = createParts()
  const stream = createEventStream(log, { after: undefined, heartbeatMs: 60_000, recheck: async () => undefined })
  await emit(Math.ceil(followerBytesMax / 1000))
  let bytes = 0
  for await (const chunk of stream) bytes += chunk.length
  expect(bytes).toBeGreaterThan(followerBytesMax - 1100)
  expect(bytes).toBeLessThan(followerBytesMax + 1100)
})

test('a WebSocket tells what happens, numbered, and goes on where it was', async () => {
  const opened = await knock(served, bearing(served.token))
  if (!('socket' in opened)) throw new Error(opened.code)
  expect(opened.socket.protocol).toBe('souk')
  const listing = await node.listings.publish(lamp)
  const first = await nextOfListing(opened.messages)
  expect(first).toMatchObject({ event: { id: listing.id, key: listing.key, gone: false } })
  opened.socket.terminate()

  await node.listings.delete(listing.key)
  const path = `/v1/events?after=${first.run}:${first.seq}`
  const again = await knock(served, { path, ...bearing(served.token) })
  if (!('socket' in again)) throw new Error(again.code)
  const second = await nextOfListing(again.messages)
  expect(second).toMatchObject({ run: first.run, event: { key: listing.key, gone: true } })
  expect(second.seq).toBeGreaterThan(first.seq)
  again.socket.terminate()
})

test('a WebSocket needs a token that may read, in the subprotocol or the header', async () => {
  expect(await knock(served)).toEqual({ status: 401, code: 'unauthorised' })
  expect(await knock(served, { protocols: ['souk'] })).toEqual({ status: 401, code: 'unauthorised' })
  expect(await knock(served, bearing('A'.repeat(43)))).toEqual({ status: 401, code: 'unauthorised' })
  expect(await knock(served, { path: `/v1/events?token=${served.token}` })).toMatchObject({ status: 401 })
  expect(await knock(served, { headers: { cookie: `token=${served.token}` } })).toMatchObject({ status: 401 })
  const blind = await served.tokenWith('orders:write')
  expect(await knock(served, bearing(blind))).toEqual({ status: 403, code: 'forbidden' })
  expect(await knock(served, { path: '/v1/status', ...bearing(served.token) })).toMatchObject({ status: 404 })
  const opened = await knock(served, { headers: { authorization: `Bearer ${served.token}` } })
  expect(opened).toHaveProperty('socket.protocol', '')
  if ('socket' in opened) opened.socket.terminate()
})

test('a client that says much is cut off', async () => {
  const opened = await knock(served, bearing(served.token))
  if (!('socket' in opened)) throw new Error(opened.code)
  const closed = once(opened.socket, 'close')
  opened.socket.send('x'.repeat(10_000))
  expect((await closed)[0]).toBe(1009)
})

test('a token that is revoked takes its open streams with it', async () => {
  const quick = await serve(node, { heartbeatMs: 20 })
  const token = await quick.tokenWith('read')
  const opened = await knock(quick, bearing(token))
  if (!('socket' in opened)) throw new Error(opened.code)
  const closed = once(opened.socket, 'close')
  const headers = { authorization: `Bearer ${token}` }
  const stream = await fetch(`${quick.server.url}/v1/events`, { headers })
  await quick.tokens.revoke((await quick.tokens.check(token)).id)
  expect((await closed)[0]).toBe(1008)
  expect(await stream.text()).toMatch(/^(:\n\n)+$/)
})

test('server-sent events are numbered, and resume', async () => {
  const outgoing = get({
    host: '127.0.0.1',
    port: served.port,
    path: '/v1/events',
    headers: { authorization: `Bearer ${served.token}` },
    agent: false
  })
  later(async () => outgoing.destroy())
  const [message] = await once(outgoing, 'response')
  expect(message.headers['content-type']).toBe('text/event-stream')
  const listing = await node.listings.publish(lamp)
  let text = ''
  for await (const chunk of message) {
    text += String(chunk)
    if (text.includes(`${listing.id}"`)) break
  }
  const [, run, seq] = /^id: (\S+):(\d+)\ndata: .*"listing"/m.exec(text) ?? []

  await node.listings.delete(listing.key)
  const signal = AbortSignal.timeout(10_000)
  const client = createClient({ url: served.server.url, token: served.token })
  const missed = []
  for await (const event of client.events({ signal, after: `${run}:${seq}` })) {
    missed.push(event)
    if (event.type === 'listing') break
  }
  expect(missed.at(-1)).toMatchObject({ type: 'listing', key: listing.key, gone: true })
})

test('a stream whose client went makes room', async () => {
  const own = await serve(node)
  const headers = { authorization: `Bearer ${own.token}` }
  const open = (signal: AbortSignal) => fetch(`${own.server.url}/v1/events`, { headers, signal })
  const gone = new AbortController()
  const streams = await Promise.all(Array.from({ length: followersMax }, () => open(gone.signal)))
  expect(new Set(streams.map(({ status }) => status))).toEqual(new Set([200]))
  expect((await open(gone.signal)).status).toBe(429)
  expect(await knock(own, bearing(own.token))).toEqual({ status: 429, code: 'too-many-requests' })
  gone.abort()
  const back = new AbortController()
  later(async () => back.abort())
  await expect.poll(async () => (await open(back.signal)).status).toBe(200)
  expect(own.mistakes).toEqual([])
})

test('a stop of the server ends what follows it', async () => {
  const brief = await serve(node)
  const opened = await knock(brief, bearing(brief.token))
  if (!('socket' in opened)) throw new Error(opened.code)
  const closed = once(opened.socket, 'close')
  const headers = { authorization: `Bearer ${brief.token}` }
  const response = await fetch(`${brief.server.url}/v1/events`, { headers })
  await brief.server[Symbol.asyncDispose]()
  expect((await closed)[0]).toBe(1001)
  expect(await response.text()).toMatch(/^(:\n\n)+$/)
  await expect(fetch(`${brief.server.url}/healthz`)).rejects.toThrow('fetch failed')
})
