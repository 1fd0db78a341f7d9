import { crc32 } from 'node:zlib'
import {
  type AnyRecord,
  kindLimits,
  openRecord,
  recordDigest,
  reopenRecord,
  topCategory,
  workFloor
} from '@souk/records'
import { CID } from 'multiformats/cid'
import { bytesAt, end, numberAt, numberBytes, type Part } from './keys.ts'
import type { Table, Tables } from './tables.ts'

/** How much a record's author counts with this node's user when the store is full. */
export type Trust = 'unknown' | 'trusted' | 'own'

/** A record as it stands in the store. */
export interface StoredRecord {
  readonly record: AnyRecord
  /** 32 bytes. */
  readonly digest: Uint8Array
  /** Its place in the change log. */
  readonly sequence: number
  readonly trust: Trust
}

const trusts: readonly Trust[] = ['unknown', 'trusted', 'own']
/** Trust and sequence number, then the checksum of the bytes that follow where {@link checkedMark} says that there is one. */
const headerBytes = 1 + numberBytes
const checksumBytes = 4
/** Level checks nothing on reading, and an id leaves out the signature. Stores of the first version had no checksums. */
const checkedMark = 0x80
const nothing: readonly Part[] = []

/** Expiry rows of live records and of ids remembered as stale. */
export const expiryTags = { record: 0, stale: 1 } as const

export function encodeStored({ record, sequence, trust }: StoredRecord): Part[] {
  const mark = Uint8Array.of(trusts.indexOf(trust) | checkedMark)
  return [mark, sequence, checksumOf(record.bytes), record.bytes]
}

/** The signed record inside a stored value; undefined when its bytes are not those that were stored (0.3 µs for 1 kB). */
export function recordBytesOf(value: Uint8Array): Uint8Array | undefined {
  if (((value[0] ?? 0) & checkedMark) === 0) {
    const bytes = bytesAt(value, headerBytes)
    return reopen(bytes) === undefined ? undefined : bytes
  }
  const bytes = bytesAt(value, headerBytes + checksumBytes)
  return checksumOf(bytes).every((byte, index) => byte === value[headerBytes + index]) ? bytes : undefined
}

/** Who made the record of a stored value. */
export function trustIn(value: Uint8Array): Trust {
  return trusts[(value[0] ?? 0) & ~checkedMark] ?? 'unknown'
}

function checksumOf(bytes: Uint8Array): Uint8Array {
  const sum = crc32(bytes)
  return Uint8Array.of(sum >>> 24, sum >>> 16, sum >>> 8, sum)
}

/** Reads a stored value; undefined when it is not what was stored under this digest. */
export function decodeStored(digest: Uint8Array, value: Uint8Array): StoredRecord | undefined {
  const bytes = recordBytesOf(value)
  const record = bytes === undefined ? undefined : reopen(bytes)
  if (record === undefined) return undefined
  const found = recordDigest(record.id)
  if (found.some((byte, index) => byte !== digest[index])) return undefined
  return { record, digest: found, sequence: numberAt(value, 1), trust: trustIn(value) }
}

/** True when the signature still holds: an id is the hash of the body alone. */
export function isAuthentic({ bytes, createdAtMs }: AnyRecord): boolean {
  try {
    openRecord(bytes, { nowMs: createdAtMs })
    return true
  } catch {
    return false
  }
}

/** One row: its table, key and value. */
export type Entry = readonly [table: Table, key: readonly Part[], value: readonly Part[]]

/**
 * Everything that the store writes for one record besides its slot: written together, removed together.
 *
 * @param partition - Its partition's key.
 */
export function entriesOf(tables: Tables, stored: StoredRecord, partition: Uint8Array): Entry[] {
  const { record, digest } = stored
  return [
    [tables.records, [digest], encodeStored(stored)],
    [tables.expiry, expiryKey(record.expiresAtMs, 'record', digest), nothing],
    [tables.rank, rankKey(stored), nothing],
    [tables.log, [stored.sequence], ['+', digest, record.market, end, record.channel]],
    [tables.sync, [partition, record.createdAtMs, digest], [record.bytes.length]],
    ...(record.content === null ? [] : contentEntries(tables, record, digest))
  ]
}

/** Least trusted first; then what no receipt stands behind; then least work for its price; then what expires soonest. */
export function rankKey({ record, digest, trust }: Pick<StoredRecord, 'record' | 'digest' | 'trust'>): Part[] {
  return [Uint8Array.of(trusts.indexOf(trust), worthOf(record)), record.expiresAtMs, digest]
}

/** The least worth of a record that a receipt stands behind. */
const receiptWorth = 128

/** The rank keys of receipt-bound records of unknown authors. */
export const receiptRanks = { gte: Uint8Array.of(0, receiptWorth), lt: Uint8Array.of(1) }

/** Bits of work above those that the same size and life cost anyway: a large record is not worth more for being large. */
function worthOf({ kind, bytes, work, createdAtMs, expiresAtMs }: AnyRecord): number {
  const floor = workFloor({ kind, bytes: bytes.length, lifeMs: expiresAtMs - createdAtMs })
  const surplus = work === undefined ? 0 : Math.max(0, work.bits - floor + 1)
  return surplus + (kindLimits[kind].receiptBound ? receiptWorth : 0)
}

/** The digest at the end of a key. */
export function digestOfKey(key: Uint8Array): Uint8Array {
  return bytesAt(key, -32)
}

export function expiryKey(expiresAtMs: number, tag: keyof typeof expiryTags, digest: Uint8Array): Part[] {
  return [expiresAtMs, Uint8Array.of(expiryTags[tag]), digest]
}

function contentEntries(tables: Tables, record: AnyRecord, digest: Uint8Array): Entry[] {
  const { author, kind, createdAtMs } = record
  const market = [record.market]
  return [
    [tables.byKind, [kind, end, createdAtMs, digest], market],
    [tables.byAuthor, [author, kind, end, createdAtMs, digest], market],
    ...categoriesOf(record).map((one): Entry => [tables.byCategory, [one, end, createdAtMs, digest], market]),
    ...subjectsOf(record).map((subject): Entry => [tables.bySubject, [subject, createdAtMs, digest], market]),
    ...imagesOf(record).map((image): Entry => [tables.byImage, [image, digest], nothing])
  ]
}

function categoriesOf(record: AnyRecord): string[] {
  if (record.kind !== 'listing' || record.content === null) return []
  return [...new Set([record.content.category, topCategory(record.content.category)])]
}

function subjectsOf(record: AnyRecord): Uint8Array[] {
  return record.kind === 'feedback' && record.content !== null ? [record.content.subject] : []
}

/** Binary CIDs of all images that a record shows. */
function imagesOf(record: AnyRecord): Uint8Array[] {
  const links = linksOf(record).map((link) => CID.asCID(link)?.toString())
  return [...new Set(links)].flatMap((link) => (link === undefined ? [] : [CID.parse(link).bytes]))
}

function linksOf(record: AnyRecord): unknown[] {
  if (record.content === null) return []
  if (record.kind === 'listing') return record.content.images.flatMap(({ image, thumbnail }) => [image, thumbnail])
  return record.kind === 'profile' && record.content.avatar !== undefined ? [record.content.avatar] : []
}

function reopen(bytes: Uint8Array): AnyRecord | undefined {
  try {
    return reopenRecord(bytes)
  } catch {
    return undefined
  }
}
