import { expect, test } from 'vitest'
import { createMemoryTokenStore, createTokens, scopes, type TokenRecord } from '../src/index.ts'
import { sessionCodeLifeMs, sessionCodesMax, sessionLifeMs } from '../src/limits.ts'
import { openNode, send, serve } from './support.ts'

function createParts() {
  const records = new Map<string, TokenRecord>()
  const store = createMemoryTokenStore()
  const recording = {
    ...store,
    put: (key: string, value: TokenRecord) => (records.set(key, value), store.put(key, value))
  }
  const clock = { now: 1_000_000 }
  return { tokens: createTokens({ store: recording }, { now: () => clock.now }), records, clock, store }
}

test('a token is 256 bits, and what is kept of it does not give it away', async () => {
  const { tokens, records } = createParts()
  const token = await tokens.create({ name: 'mine', scopes: ['read'] })
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(await tokens.create({ name: 'mine', scopes: ['read'] })).not.toBe(token)
  expect(JSON.stringify([...records])).not.toContain(token)
  const [id] = records.keys()
  expect(id).toMatch(/^[0-9a-f]{64}$/)
  expect(await tokens.check(token)).toEqual({ id, name: 'mine', scopes: ['read'], createdAtMs: 1_000_000 })
  await expect(tokens.check(id)).rejects.toMatchObject({ code: 'unauthorised' })
})

test('an expired token is forgotten', async () => {
  const { tokens, clock, store } = createParts()
  const token = await tokens.create({ name: 'short', scopes: ['read'], expiresAtMs: clock.now + 1 })
  const { id } = await tokens.check(token)
  clock.now += 1
  await expect(tokens.check(token)).rejects.toMatchObject({ code: 'unauthorised' })
  expect(await store.get(id)).toBeUndefined()
})

test('a code is exchanged once, within a minute, for a token that ends', async () => {
  const { tokens, clock } = createParts()
  const code = tokens.createCode(scopes)
  const late = tokens.createCode(scopes)
  clock.now += sessionCodeLifeMs - 1
  const token = await tokens.exchange(code)
  expect(await tokens.check(token)).toMatchObject({ name: 'browser', scopes, expiresAtMs: clock.now + sessionLifeMs })
  await expect(tokens.exchange(code)).rejects.toMatchObject({ code: 'bad-code' })
  clock.now += 1
  await expect(tokens.exchange(late)).rejects.toMatchObject({ code: 'bad-code' })
  await expect(tokens.exchange('never was one')).rejects.toMatchObject({ code: 'bad-code' })
})

test('codes are few, and the newest count', async () => {
  const { tokens } = createParts()
  const [first, ...rest] = Array.from({ length: sessionCodesMax + 1 }, () => tokens.createCode(['read']))
  await expect(tokens.exchange(first ?? '')).rejects.toMatchObject({ code: 'bad-code' })
  expect(await Promise.all(rest.map((code) => tokens.exchange(code)))).toHaveLength(sessionCodesMax)
})

test('a page gets in with the code of its fragment, once', async () => {
  const served = await serve(await openNode())
  const url = new URL(served.server.createUrl())
  expect(url.origin).toBe(served.server.url)
  expect(url.search).toBe('')
  const asked = { headers: { origin: served.server.url, 'sec-fetch-site': 'same-origin' } }
  const body = { code: url.hash.slice('#code='.length) }
  const { json } = await send(served, '/v1/session', body, asked)
  expect(await served.tokens.check(json.token)).toMatchObject({ name: 'browser', scopes })
  const again = await send(served, '/v1/session', body, asked)
  expect([again.status, again.json.error.code]).toEqual([401, 'bad-code'])
})
