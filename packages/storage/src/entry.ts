import { type AnyRecord, openRecord, recordDigest, reopenRecord, topCategory } from '@souk/records'
import { CID } from 'multiformats/cid'
import { bytesAt, ended, keyOf, numberAt, numberBytes } from './keys.ts'
import { partitionKey, partitionOf } from './partition.ts'
import type { StorageOp, Table, Tables } from './tables.ts'

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
const headerBytes = 1 + numberBytes
const nothing = new Uint8Array(0)

/** Expiry rows of live records and of ids remembered as stale. */
export const expiryTags = { record: 0, stale: 1 } as const

export function encodeStored({ record, sequence, trust }: StoredRecord): Uint8Array {
  return keyOf(Uint8Array.of(trusts.indexOf(trust)), sequence, record.bytes)
}

/** The signed record inside a stored value. */
export function recordBytesOf(value: Uint8Array): Uint8Array {
  return bytesAt(value, headerBytes)
}

/** Reads a stored value; undefined when it is not what was stored under this digest. */
export function decodeStored(digest: Uint8Array, value: Uint8Array): StoredRecord | undefined {
  const record = reopen(recordBytesOf(value))
  if (record === undefined) return undefined
  const found = recordDigest(record.id)
  if (found.some((byte, index) => byte !== digest[index])) return undefined
  return { record, digest: found, sequence: numberAt(value, 1), trust: trusts[value[0] ?? 0] ?? 'unknown' }
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

/** Everything that the store writes for one record besides its slot: written together, removed together. */
export function entriesOf(tables: Tables, stored: StoredRecord): [Table, Uint8Array, Uint8Array][] {
  const { record, digest } = stored
  const partition = partitionOf(record)
  return [
    [tables.records, digest, encodeStored(stored)],
    [tables.expiry, expiryKey(record.expiresAtMs, 'record', digest), nothing],
    [tables.rank, rankKey(stored), nothing],
    [tables.log, keyOf(stored.sequence), keyOf('+', digest, ended(record.market), record.channel)],
    [tables.sync, keyOf(partitionKey(partition), record.createdAtMs, digest), keyOf(record.bytes.length)],
    ...(record.content === null ? [] : contentEntries(tables, record, digest))
  ]
}

export function putsOf(tables: Tables, stored: StoredRecord): StorageOp[] {
  return entriesOf(tables, stored).map(([sublevel, key, value]) => ({ type: 'put', sublevel, key, value }))
}

export function deletesOf(tables: Tables, stored: StoredRecord): StorageOp[] {
  return entriesOf(tables, stored).map(([sublevel, key]) => ({ type: 'del', sublevel, key }))
}

/** Least trusted first, then least work, then what expires soonest. */
export function rankKey({ record, digest, trust }: Pick<StoredRecord, 'record' | 'digest' | 'trust'>): Uint8Array {
  return keyOf(Uint8Array.of(trusts.indexOf(trust), record.work?.bits ?? 0), record.expiresAtMs, digest)
}

/** The digest at the end of a key. */
export function digestOfKey(key: Uint8Array): Uint8Array {
  return bytesAt(key, -32)
}

export function expiryKey(expiresAtMs: number, tag: keyof typeof expiryTags, digest: Uint8Array): Uint8Array {
  return keyOf(expiresAtMs, Uint8Array.of(expiryTags[tag]), digest)
}

function contentEntries(tables: Tables, record: AnyRecord, digest: Uint8Array): [Table, Uint8Array, Uint8Array][] {
  const tail = keyOf(record.createdAtMs, digest)
  const market = keyOf(record.market)
  return [
    [tables.byKind, keyOf(ended(record.kind), tail), market],
    [tables.byAuthor, keyOf(record.author, ended(record.kind), tail), market],
    ...categoriesOf(record).map((category): [Table, Uint8Array, Uint8Array] => [
      tables.byCategory,
      keyOf(ended(category), tail),
      market
    ]),
    ...subjectsOf(record).map((subject): [Table, Uint8Array, Uint8Array] => [
      tables.bySubject,
      keyOf(subject, tail),
      market
    ]),
    ...imagesOf(record).map((image): [Table, Uint8Array, Uint8Array] => [tables.byImage, keyOf(image, digest), nothing])
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
