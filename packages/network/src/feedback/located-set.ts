/** Questions and answers of `/souk/located-set/1`: see docs/protocol/feedback.md. */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { compareBytes, encodeCanonical } from '@souk/records'
import { decodeMap, expectShape } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import { feedbackBytesMax, idsPerGetMax, idsPerPageMax, locatedSetLimits } from './limits.ts'

/** Where keepers are asked. */
export const locatedSetProtocol = '/souk/located-set/1'

/** What a keeper can be asked. Digests are 32 bytes, those of record ids; subjects are 32-byte public keys. */
export type LocatedSetQuestion =
  | { readonly op: 'add'; readonly record: Uint8Array }
  | { readonly op: 'sum'; readonly subject: Uint8Array }
  | { readonly op: 'list'; readonly subject: Uint8Array; readonly after: Uint8Array | undefined }
  | { readonly op: 'get'; readonly subject: Uint8Array; readonly digests: readonly Uint8Array[] }

/** What became of an ADD. */
export type AddOutcome = { readonly status: 'kept' | 'known' } | { readonly status: 'refused'; readonly code: string }

/** How many records a keeper has of a subject, and the sum of their digests modulo 2^256. */
export interface SetSummary {
  readonly count: number
  readonly sum: bigint
}

/** Digests in ascending order; `more` when others follow the last. */
export interface SetPage {
  readonly digests: readonly Uint8Array[]
  readonly more: boolean
}

export function encodeQuestion(question: LocatedSetQuestion): Uint8Array {
  switch (question.op) {
    case 'add':
    case 'sum':
      return encodeCanonical({ v: 1, ...question })
    case 'list': {
      const { op, subject, after } = question
      return encodeCanonical(after === undefined ? { v: 1, op, subject } : { v: 1, op, subject, after })
    }
    case 'get':
      return encodeCanonical({ v: 1, op: 'get', subject: question.subject, ids: concat(question.digests) })
  }
}

/** @throws {@link ProtocolError} `malformed`. */
export function decodeQuestion(bytes: Uint8Array): LocatedSetQuestion {
  const { v, op, ...fields } = decodeMap(bytes, locatedSetLimits.questionBytesMax)
  expectShape(v === 1, 'version 1 is the only one known')
  if (op === 'add') return { op, record: record(fields) }
  const { subject } = fields
  expectShape(isDigest(subject), '`subject` is 32 bytes')
  if (op === 'sum') return { op, subject }
  if (op === 'list') {
    const { after } = fields
    expectShape(after === undefined || isDigest(after), '`after` is 32 bytes')
    return { op, subject, after }
  }
  expectShape(op === 'get', '`op` is add, sum, list or get')
  return { op, subject, digests: split(fields['ids'], idsPerGetMax) }
}

export const encodeAnswer = {
  add: (outcome: AddOutcome): Uint8Array => encodeCanonical({ v: 1, ...outcome }),
  sum: ({ count, sum }: SetSummary): Uint8Array => encodeCanonical({ v: 1, count, sum: sumToBytes(sum) }),
  list: ({ digests, more }: SetPage): Uint8Array => encodeCanonical({ v: 1, ids: concat(digests), more }),
  get: (records: readonly Uint8Array[]): Uint8Array => encodeCanonical({ v: 1, records })
}

/** Each throws {@link ProtocolError} `malformed`, `ids-not-ascending` or `too-large`. */
export const decodeAnswer = {
  add: (bytes: Uint8Array): AddOutcome => {
    const { status, code } = answerMap(bytes)
    if (status === 'kept' || status === 'known') return { status }
    expectShape(status === 'refused' && typeof code === 'string' && code.length <= 40, 'a refusal has a code')
    return { status, code }
  },
  sum: (bytes: Uint8Array): SetSummary => {
    const { count, sum } = answerMap(bytes)
    expectShape(Number.isSafeInteger(count) && (count as number) >= 0 && isDigest(sum), 'a summary is count and sum')
    return { count: count as number, sum: sumFromBytes(sum) }
  },
  list: (bytes: Uint8Array, after: Uint8Array | undefined): SetPage => {
    const { ids, more } = answerMap(bytes)
    expectShape(typeof more === 'boolean', '`more` is true or false')
    const digests = split(ids, idsPerPageMax)
    expectShape(!more || digests.length > 0, 'a page that others follow is not empty')
    requireAscending(digests, after)
    return { digests, more }
  },
  get: (bytes: Uint8Array): readonly Uint8Array[] => {
    const { records } = answerMap(bytes)
    expectShape(Array.isArray(records) && records.length <= idsPerGetMax, '`records` is a short list')
    return records.map((each) => record({ record: each }))
  }
}

/** Adds a digest to a sum, or takes it away. */
export function addToSum(sum: bigint, digest: Uint8Array, sign: 1n | -1n): bigint {
  return BigInt.asUintN(256, sum + sign * sumFromBytes(digest))
}

function answerMap(bytes: Uint8Array): Record<string, unknown> {
  const map = decodeMap(bytes, locatedSetLimits.answerBytesMax)
  expectShape(map['v'] === 1, 'version 1 is the only one known')
  return map
}

/** A set's digests only ever ascend: a keeper cannot lead a reader in a circle. */
function requireAscending(digests: readonly Uint8Array[], after: Uint8Array | undefined): void {
  let last = after
  for (const digest of digests) {
    if (last !== undefined && compareBytes(last, digest) >= 0) {
      throw new ProtocolError('ids-not-ascending', 'ids come in ascending order, each once')
    }
    last = digest
  }
}

function record({ record }: { record?: unknown }): Uint8Array {
  expectShape(record instanceof Uint8Array && record.length <= feedbackBytesMax, 'a record is at most 8 kB')
  return new Uint8Array(record)
}

function split(ids: unknown, most: number): Uint8Array[] {
  expectShape(ids instanceof Uint8Array && ids.length % 32 === 0 && ids.length <= most * 32, '`ids` are 32 bytes each')
  return Array.from(
    { length: ids.length / 32 },
    (_, index) => new Uint8Array(ids.subarray(index * 32, index * 32 + 32))
  )
}

function concat(digests: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(digests.length * 32)
  digests.forEach((digest, index) => bytes.set(digest, index * 32))
  return bytes
}

function isDigest(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === 32
}

function sumToBytes(sum: bigint): Uint8Array {
  return hexToBytes(sum.toString(16).padStart(64, '0'))
}

function sumFromBytes(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytesToHex(bytes)}`)
}
