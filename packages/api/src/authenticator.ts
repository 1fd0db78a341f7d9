import { ApiError } from './errors.ts'
import {
  bucketsMax,
  failedAuthDelayMs,
  failedAuthDelayMsMax,
  failuresForgottenMs,
  failuresWaitingMax,
  requestsBurst,
  requestsPerSecond
} from './limits.ts'
import type { Caller, Tokens } from './tokens.ts'

/** Tells who calls. Who has a right token never waits, whatever others try meanwhile. */
export interface Authenticator {
  /**
   * @throws {@link ApiError} `unauthorised` after a delay, or `too-many-requests` when this token is used too often or
   * too many callers wait for their refusal.
   */
  check(token: string | undefined): Promise<Caller>
  /** The token for a one-time code. @throws {@link ApiError} `bad-code` after a delay, `too-many-requests`. */
  exchange(code: string): Promise<string>
}

export function createAuthenticator(components: { tokens: Tokens }, init: { now: () => number }): Authenticator {
  const { tokens } = components
  const isWithin = createRateLimit({ perSecond: requestsPerSecond, burst: requestsBurst, now: init.now })
  const delay = createFailureDelay(init)

  return {
    async check(token) {
      const caller = await tokens.check(token).catch(delay)
      if (isWithin(caller.id)) return caller
      throw new ApiError('too-many-requests', `this token made more than ${requestsPerSecond} requests a second`)
    },
    exchange: (code) => tokens.exchange(code).catch(delay)
  }
}

/**
 * Lets failures wait, each longer than the last. They share one counter: on loopback nothing else tells callers apart.
 * Success neither waits nor resets it, so a page that works does not help one that guesses.
 */
function createFailureDelay(init: { now: () => number }): (error: unknown) => Promise<never> {
  let failures = 0
  let lastAtMs = 0
  let waiting = 0
  return async (error) => {
    if (waiting >= failuresWaitingMax) throw new ApiError('too-many-requests', 'too many callers fail to authenticate')
    const now = init.now()
    failures = now - lastAtMs > failuresForgottenMs ? 0 : failures + 1
    lastAtMs = now
    waiting++
    await sleep(Math.min(failedAuthDelayMsMax, failedAuthDelayMs * 2 ** Math.min(failures, 10)))
    waiting--
    throw error
  }
}

/** Takes one from a bucket that refills evenly; remembers the {@link bucketsMax} that were used last. */
export function createRateLimit(init: {
  perSecond: number
  burst: number
  now: () => number
}): (key: string) => boolean {
  const buckets = new Map<string, { left: number; atMs: number }>()
  return (key) => {
    const now = init.now()
    const bucket = buckets.get(key) ?? { left: init.burst, atMs: now }
    const refill = (Math.max(0, now - bucket.atMs) / 1000) * init.perSecond
    const left = Math.min(init.burst, bucket.left + refill)
    buckets.delete(key)
    buckets.set(key, { left: left >= 1 ? left - 1 : left, atMs: now })
    if (buckets.size > bucketsMax) buckets.delete(buckets.keys().next().value ?? '')
    return left >= 1
  }
}

/** Does not keep a process alive that has nothing else to do. */
function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
