import { expect, test, vi } from 'vitest'
import { createAuthenticator, createRateLimit } from '../src/authenticator.ts'
import { createMemoryTokenStore, createTokens } from '../src/index.ts'
import {
  bucketsMax,
  failedAuthDelayMs,
  failedAuthDelayMsMax,
  failuresForgottenMs,
  failuresWaitingMax,
  requestsBurst,
  requestsPerSecond
} from '../src/limits.ts'
import { ask, openNode, serve } from './support.ts'

async function createParts() {
  const tokens = createTokens({ store: createMemoryTokenStore() }, { now: Date.now })
  const right = await tokens.create({ name: 'right', scopes: ['read'] })
  return { authenticator: createAuthenticator({ tokens }, { now: Date.now }), right, tokens }
}

/** How long a wrong token waits, in steps of the fake clock. */
async function waitOf(attempt: Promise<unknown>): Promise<number> {
  const startedAtMs = Date.now()
  const waited = attempt.catch(() => Date.now() - startedAtMs)
  await vi.advanceTimersByTimeAsync(failedAuthDelayMsMax)
  return Number(await waited)
}

test('each wrong token waits longer, up to a bound, and a quiet minute forgives', async () => {
  vi.useFakeTimers()
  try {
    const { authenticator } = await createParts()
    const waits = []
    for (let attempt = 0; attempt < 8; attempt++) waits.push(await waitOf(authenticator.check('wrong')))
    expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000])
    expect([waits[0], waits.at(-1)]).toEqual([failedAuthDelayMs, failedAuthDelayMsMax])
    await vi.advanceTimersByTimeAsync(failuresForgottenMs + 1)
    expect(await waitOf(authenticator.check('wrong'))).toBe(failedAuthDelayMs)
  } finally {
    vi.useRealTimers()
  }
})

test('who has a right token does not wait while others guess, and does not help them', async () => {
  vi.useFakeTimers()
  try {
    const { authenticator, right } = await createParts()
    const flood = Array.from({ length: 5 }, () => authenticator.check('wrong').catch((error: unknown) => error))
    // No timer is advanced: this resolves only if it waits for none.
    expect(await authenticator.check(right)).toMatchObject({ name: 'right' })
    expect(await waitOf(authenticator.check('wrong'))).toBe(3200)
    await vi.advanceTimersByTimeAsync(failedAuthDelayMsMax)
    for (const error of await Promise.all(flood)) expect(error).toMatchObject({ code: 'unauthorised' })
  } finally {
    vi.useRealTimers()
  }
})

test('those who wait are few: the rest is refused at once', async () => {
  vi.useFakeTimers()
  try {
    const { authenticator, right } = await createParts()
    const waiting = Array.from({ length: failuresWaitingMax }, () => authenticator.check('wrong').catch(() => 'over'))
    await vi.advanceTimersByTimeAsync(0)
    await expect(authenticator.check('wrong')).rejects.toMatchObject({ code: 'too-many-requests' })
    await expect(authenticator.exchange('wrong')).rejects.toMatchObject({ code: 'too-many-requests' })
    expect(await authenticator.check(right)).toMatchObject({ name: 'right' })
    await vi.advanceTimersByTimeAsync(failedAuthDelayMsMax)
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['over']))
    expect(await waitOf(authenticator.check('wrong'))).toBe(failedAuthDelayMsMax)
  } finally {
    vi.useRealTimers()
  }
})

test('over sockets, a flood of wrong tokens does not slow the right one', async () => {
  const served = await serve(await openNode())
  const flood = Array.from({ length: 40 }, () => ask(served, { token: 'A'.repeat(43) }))
  const startedAtMs = performance.now()
  for (let request = 0; request < 20; request++) {
    expect((await ask(served, { path: '/v1/categories', token: served.token })).status).toBe(200)
  }
  // The first refusal of the flood alone is 100 ms away; twenty that waited behind it would take two seconds.
  expect(performance.now() - startedAtMs).toBeLessThan(2000)
  const statuses = (await Promise.all(flood)).map(({ status }) => status)
  expect(statuses.filter((status) => status === 401)).toHaveLength(failuresWaitingMax)
  expect(statuses.filter((status) => status === 429)).toHaveLength(40 - failuresWaitingMax)
})

test('a token has its burst, then its rate, whatever others use', async () => {
  let now = 0
  const isWithin = createRateLimit({ perSecond: requestsPerSecond, burst: requestsBurst, now: () => now })
  const many = (key: string): number => Array.from({ length: 1000 }, () => isWithin(key)).filter(Boolean).length
  expect(many('a')).toBe(requestsBurst)
  expect(many('b')).toBe(requestsBurst)
  now += 1000
  expect(many('a')).toBe(requestsPerSecond)
  now -= 500
  expect(many('a')).toBe(0)
  now += 3_600_000
  expect(many('a')).toBe(requestsBurst)
})

test('rates are remembered of those who were seen last', () => {
  const isWithin = createRateLimit({ perSecond: 1, burst: 1, now: () => 0 })
  expect(isWithin('a')).toBe(true)
  for (let other = 0; other < bucketsMax - 1; other++) isWithin(`other ${other}`)
  expect(isWithin('a')).toBe(false)
  for (let other = 0; other < bucketsMax; other++) isWithin(`another ${other}`)
  expect(isWithin('a')).toBe(true)
})
