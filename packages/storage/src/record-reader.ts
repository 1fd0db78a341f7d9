import {
  type AnyRecord,
  compareBytes,
  recordDigest,
  type RecordId,
  recordIdOfDigest,
  type RecordKind,
  type SoukRecord
} from '@souk/records'
import { decodeStored, digestOfKey, isAuthentic, recordBytesOf, type StoredRecord } from './entry.ts'
import { StorageError } from './errors.ts'
import { ended, keyOf, textAt, within } from './keys.ts'
import type { Lane } from './lane.ts'
import { pageMax, scanRows, showingMax } from './limits.ts'
import type { ListQuery } from './records.ts'
import { decodeSlot, type Slot, slotKey } from './slot.ts'
import type { Table, Tables } from './tables.ts'

/** What {@link RecordReader} works on. */
export interface RecordReaderInit {
  readonly tables: Tables
  /** In which writes follow each other. */
  readonly lane: Lane
  /** Told of stored bytes that are not what was written. */
  readonly onDamaged: (digest: Uint8Array) => void
}

/** Reads records by their ids, slots and indexes, and tells what has been damaged. */
export class RecordReader {
  readonly #tables: Tables
  readonly #init: RecordReaderInit

  constructor(init: RecordReaderInit) {
    this.#tables = init.tables
    this.#init = init
  }

  async get(id: RecordId, { verify = false }: { verify?: boolean } = {}): Promise<AnyRecord | undefined> {
    const digest = recordDigest(id)
    const value = await this.#tables.records.get(digest)
    return value === undefined ? undefined : this.#intact(digest, value, verify).record
  }

  async getBytes(ids: readonly RecordId[]): Promise<(Uint8Array | undefined)[]> {
    const digests = ids.map(recordDigest)
    const values = await this.#tables.records.getMany(digests)
    return values.map((value, index) => {
      const bytes = value === undefined ? undefined : recordBytesOf(value)
      if (value !== undefined && bytes === undefined) this.#init.onDamaged(digests[index] as Uint8Array)
      return bytes
    })
  }

  async head(slot: Slot): Promise<AnyRecord | undefined> {
    const key = slotKey(slot)
    let looked: Uint8Array | undefined
    for (;;) {
      const [entry] = decodeSlot(await this.#tables.slots.get(key))
      // The same again: what the slot names is not there.
      if (entry === undefined || (looked !== undefined && compareBytes(entry.digest, looked) === 0)) return undefined
      const record = await this.get(recordIdOfDigest(entry.digest))
      if (record !== undefined) return record
      // Another has taken its place between the two reads.
      looked = entry.digest
    }
  }

  async holdsSlot(slot: Slot): Promise<boolean> {
    return (await this.#tables.slots.get(slotKey(slot))) !== undefined
  }

  async conflicts(slot: Slot): Promise<AnyRecord[]> {
    const entries = decodeSlot(await this.#tables.slots.get(slotKey(slot)))
    return this.#records(entries.map((entry) => entry.digest))
  }

  async list<K extends RecordKind>(query: ListQuery & { readonly kind: K }): Promise<SoukRecord<K>[]> {
    const [table, prefix] = this.#indexOf(query)
    return (await this.#newest(table, prefix, query)) as SoukRecord<K>[]
  }

  async feedbackOn(subject: Uint8Array): Promise<SoukRecord<'feedback'>[]> {
    return this.#standing(await this.#all(this.#tables.bySubject, subject))
  }

  async feedbackBy(author: Uint8Array): Promise<SoukRecord<'feedback'>[]> {
    return this.#standing(await this.#all(this.#tables.byAuthor, keyOf(author, ended('feedback'))))
  }

  async showing(cid: Uint8Array): Promise<AnyRecord[]> {
    const keys = await this.#tables.byImage.keys({ ...within(cid), limit: showingMax }).all()
    return this.#records(keys.map(digestOfKey))
  }

  /** The stored records of these digests; what is missing or damaged is left out. */
  async stored(digests: readonly Uint8Array[]): Promise<StoredRecord[]> {
    if (digests.length === 0) return []
    const values = await this.#tables.records.getMany([...digests])
    return digests.flatMap((digest, index) => {
      const value = values[index]
      const stored = value === undefined ? undefined : decodeStored(digest, value)
      if (value !== undefined && stored === undefined) this.#init.onDamaged(digest)
      return stored === undefined ? [] : [stored]
    })
  }

  #intact(digest: Uint8Array, value: Uint8Array, verify: boolean): StoredRecord {
    const stored = decodeStored(digest, value)
    if (stored !== undefined && (!verify || isAuthentic(stored.record))) return stored
    this.#init.onDamaged(digest)
    const id = recordIdOfDigest(digest)
    throw new StorageError('damaged', `the bytes stored for ${id} are not what was written; fetch it from a peer again`)
  }

  async #records(digests: readonly Uint8Array[]): Promise<AnyRecord[]> {
    return (await this.stored(digests)).map(({ record }) => record)
  }

  #indexOf({ kind, author, category }: ListQuery): [Table, Uint8Array] {
    if (author !== undefined && category !== undefined) {
      throw new StorageError('bad-argument', 'a list is of an author or of a category; search does both')
    }
    if (author !== undefined) return [this.#tables.byAuthor, keyOf(author, ended(kind))]
    if (category === undefined) return [this.#tables.byKind, ended(kind)]
    return [this.#tables.byCategory, ended(category)]
  }

  #newest(table: Table, prefix: Uint8Array, query: ListQuery): Promise<AnyRecord[]> {
    return this.#named(() => this.#newestIn(table, prefix, query))
  }

  async #newestIn(table: Table, prefix: Uint8Array, query: ListQuery): Promise<Uint8Array[]> {
    const limit = Math.min(query.limit ?? 100, pageMax)
    const digests: Uint8Array[] = []
    await using rows = table.iterator({ ...rangeBefore(prefix, query.after), reverse: true })
    while (digests.length < limit) {
      const page = await rows.nextv(query.market === undefined ? limit - digests.length : scanRows)
      if (page.length === 0) break
      for (const [key, market] of page) {
        if (query.market === undefined || textAt(market, 0) === query.market) digests.push(digestOfKey(key))
      }
    }
    return digests.slice(0, limit)
  }

  #all(table: Table, prefix: Uint8Array): Promise<AnyRecord[]> {
    return this.#named(async () => (await table.keys({ ...within(prefix), reverse: true }).all()).map(digestOfKey))
  }

  /** The records that an index names. If one was replaced between the two reads, both are made while nobody writes. */
  async #named(index: () => Promise<Uint8Array[]>): Promise<AnyRecord[]> {
    const digests = await index()
    const records = await this.#records(digests)
    if (records.length === digests.length) return records
    return this.#init.lane.run(async () => this.#records(await index()))
  }

  /** Those that stand first in their slots. */
  async #standing(records: readonly AnyRecord[]): Promise<SoukRecord<'feedback'>[]> {
    const slots = await this.#tables.slots.getMany(records.map(slotKey))
    return records.filter((record, index) => {
      const [head] = decodeSlot(slots[index])
      return head !== undefined && compareBytes(head.digest, recordDigest(record.id)) === 0
    }) as SoukRecord<'feedback'>[]
  }
}

/** A range that ends before the record that a page ended with. */
function rangeBefore(prefix: Uint8Array, after: ListQuery['after']): { gte: Uint8Array; lt?: Uint8Array } {
  const range = within(prefix)
  return after === undefined ? range : { ...range, lt: keyOf(prefix, after.createdAtMs, recordDigest(after.id)) }
}
