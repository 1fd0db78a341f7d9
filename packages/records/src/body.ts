import { decodeCanonical, isMap } from './canonical.ts'
import { RecordError, type Refusal } from './errors.ts'
import { type CheckedFields, type RecordKind, recordKinds } from './kinds.ts'
import {
  clockSkewMsMax,
  envelopeBytesMax,
  keyCharsMax,
  kindLimits,
  marketCharsMax,
  recordBytesMax,
  workBitsMax
} from './limits.ts'
import { checkWork, type Work } from './work.ts'

/** What a body says, its content as it came. */
export interface BodyFields extends CheckedFields {
  readonly pow: Work | undefined
}

const keyPattern = new RegExp(`^[a-z0-9._-]{0,${keyCharsMax}}$`)
const marketPattern = new RegExp(`^[a-z0-9][a-z0-9-]{0,${marketCharsMax - 1}}$`)

const bodyNames = new Set(['v', 'kind', 'author', 'market', 'key', 'seq', 'createdAt', 'expiresAt', 'pow', 'content'])

/**
 * A version or a kind that is not known may be right elsewhere, so that nobody is cut off for it, and it is no error.
 *
 * @throws {@link RecordError} for whatever else is wrong with a body by itself.
 */
export function openBody(bytes: Uint8Array): BodyFields | Refusal {
  const body = decodeCanonical(bytes, { bytesMax: recordBytesMax - envelopeBytesMax })
  if (!isMap(body)) throw new RecordError('bad-body', 'a body is a map')
  if (body['v'] !== 1)
    return { refused: 'bad-version', message: `version ${String(body['v'])} is not 1, the only one known` }
  const stranger = Object.keys(body).find((name) => !bodyNames.has(name))
  if (stranger !== undefined) throw new RecordError('bad-body', `a body has no field "${stranger.slice(0, 40)}"`)
  const { kind, author, market, key, seq, createdAt, expiresAt, pow, content } = body
  if (typeof kind !== 'string' || !(recordKinds as readonly string[]).includes(kind)) {
    const named = JSON.stringify(kind)?.slice(0, 40)
    return { refused: 'unknown-kind', message: `the kind ${named} is none of ${recordKinds.join(', ')}` }
  }
  require(author instanceof Uint8Array && author.length === 32, '`author` is 32 bytes')
  require(typeof market === 'string' && marketPattern.test(market), '`market` is a short lower-case name')
  require(typeof key === 'string' && keyPattern.test(key), `\`key\` is at most ${keyCharsMax} of a-z 0-9 . _ -`)
  require(isCount(seq), '`seq` is a whole number from 0')
  require(isCount(createdAt) && isCount(expiresAt), '`createdAt` and `expiresAt` are milliseconds since 1970')
  require(expiresAt > createdAt, '`expiresAt` is after `createdAt`')
  require(content === null || isMap(content), '`content` is a map, or null')
  return { kind: kind as RecordKind, author, market, key, seq, createdAt, expiresAt, pow: openWork(pow), content }
}

function openWork(pow: unknown): Work | undefined {
  if (pow === undefined) return undefined
  require(isMap(pow) && Object.keys(pow).length === 2, '`pow` is a map of exactly `bits` and `nonce`')
  const { bits, nonce } = pow
  require(isCount(bits) &&
    bits <= workBitsMax &&
    isCount(nonce), `\`pow\` has bits from 0 to ${workBitsMax} and a nonce`)
  return { bits, nonce }
}

/** What is wrong with a body's times by our clock. */
export function refuseTimes({ kind, createdAt, expiresAt }: BodyFields, nowMs: number): Refusal | undefined {
  const { lifeMsMax } = kindLimits[kind]
  if (createdAt > nowMs + clockSkewMsMax) {
    const message = `made ${createdAt - nowMs} ms ahead of this clock; ${clockSkewMsMax} are allowed`
    return { refused: 'not-yet-valid', message }
  }
  if (expiresAt <= nowMs) return { refused: 'expired', message: `expired ${nowMs - expiresAt} ms ago` }
  if (expiresAt - createdAt <= lifeMsMax) return undefined
  const message = `a ${kind} lives at most ${lifeMsMax} ms, this one ${expiresAt - createdAt}`
  return { refused: 'lives-too-long', message }
}

/** Work that is not what it claims to be. */
export function refuseWork({ key, pow }: BodyFields, body: Uint8Array): Refusal | undefined {
  if (pow === undefined || checkWork(withoutWork(body, { key, pow }), pow)) return undefined
  return { refused: 'bad-work', message: `the nonce does not reach the ${pow.bits} bits that the record claims` }
}

/**
 * A canonical body as it is without `pow`, cut out of its bytes: a tenth of the time of encoding it anew. Names sort by
 * length, then by bytes, so `v`, `key` and `pow` come first.
 */
function withoutWork(body: Uint8Array, { key, pow }: { key: string; pow: Work }): Uint8Array {
  const start = 1 + 3 + 4 + headBytes(key.length) + key.length
  const end = start + 4 + 1 + 5 + headBytes(pow.bits) + 6 + headBytes(pow.nonce)
  const plain = new Uint8Array(body.length - (end - start))
  plain.set(body.subarray(0, start))
  plain.set(body.subarray(end), start)
  plain[0] = (body[0] ?? 0) - 1
  return plain
}

/** Bytes of a CBOR head: of a whole number, or of a text's length. */
function headBytes(value: number): number {
  if (value < 24) return 1
  if (value < 2 ** 8) return 2
  if (value < 2 ** 16) return 3
  return value < 2 ** 32 ? 5 : 9
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function require(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new RecordError('bad-body', expected)
}
