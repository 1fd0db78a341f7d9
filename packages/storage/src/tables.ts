import type { AbstractLevel, AbstractSublevel } from 'abstract-level'

/** The database below: `Level` on disk, `MemoryLevel` in a simulation. Keys and values default to strings. */
export type LevelDatabase = AbstractLevel<string | Buffer | Uint8Array>

/** One whose files a failed write can leave unusable until they are opened again. */
export interface Reopenable {
  /** Closes and opens the files while reads, writes and iterators of all sublevels wait. */
  reopen(): Promise<void>
}

/** A named part of the database with its own key and value types. */
export type Sublevel<V, K = string> = AbstractSublevel<LevelDatabase, string | Buffer | Uint8Array, K, V>

/** Binary keys, binary values. */
export type Table = Sublevel<Uint8Array, Uint8Array>

/** One change within a batch; batches may span sublevels, and happen as a whole or not at all. */
export type StorageOp =
  | { readonly type: 'put'; readonly sublevel: AnySublevel; readonly key: Key; readonly value: unknown }
  | { readonly type: 'del'; readonly sublevel: AnySublevel; readonly key: Key }

/** A {@link StorageOp} as the database has it: with the table's prefix in the key. */
export type RowOp =
  | {
      readonly type: 'put'
      readonly table: Table
      readonly key: Uint8Array
      readonly keyEncoding: 'view'
      readonly value: Uint8Array
      readonly valueEncoding: 'view'
    }
  | { readonly type: 'del'; readonly table: Table; readonly key: Uint8Array; readonly keyEncoding: 'view' }

type Key = string | Uint8Array

/** Method parameters are bivariant: a sublevel of any key and value type fits. */
interface AnySublevel {
  readonly prefix: string
  path(local?: boolean): string[]
}

/**
 * All tables of this package. A `digest` is the 32-byte SHA-256 inside a record's id, a `number` eight bytes, a `text`
 * ends in a zero byte.
 */
export interface Tables {
  /** `schema`, `epoch`, `reserved` → JSON. */
  readonly meta: Sublevel<unknown>
  /** digest → flags, sequence number, the record's bytes. */
  readonly records: Table
  /** author, kind text, key → the entries of the slot, first the one that stands. */
  readonly slots: Table
  /** author, kind text → live records and slots. */
  readonly counts: Table
  /** expiry number, tag, digest → nothing. */
  readonly expiry: Table
  /** digest → expiry number, of ids that were superseded. */
  readonly stale: Table
  /** trust, work bits, expiry number, digest → nothing: who goes first when the store is full. */
  readonly rank: Table
  /** kind text, created number, digest → market. */
  readonly byKind: Table
  /** author, kind text, created number, digest → market. */
  readonly byAuthor: Table
  /** category text, created number, digest → market; under the category and the one above it. */
  readonly byCategory: Table
  /** subject, created number, digest → market: feedback by whom it is about. */
  readonly bySubject: Table
  /** image CID, digest → nothing: which records show an image. */
  readonly byImage: Table
  /** sequence number → what happened. */
  readonly log: Table
  /** partition key, created number, digest → bytes of the record. */
  readonly sync: Table
  /** market text, channel text, day → count, bytes, sum of digests. */
  readonly partitions: Table
  /** order, event id → arrival number, bytes. */
  readonly orderEvents: Table
  /** order, fact id → JSON. */
  readonly orderFacts: Sublevel<unknown>
  /** order → JSON. */
  readonly orders: Sublevel<unknown>
  /** place number → JSON header text, bytes. */
  readonly outbox: Table
  /** message id → expiry of the memory. */
  readonly seen: Sublevel<unknown>
  /** letter id → JSON header text, bytes. */
  readonly letters: Table
  /** peer → JSON. */
  readonly cursors: Sublevel<unknown>
}

const binary = [
  'records',
  'slots',
  'counts',
  'expiry',
  'stale',
  'rank',
  'byKind',
  'byAuthor',
  'byCategory',
  'bySubject',
  'byImage',
  'log',
  'sync',
  'partitions',
  'orderEvents',
  'outbox',
  'letters'
] as const satisfies (keyof Tables)[]

const json = ['meta', 'orders', 'orderFacts', 'seen', 'cursors'] as const satisfies (keyof Tables)[]

/** Opens every table of a database. Costs no reading. */
export function openTables(level: LevelDatabase): Tables {
  return Object.fromEntries([
    ...binary.map((name) => [name, binarySublevel(level, name)]),
    ...json.map((name) => [name, jsonSublevel(level, name)])
  ]) as Tables
}

export function binarySublevel(level: LevelDatabase, name: string): Table {
  return level.sublevel<Uint8Array, Uint8Array>(name, { keyEncoding: 'view', valueEncoding: 'view' })
}

export function jsonSublevel<V>(level: LevelDatabase, name: string): Sublevel<V> {
  return level.sublevel<string, V>(name, { valueEncoding: 'json' })
}

/** Reads a range to its end, {@link rows} at a time. */
export async function* scan<K, V>(
  iterator: { nextv(size: number): Promise<[K, V][]>; close(): Promise<void> },
  rows: number
): AsyncGenerator<[K, V][]> {
  try {
    for (;;) {
      const page = await iterator.nextv(rows)
      if (page.length === 0) return
      yield page
    }
  } finally {
    await iterator.close()
  }
}
