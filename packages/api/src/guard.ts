/**
 * Checks that come before any look-up. The API of a node is a wallet that every web page in the next tab can knock
 * at: a page can make a browser send requests here, and with DNS rebinding even read the answers under its own name.
 */
import { ApiError } from './errors.ts'

/** Headers in lower case, as Node and Hono give them. */
type HeaderOf = (name: string) => string | undefined

/** Whom the server answers. */
export interface GuardInit {
  /** Exact values of `Host`: `127.0.0.1:4810`, `localhost:4810`. */
  readonly hosts: readonly string[]
}

/**
 * @throws {@link ApiError} `bad-host` when the request names this server otherwise than it is called (DNS rebinding),
 * `bad-origin` when a page of another origin made it.
 */
export function checkCaller(header: HeaderOf, { hosts }: GuardInit): void {
  const host = header('host')
  if (host === undefined || !hosts.includes(host.toLowerCase())) {
    throw new ApiError('bad-host', `this server is not called "${(host ?? '').slice(0, 80)}"`)
  }
  const origin = header('origin')
  if (origin !== undefined && !hosts.some((name) => origin.toLowerCase() === `http://${name}`)) {
    throw new ApiError('bad-origin', `pages of ${origin.slice(0, 80)} may not call this server`)
  }
  const site = header('sec-fetch-site')
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw new ApiError('bad-origin', `requests from a ${site.slice(0, 20)} page are refused`)
  }
}

/** @returns The token of an `Authorization: Bearer` header. Cookies are never looked at: ports share them. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer ([A-Za-z0-9_-]{20,100})$/.exec(authorization ?? '')?.[1]
}

/** Sent with every answer. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'"
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), payment=()',
  'cache-control': 'no-store'
}

/** Takes one from a bucket that refills evenly; the map of buckets stays as small as the number of tokens. */
export function createRateLimit(init: {
  perSecond: number
  burst: number
  now: () => number
}): (key: string) => boolean {
  const buckets = new Map<string, { left: number; atMs: number }>()
  return (key) => {
    const now = init.now()
    const bucket = buckets.get(key) ?? { left: init.burst, atMs: now }
    const left = Math.min(init.burst, bucket.left + ((now - bucket.atMs) / 1000) * init.perSecond)
    buckets.set(key, { left: Math.max(0, left - 1), atMs: now })
    return left >= 1
  }
}
