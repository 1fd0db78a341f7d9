/**
 * Checks that come before any look-up. The API of a node is a wallet that every web page in the next tab can knock
 * at: a page can make a browser send requests here, and with DNS rebinding even read the answers under its own name.
 */
import type { IncomingMessage } from 'node:http'
import { ApiError } from './errors.ts'

/**
 * Looks at what a browser cannot be made to forge. A page's origin must be the very name that it calls, not merely one
 * of ours: on `localhost` another program may answer IPv6 on the same port.
 *
 * @param hosts - Exact values of `Host` that reach this listener: `127.0.0.1:4810`, `localhost:4810`.
 * @throws {@link ApiError} `bad-host` when the request names this server otherwise than it is called (DNS rebinding),
 * `bad-origin` when a page of another origin made it.
 */
export function checkCaller(request: Pick<IncomingMessage, 'url' | 'headers'>, hosts: readonly string[]): void {
  const { host, origin, 'sec-fetch-site': site } = request.headers
  if (host === undefined || !hosts.includes(host.toLowerCase())) {
    throw new ApiError('bad-host', `this server is not called "${(host ?? '').slice(0, 80)}"`)
  }
  // "GET http://elsewhere/ HTTP/1.1" is for proxies, and names a server past the Host header (RFC 9112 section 3.2.2).
  if (!request.url?.startsWith('/')) throw new ApiError('bad-host', 'this server is no proxy')
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    throw new ApiError('bad-origin', `pages of ${origin.slice(0, 80)} may not call this server`)
  }
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
