import { type AnyRecord, compareBytes, kindLimits } from '@souk/records'
import { encodeStored, type Entry, entriesOf, expiryKey, rankKey, type StoredRecord, type Trust } from './entry.ts'
import { end, keyOf, mapKey, mapKeyBytes, numberAt, numberBytes, type Part } from './keys.ts'
import { slotsPerLive, type StorageLimits } from './limits.ts'
import type { Counts, Memory, Remembered } from './memory.ts'
import { changed, emptyPartition, encodePartition, PartitionNames, type PartitionSum } from './partition.ts'
import { Rows } from './rows.ts'
import { decodeSlot, encodeSlot, type SlotEntry, slotParts } from './slot.ts'
import type { RowOp, StorageOp, Tables } from './tables.ts'

/** Why a record is no longer in the store. */
export type RemovalReason = 'superseded' | 'expired' | 'evicted' | 'dropped' | 'damaged'

/** A record that was taken out. */
export interface RemovedRecord {
  readonly record: AnyRecord
  readonly digest: Uint8Array
  /** The place of its removal in the change log. */
  readonly sequence: number
  readonly reason: RemovalReason
}

/** Records and bytes. */
export interface Totals {
  readonly count: number
  readonly bytes: number
}

/** Records and bytes of the whole store, and of the receipt-bound ones in it. */
export interface StoreTotals extends Totals {
  readonly receipts: Totals
}

/** What a draft starts from. */
export interface DraftBase {
  readonly tables: Tables
  readonly memory: Memory
  readonly limits: StorageLimits
  readonly nowMs: number
  readonly partitions: ReadonlyMap<string, PartitionSum>
  readonly totals: StoreTotals
  readonly staleCount: number
  /** Hands out the next number of the change log. */
  readonly nextSequence: () => number
  /** Of the records that are to be put, about. */
  readonly bytesExpected: number
}

const nothing: readonly Part[] = []

/**
 * The changes of one batch before it is written: what it read, as it will be afterwards. Nothing outside changes until
 * the batch is durable, so a failed write leaves no trace in memory either.
 */
export class Draft {
  readonly base: DraftBase
  readonly stored: StoredRecord[] = []
  readonly removed: RemovedRecord[] = []
  readonly partitions = new Map<string, PartitionSum>()
  totals: StoreTotals
  staleCount: number
  readonly #rows: Rows
  readonly #others: StorageOp[] = []
  readonly #slots = new Map<string, SlotEntry[]>()
  readonly #counts = new Map<string, Counts>()
  readonly #held = new Map<string, StoredRecord>()
  readonly #stale = new Set<string>()
  /** A record's slot is looked at about ten times on its way, and its name costs as much as all of those. */
  readonly #slotNames = new Map<AnyRecord, string>()
  readonly #countNames = new Map<AnyRecord, string>()
  readonly #partitionNames = new PartitionNames()

  constructor(base: DraftBase) {
    this.base = base
    this.#rows = new Rows(base.bytesExpected)
    this.totals = base.totals
    this.staleCount = base.staleCount
  }

  get isEmpty(): boolean {
    return this.#rows.isEmpty && this.#others.length === 0
  }

  /** Everything to write, in order; a later change of a key wins. To be asked for once. */
  ops(): (StorageOp | RowOp)[] {
    const { tables } = this.base
    for (const [name, sum] of this.partitions) {
      const key = [mapKeyBytes(name)]
      if (sum.count === 0) this.#rows.del(tables.partitions, key)
      else this.#rows.put(tables.partitions, key, [encodePartition(sum)])
    }
    for (const [name, { live, slots }] of this.#counts) {
      const key = [mapKeyBytes(name)]
      if (slots === 0) this.#rows.del(tables.counts, key)
      else this.#rows.put(tables.counts, key, [live, slots])
    }
    return [...this.#rows.ops(), ...this.#others]
  }

  /** What of this batch is to be remembered once it is written. */
  get remembered(): Remembered {
    const slots = [...this.#slots].flatMap(([name, entries]) => (entries.length === 0 ? [] : [name]))
    return { slots, stale: this.#stale, counts: this.#counts }
  }

  /** Finds out what is in the slots that these records touch, and what their authors have. */
  async loadSlots(records: readonly AnyRecord[]): Promise<void> {
    await Promise.all([this.#loadSlots(records), this.#loadCounts(records)])
  }

  async #loadSlots(records: readonly AnyRecord[]): Promise<void> {
    const { tables, memory } = this.base
    const names = missing(
      records.map((record) => this.#slotName(record)),
      this.#slots
    )
    const unsure = names.filter((name) => memory.mayHoldSlot(name))
    const values = unsure.length === 0 ? [] : await tables.slots.getMany(unsure.map(mapKeyBytes))
    unsure.forEach((name, index) => this.#slots.set(name, decodeSlot(values[index])))
  }

  async #loadCounts(records: readonly AnyRecord[]): Promise<void> {
    const { tables, memory } = this.base
    const unknown: string[] = []
    const names = records.map((record) => this.#countName(record))
    for (const name of missing(names, this.#counts)) {
      const known = memory.counts(name)
      if (known === undefined) unknown.push(name)
      else this.#counts.set(name, known)
    }
    const values = unknown.length === 0 ? [] : await tables.counts.getMany(unknown.map(mapKeyBytes))
    unknown.forEach((name, index) => {
      const counts = decodeCounts(values[index])
      this.#counts.set(name, counts)
      memory.learn(name, counts)
    })
  }

  /** Finds out which of these digests are remembered as stale. */
  async loadStale(digests: readonly Uint8Array[]): Promise<void> {
    if (this.staleCount === 0) return
    const { tables, memory } = this.base
    const unsure = digests.filter((digest) => memory.mayBeStale(mapKey(digest)))
    const values = unsure.length === 0 ? [] : await tables.stale.getMany(unsure)
    unsure.forEach((digest, index) => {
      if (values[index] !== undefined) this.#stale.add(mapKey(digest))
    })
  }

  /** Makes known what may be taken out. */
  hold(stored: Iterable<StoredRecord>): void {
    for (const one of stored) this.#held.set(mapKey(one.digest), one)
  }

  held(digest: Uint8Array): StoredRecord | undefined {
    return this.#held.get(mapKey(digest))
  }

  slot(record: AnyRecord): readonly SlotEntry[] {
    return this.#slots.get(this.#slotName(record)) ?? []
  }

  isStale(digest: Uint8Array): boolean {
    return this.#stale.has(mapKey(digest))
  }

  /** True when the author's quota has room for this record in its slot. */
  isWithinQuota({ record, trust }: Pick<StoredRecord, 'record' | 'trust'>): boolean {
    if (trust === 'own') return true
    const { liveUnknownMax, liveTrustedMax } = kindLimits[record.kind]
    const max = trust === 'trusted' ? liveTrustedMax : liveUnknownMax
    const before = countsOf(this.slot(record))
    const { live, slots } = this.#counts.get(this.#countName(record)) ?? { live: 0, slots: 0 }
    const more = record.content === null ? 0 : 1 - before.live
    return live + more <= max && slots + 1 - before.slots <= max * slotsPerLive
  }

  /** Adds a record to its slot, at the place that `compare` gives it. */
  add(stored: Omit<StoredRecord, 'sequence'>, compare: (a: SlotEntry, b: SlotEntry) => number): void {
    const complete = { ...stored, sequence: this.base.nextSequence() }
    for (const [table, key, value] of this.#entriesOf(complete)) this.#rows.put(table, key, value)
    this.#setSlot(stored.record, [...this.slot(stored.record), entryOf(stored)].toSorted(compare))
    this.#changePartition(stored, 1)
    this.#held.set(mapKey(complete.digest), complete)
    this.stored.push(complete)
  }

  /** Takes a record out, with all that was written for it. */
  remove(stored: StoredRecord, reason: RemovalReason): void {
    const { record, digest } = stored
    const sequence = this.base.nextSequence()
    for (const [table, key] of this.#entriesOf(stored)) this.#rows.del(table, key)
    this.#rows.put(this.base.tables.log, [sequence], ['-', digest, record.market, end, record.channel])
    this.vacate(record, digest)
    this.#changePartition(stored, -1)
    this.#held.delete(mapKey(digest))
    this.removed.push({ record, digest, sequence, reason })
    if (reason === 'superseded') this.markStale(record, digest)
  }

  /** Frees the slot of a record whose bytes are gone; what else was written for it, the check finds. */
  vacate(record: AnyRecord, digest: Uint8Array): void {
    this.#setSlot(
      record,
      this.slot(record).filter((entry) => compareBytes(entry.digest, digest) !== 0)
    )
  }

  /** Remembers an id as superseded until it expires. */
  markStale(record: AnyRecord, digest: Uint8Array): void {
    const { tables, nowMs, limits } = this.base
    if (record.expiresAtMs <= nowMs || this.staleCount >= limits.staleMax || this.isStale(digest)) return
    this.#stale.add(mapKey(digest))
    this.staleCount++
    this.#rows.put(tables.stale, [digest], [record.expiresAtMs])
    this.#rows.put(tables.expiry, expiryKey(record.expiresAtMs, 'stale', digest), nothing)
  }

  /** Enters changes that are not about records, to be written with the rest. */
  accompany(ops: readonly StorageOp[]): void {
    this.#others.push(...ops)
  }

  /** Takes an expiry row out whose record is gone. */
  dropExpiry(key: Uint8Array): void {
    this.#rows.del(this.base.tables.expiry, [key])
  }

  /** Forgets a stale id whose time has come. */
  dropStale(digest: Uint8Array, expiresAtMs: number): void {
    const { tables } = this.base
    this.staleCount--
    this.#rows.del(tables.stale, [digest])
    this.#rows.del(tables.expiry, expiryKey(expiresAtMs, 'stale', digest))
  }

  /** A record that came from peers first turns out to be the user's own, or of somebody who is trusted by now. */
  promote(stored: StoredRecord, trust: Exclude<Trust, 'unknown'>): void {
    const { tables } = this.base
    const better: StoredRecord = { ...stored, trust }
    this.#rows.del(tables.rank, rankKey(stored))
    this.#rows.put(tables.rank, rankKey(better), nothing)
    this.#rows.put(tables.records, [better.digest], encodeStored(better))
    this.hold([better])
    this.#setSlot(
      better.record,
      this.slot(better.record).map((entry) =>
        compareBytes(entry.digest, better.digest) === 0 ? entryOf(better) : entry
      )
    )
  }

  #slotName(record: AnyRecord): string {
    return remembered(this.#slotNames, record, () => mapKey(keyOf(...slotParts(record))))
  }

  #countName(record: AnyRecord): string {
    return remembered(this.#countNames, record, () => mapKey(keyOf(record.author, record.kind, end)))
  }

  #entriesOf(stored: StoredRecord): Entry[] {
    return entriesOf(this.base.tables, stored, this.#partitionNames.of(stored.record).key)
  }

  #setSlot(record: AnyRecord, entries: SlotEntry[]): void {
    const name = this.#slotName(record)
    this.#changeCounts(record, countsOf(this.slot(record)), countsOf(entries))
    this.#slots.set(name, entries)
    const { slots } = this.base.tables
    if (entries.length === 0) this.#rows.del(slots, slotParts(record))
    else this.#rows.put(slots, slotParts(record), encodeSlot(entries))
  }

  #changeCounts(record: AnyRecord, before: Counts, after: Counts): void {
    const key = this.#countName(record)
    const { live, slots } = this.#counts.get(key) ?? { live: 0, slots: 0 }
    this.#counts.set(key, { live: live + after.live - before.live, slots: slots + after.slots - before.slots })
  }

  #changePartition({ record, digest }: Pick<StoredRecord, 'record' | 'digest'>, by: 1 | -1): void {
    const key = this.#partitionNames.of(record).name
    const before = this.partitions.get(key) ?? this.base.partitions.get(key) ?? emptyPartition
    this.partitions.set(key, changed(before, { digest, bytes: record.bytes.length }, by))
    const more = { count: by, bytes: by * record.bytes.length }
    const { receipts } = this.totals
    const isBound = kindLimits[record.kind].receiptBound
    this.totals = { ...sumOf(this.totals, more), receipts: isBound ? sumOf(receipts, more) : receipts }
  }
}

function entryOf({ record, digest, trust }: Pick<StoredRecord, 'record' | 'digest' | 'trust'>): SlotEntry {
  const { seq, createdAtMs, content } = record
  return { digest, seq, createdAtMs, tombstone: content === null, own: trust === 'own' }
}

/** What a slot counts against its author. The user's own records count against nobody. */
function countsOf(entries: readonly SlotEntry[]): Counts {
  const [head] = entries
  if (head === undefined || head.own) return { live: 0, slots: 0 }
  return { live: head.tombstone ? 0 : 1, slots: 1 }
}

function sumOf(a: Totals, b: Totals): Totals {
  return { count: a.count + b.count, bytes: a.bytes + b.bytes }
}

function decodeCounts(bytes: Uint8Array | undefined): Counts {
  return bytes === undefined ? { live: 0, slots: 0 } : { live: numberAt(bytes, 0), slots: numberAt(bytes, numberBytes) }
}

function remembered(names: Map<AnyRecord, string>, record: AnyRecord, make: () => string): string {
  const name = names.get(record) ?? make()
  names.set(record, name)
  return name
}

/** Each name once that is not known yet. */
function missing(names: readonly string[], known: ReadonlyMap<string, unknown>): string[] {
  return [...new Set(names)].filter((name) => !known.has(name))
}
