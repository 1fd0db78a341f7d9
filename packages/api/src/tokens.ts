import { createHash, randomBytes } from 'node:crypto'
import type { Scope } from './contract.ts'
import { ApiError } from './errors.ts'
import { sessionCodeLifeMs, sessionCodesMax, sessionLifeMs } from './limits.ts'

/** What is kept of a token: never the token. */
export interface TokenRecord {
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly createdAtMs: number
  /** By this machine's clock; without it, the token lives until it is revoked. */
  readonly expiresAtMs?: number | undefined
}

/** Who a request comes from: what is kept of its token, and the token's hash. */
export type Caller = TokenRecord & { readonly id: string }

/** Where tokens are kept: keys are SHA-256 in hex. An abstract-level sublevel fits. */
export interface TokenStore {
  get(key: string): Promise<TokenRecord | undefined>
  put(key: string, value: TokenRecord): Promise<void>
  del(key: string): Promise<void>
}

/** Bearer tokens and the one-time codes that a browser exchanges for one. */
export interface Tokens {
  /** @returns 43 characters of base64url: 256 random bits. Shown once, stored hashed. */
  create(record: { name: string; scopes: readonly Scope[]; expiresAtMs?: number }): Promise<string>
  /** @throws {@link ApiError} `unauthorised` for none, a forged, a revoked and an expired one alike. */
  check(token: string | undefined): Promise<Caller>
  /** @param id - As {@link Tokens.check} gives it: the token's SHA-256 in hex. */
  revoke(id: string): Promise<void>
  /** A code that {@link Tokens.exchange} takes once, within a minute. */
  createCode(scopes: readonly Scope[]): string
  /** @throws {@link ApiError} `bad-code`. */
  exchange(code: string): Promise<string>
}

/**
 * Tokens are looked up by their hash, so that no comparison of secrets takes place whose time could be measured.
 *
 * @param components.store - Survives restarts; a `Map` in memory is one too.
 */
export function createTokens(components: { store: TokenStore }, init: { now: () => number }): Tokens {
  const { store } = components
  const codes = new Map<string, { scopes: readonly Scope[]; endsAtMs: number }>()

  const create: Tokens['create'] = async (record) => {
    const token = randomBytes(32).toString('base64url')
    await store.put(hash(token), { ...record, createdAtMs: init.now() })
    return token
  }
  const find = async (token: string): Promise<Caller | undefined> => {
    const id = hash(token)
    const record = await store.get(id)
    if (record === undefined || init.now() < (record.expiresAtMs ?? Infinity)) return record && { ...record, id }
    await store.del(id)
    return undefined
  }

  return {
    create,
    async check(token) {
      const caller = token === undefined ? undefined : await find(token)
      if (caller !== undefined) return caller
      throw new ApiError('unauthorised', 'this needs a bearer token of this node', {
        hint: 'the daemon writes one to api.json in its home folder'
      })
    },
    revoke: (id) => store.del(id),
    createCode(scopes) {
      if (codes.size >= sessionCodesMax) codes.delete(codes.keys().next().value ?? '')
      const code = randomBytes(24).toString('base64url')
      codes.set(hash(code), { scopes, endsAtMs: init.now() + sessionCodeLifeMs })
      return code
    },
    async exchange(code) {
      const id = hash(code)
      const found = codes.get(id)
      codes.delete(id)
      if (found === undefined || found.endsAtMs <= init.now()) {
        throw new ApiError('bad-code', 'this code was used, is too old, or never was one', {
          hint: 'a code opens the page once; ask the node for a new one'
        })
      }
      return create({ name: 'browser', scopes: found.scopes, expiresAtMs: init.now() + sessionLifeMs })
    }
  }
}

/** A store that forgets with the process. */
export function createMemoryTokenStore(): TokenStore {
  const records = new Map<string, TokenRecord>()
  return {
    get: async (key) => records.get(key),
    put: async (key, value) => void records.set(key, value),
    del: async (key) => void records.delete(key)
  }
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}
