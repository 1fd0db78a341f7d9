import {
  type AnyRecord,
  compareBytes,
  recordDigest,
  type RecordId,
  recordIdOfDigest,
  type RecordKind,
  type SoukRecord
} from '@souk/records'
import { admit, type Candidate, type Evictable, type PutOutcome, receiptRoom } from './admission.ts'
import type { Disk } from './disk.ts'
import { Draft, type RemovedRecord, type Totals } from './draft.ts'
import {
  decodeStored,
  digestOfKey,
  expiryTags,
  isAuthentic,
  receiptRanks,
  recordBytesOf,
  type StoredRecord,
  type Trust
} from './entry.ts'
import { StorageError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import { ended, keyOf, mapKey, numberAt, numberBytes, textAt, within } from './keys.ts'
import type { Lane } from './lane.ts'
import {
  batchBytesMax,
  batchRecordsMax,
  pageMax,
  putOffMs,
  putRecordsMax,
  refusedMs,
  scanRows,
  showingMax,
  type StorageLimits,
  sweepRecordsMax
} from './limits.ts'
import { type Change, decodeChange, readChanges, type Sequences } from './log.ts'
import { createMemory, type Memory } from './memory.ts'
import type { PartitionBook } from './partition-book.ts'
import { decodeSlot, type Slot, slotKey } from './slot.ts'
import type { RefusedDigests } from './sync.ts'
import type { StorageOp, Table, Tables } from './tables.ts'

/** What happens to records; told when it is durable. */
export interface RecordEvents {
  readonly stored: readonly StoredRecord[]
  readonly removed: readonly RemovedRecord[]
  /** A read came upon bytes that are not what was written. */
  readonly damaged: { readonly digest: Uint8Array }
}

export interface PutOptions {
  /** Signed by this node's user: written to the platter, exempt from quotas, never evicted. */
  readonly own?: boolean
  /** Whose records get the larger quota and go last when the store is full. Nobody's when left out. */
  readonly trusted?: (author: Uint8Array) => boolean
  /** Returns when the bytes are on the platter. Always so for `own`. */
  readonly sync?: boolean
  /** Other changes of the same batch, written whatever becomes of the records. */
  readonly extraOps?: readonly StorageOp[]
}

/** Which records to list. Newest first by their author's clock; tombstones are left out. */
export interface ListQuery {
  readonly kind: RecordKind
  readonly author?: Uint8Array
  /** A category, or the one above it. Only for listings, and not together with `author`. */
  readonly category?: string
  readonly market?: string
  /** At most 1,000; 100 when left out. */
  readonly limit?: number
  /** The last record of the page before. */
  readonly after?: Pick<AnyRecord, 'id' | 'createdAtMs'>
}

/** Signed records: what this node remembers of the market. They were opened and checked before they come here. */
export interface RecordStore {
  /**
   * Stores records, in one atomic batch with everything that is indexed or superseded by them. Calls that wait for
   * each other share a batch.
   *
   * @returns What became of each, in the order given.
   * @throws {@link StorageError} `read-only`, or `limit` above 5,000 records.
   */
  put(records: AnyRecord | readonly AnyRecord[], options?: PutOptions): Promise<readonly PutOutcome[]>
  /**
   * @param options.verify - Checks the signature again (0.1 ms): before anything that moves money.
   * @throws {@link StorageError} `damaged` when the stored bytes are not what was written.
   */
  get(id: RecordId, options?: { verify?: boolean }): Promise<AnyRecord | undefined>
  /** The signed bytes of each id, as they travel; undefined for what is not held. */
  getBytes(ids: readonly RecordId[]): Promise<(Uint8Array | undefined)[]>
  /** The record that stands in a slot: may be a tombstone. */
  head(slot: Slot): Promise<AnyRecord | undefined>
  /** All records of a slot of an immutable kind: more than one prove that their author said two things. */
  conflicts(slot: Slot): Promise<AnyRecord[]>
  list<K extends RecordKind>(query: ListQuery & { readonly kind: K }): Promise<SoukRecord<K>[]>
  /** Feedback about somebody, newest first: of each order's two slots the record that stands. */
  feedbackOn(subject: Uint8Array): Promise<SoukRecord<'feedback'>[]>
  /** Feedback that somebody gave, newest first. */
  feedbackBy(author: Uint8Array): Promise<SoukRecord<'feedback'>[]>
  /** Held records that show this image, 16 at most. @param cid - Binary CID. */
  showing(cid: Uint8Array): Promise<AnyRecord[]>
  /** The change log after a sequence number: what there is, then what comes, until the signal ends it. */
  changes(options: { after: number; signal: AbortSignal }): AsyncGenerator<Change>
  /** One page of the change log, oldest first. */
  changesSince(sequence: number, options?: { limit?: number }): Promise<Change[]>
  /** Of the last change that is durable. */
  readonly lastSequence: number
  /** True when there is a record in this slot. */
  holdsSlot(slot: Slot): Promise<boolean>
  /** Remembers ids for a few minutes as not wanted: what they name is not worth its price now, and may be later. */
  putOff(ids: readonly RecordId[]): void
  /**
   * Ranks what is held of this author from now on as {@link PutOptions.trusted} would have, and wants what was refused.
   *
   * @param author - 32 bytes.
   * @returns How many records of theirs were refused lately for want of room: peers may have them.
   */
  trust(author: Uint8Array): Promise<number>
  /** How full the room is that all records share, and the part that unknown authors' receipt-bound ones may take: 0 to 1. */
  fullness(): { readonly shared: number; readonly receipts: number }
  /** Records held, tombstones included. */
  count(): number
  /** Bytes of all records held, as they travel. */
  bytes(): number
  /** Takes out what has expired. Returns how many records that were. */
  sweep(nowMs: number): Promise<number>
  /** Takes out what an author has signed, but for this node's own. Returns how many records that were. */
  drop(author: Uint8Array): Promise<number>
  on<Name extends keyof RecordEvents>(name: Name, listener: (event: RecordEvents[Name]) => void): Unsubscribe
}

/** What {@link createRecordStore} works on. */
export interface RecordStoreInit {
  readonly tables: Tables
  readonly disk: Disk
  readonly lane: Lane
  readonly sequences: Sequences
  readonly partitions: PartitionBook
  readonly limits: StorageLimits
  readonly staleCount: number
  readonly now: () => number
  /** What was refused lately, for want of room or of work. */
  readonly refused: RefusedDigests
}

interface PutRequest {
  readonly candidates: readonly Candidate[]
  readonly bytes: number
  readonly sync: boolean
  readonly extraOps: readonly StorageOp[]
  readonly resolve: (outcomes: readonly PutOutcome[]) => void
  readonly reject: (error: unknown) => void
}

export function createRecordStore(init: RecordStoreInit): RecordStore {
  return new LevelRecordStore(init)
}

class LevelRecordStore implements RecordStore {
  readonly #init: RecordStoreInit
  readonly #tables: Tables
  readonly #memory: Memory
  readonly #events = new Emitter<RecordEvents>()
  readonly #waiting: PutRequest[] = []
  #draining = false
  #staleCount: number
  /** Since the log was last trimmed; it may not have been before this store was opened. */
  #removals = Infinity

  constructor(init: RecordStoreInit) {
    this.#init = init
    this.#tables = init.tables
    this.#memory = createMemory(init.tables)
    this.#staleCount = init.staleCount
  }

  get lastSequence(): number {
    return this.#init.sequences.last
  }

  count(): number {
    return this.#init.partitions.totals.count
  }

  bytes(): number {
    return this.#init.partitions.totals.bytes
  }

  on<Name extends keyof RecordEvents>(name: Name, listener: (event: RecordEvents[Name]) => void): Unsubscribe {
    return this.#events.on(name, listener)
  }

  async put(given: AnyRecord | readonly AnyRecord[], options: PutOptions = {}): Promise<readonly PutOutcome[]> {
    const records = Array.isArray(given) ? (given as readonly AnyRecord[]) : [given as AnyRecord]
    if (records.length > putRecordsMax) {
      throw new StorageError('limit', `${records.length} records in one call are more than ${putRecordsMax}; cut them`)
    }
    if (records.length === 0) return []
    const candidates = records.map((record) => candidateOf(record, options))
    const bytes = records.reduce((sum, record) => sum + record.bytes.length, 0)
    const { extraOps = [], sync = options.own ?? false } = options
    return new Promise((resolve, reject) => {
      this.#waiting.push({ candidates, bytes, sync, extraOps, resolve, reject })
      this.#drain()
    })
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
      if (value !== undefined && bytes === undefined) this.#onDamaged(digests[index] as Uint8Array)
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

  putOff(ids: readonly RecordId[]): void {
    for (const id of ids) this.#init.refused.add(recordDigest(id), putOffMs)
  }

  trust(author: Uint8Array): Promise<number> {
    return this.#init.lane.run(async () => {
      const digests = (await this.#tables.byAuthor.keys(within(author)).all()).map(digestOfKey)
      if (digests.length > 0) await this.#promote(digests)
      return this.#init.refused.forgive(author)
    })
  }

  async #promote(digests: readonly Uint8Array[]): Promise<void> {
    const draft = this.#draft()
    const held = await this.#stored(digests)
    await draft.loadSlots(held.map(({ record }) => record))
    for (const stored of held) if (stored.trust === 'unknown') draft.promote(stored, 'trusted')
    await this.#commit(draft, { sync: false })
  }

  fullness(): { shared: number; receipts: number } {
    const { limits, partitions } = this.#init
    const room = { count: limits.recordsMax, bytes: limits.bytesMax }
    return {
      shared: shareOf(partitions.totals, room),
      receipts: shareOf(partitions.totals.receipts, receiptRoom(limits))
    }
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

  changesSince(sequence: number, { limit = pageMax }: { limit?: number } = {}): Promise<Change[]> {
    return readChanges(this.#tables, sequence, limit)
  }

  async *changes({ after, signal }: { after: number; signal: AbortSignal }): AsyncGenerator<Change> {
    for (let seen = after; !signal.aborted;) {
      const page = await this.changesSince(seen)
      yield* page
      seen = page.at(-1)?.sequence ?? seen
      if (page.length === 0) await this.#changed(seen, signal)
    }
  }

  async sweep(nowMs: number): Promise<number> {
    let swept = 0
    for (let more = true; more;) {
      const taken = await this.#init.lane.run(() => this.#sweepSome(nowMs))
      swept += taken.records
      more = taken.rows === sweepRecordsMax
    }
    await this.#init.lane.run(() => this.#trimLog())
    return swept
  }

  async drop(author: Uint8Array): Promise<number> {
    let dropped = 0
    for (let more = true; more;) {
      const some = await this.#init.lane.run(() => this.#dropSome(author))
      dropped += some
      more = some >= sweepRecordsMax
    }
    return dropped
  }

  /** Starts writing what waits, unless that is going on. */
  #drain(): void {
    if (this.#draining) return
    this.#draining = true
    void this.#init.lane.run(async () => {
      await this.#putWaiting()
      this.#draining = false
      if (this.#waiting.length > 0) this.#drain()
    })
  }

  async #putWaiting(): Promise<void> {
    const requests = takeBatch(this.#waiting)
    try {
      const outcomes = await this.#putBatch(requests)
      requests.forEach((request, index) => request.resolve(outcomes[index] ?? []))
    } catch (error) {
      for (const request of requests) request.reject(error)
    }
  }

  async #putBatch(requests: readonly PutRequest[]): Promise<PutOutcome[][]> {
    const candidates = requests.flatMap((request) => request.candidates)
    const draft = this.#draft({ candidates })
    await this.#loadFor(draft, candidates)
    const evictable = await this.#evictable(draft, candidates)
    const outcomes = requests.map((request) =>
      request.candidates.map((candidate) => admit(draft, candidate, evictable))
    )
    for (const { extraOps } of requests) draft.accompany(extraOps)
    await this.#commit(draft, { sync: requests.some((request) => request.sync) })
    this.#reportRefused(candidates, outcomes.flat())
    return outcomes
  }

  #reportRefused(candidates: readonly Candidate[], outcomes: readonly PutOutcome[]): void {
    candidates.forEach(({ digest, record }, index) => {
      if (outcomes[index] === 'over-quota') this.#init.refused.add(digest, refusedMs, record.author)
    })
  }

  #draft({
    nowMs = this.#init.now(),
    candidates = []
  }: { nowMs?: number; candidates?: readonly Candidate[] } = {}): Draft {
    const { tables, limits, partitions, sequences } = this.#init
    const nextSequence = (): number => sequences.next()
    const { sums, totals } = partitions
    const bytesExpected = candidates.reduce((bytes, { record }) => bytes + record.bytes.length + rowsBytes, 0)
    const [memory, staleCount] = [this.#memory, this.#staleCount]
    return new Draft({
      tables,
      memory,
      limits,
      nowMs,
      partitions: sums,
      totals,
      staleCount,
      nextSequence,
      bytesExpected
    })
  }

  async #loadFor(draft: Draft, candidates: readonly Candidate[]): Promise<void> {
    const records = candidates.map((candidate) => candidate.record)
    await Promise.all([draft.loadSlots(records), draft.loadStale(candidates.map((candidate) => candidate.digest))])
    await this.#vacateLost(draft, candidates)
    const touched = candidates.flatMap((candidate) => entriesTouchedBy(draft, candidate))
    draft.hold(await this.#stored([...new Map(touched.map((digest) => [mapKey(digest), digest])).values()]))
  }

  /** A slot may point to a record that the disk has lost: then the candidate is not known, it is what heals. */
  async #vacateLost(draft: Draft, candidates: readonly Candidate[]): Promise<void> {
    const met = candidates.filter(({ record, digest }) =>
      draft.slot(record).some((entry) => compareBytes(entry.digest, digest) === 0)
    )
    const held = met.length === 0 ? [] : await this.#tables.records.hasMany(met.map(({ digest }) => digest))
    met.forEach(({ record, digest }, index) => {
      if (held[index] !== true) draft.vacate(record, digest)
    })
  }

  /** Records that may go to make room for these, least worth first; none unless a room is about to be full. */
  async #evictable(draft: Draft, candidates: readonly Candidate[]): Promise<Evictable> {
    const { limits } = this.#init
    const bytes = candidates.reduce((sum, { record }) => sum + record.bytes.length, 0)
    // Of the least worth, one for each candidate, and one for each that is replaced by a candidate and does not count.
    const needed = ({ count, bytes: held }: Totals, room: Totals): number =>
      (count + candidates.length > room.count ? 2 * candidates.length : 0) +
      (held + bytes > room.bytes ? candidates.length + Math.ceil(bytes / smallRecordBytes) : 0)
    const room = { count: limits.recordsMax, bytes: limits.bytesMax }
    const any = await this.#leastWorth(draft, { lt: Uint8Array.of(trustOfOwn) }, needed(draft.totals, room))
    const receiptsNeeded = needed(draft.totals.receipts, receiptRoom(limits))
    const receipts = await this.#leastWorth(draft, receiptRanks, receiptsNeeded)
    return { any, receipts }
  }

  async #leastWorth(draft: Draft, range: { gte?: Uint8Array; lt: Uint8Array }, limit: number): Promise<StoredRecord[]> {
    if (limit === 0) return []
    const stored = await this.#stored((await this.#tables.rank.keys({ ...range, limit }).all()).map(digestOfKey))
    await draft.loadSlots(stored.map(({ record }) => record))
    draft.hold(stored)
    return stored
  }

  async #commit(draft: Draft, options: { sync: boolean }): Promise<void> {
    if (draft.isEmpty) return
    await this.#init.sequences.reserve()
    const { remembered } = draft
    this.#memory.writing(remembered)
    await this.#init.disk.commit(draft.ops(), options)
    this.#memory.written(remembered)
    this.#staleCount = draft.staleCount
    this.#removals += draft.removed.length
    this.#init.partitions.apply(draft)
    this.#init.sequences.written(Math.max(...sequencesOf(draft)))
    if (draft.stored.length > 0) this.#events.emit('stored', draft.stored)
    if (draft.removed.length > 0) this.#events.emit('removed', draft.removed)
  }

  async #sweepSome(nowMs: number): Promise<{ rows: number; records: number }> {
    const keys = await this.#tables.expiry.keys({ lt: keyOf(nowMs + 1), limit: sweepRecordsMax }).all()
    const isRecord = (key: Uint8Array): boolean => key[numberBytes] === expiryTags.record
    const expired = await this.#stored(keys.filter(isRecord).map(digestOfKey))
    const draft = this.#draft({ nowMs })
    await draft.loadSlots(expired.map(({ record }) => record))
    for (const stored of expired) draft.remove(stored, 'expired')
    for (const key of keys) {
      if (isRecord(key)) draft.dropExpiry(key)
      else draft.dropStale(digestOfKey(key), numberAt(key, 0))
    }
    await this.#commit(draft, { sync: false })
    return { rows: keys.length, records: expired.length }
  }

  async #dropSome(author: Uint8Array): Promise<number> {
    const digests: Uint8Array[] = []
    for await (const value of this.#tables.slots.values(within(author))) {
      for (const { digest, own } of decodeSlot(value)) if (!own) digests.push(digest)
      if (digests.length >= sweepRecordsMax) break
    }
    const leaving = await this.#stored(digests)
    const draft = this.#draft()
    await draft.loadSlots(leaving.map(({ record }) => record))
    for (const stored of leaving) draft.remove(stored, 'dropped')
    await this.#commit(draft, { sync: false })
    return leaving.length
  }

  /** Removals are only news for a while: a projection that missed some of those trimmed starts over. */
  async #trimLog(): Promise<void> {
    const { removalsKept } = this.#init.limits
    if (this.#removals <= removalsKept) return
    this.#removals = 0
    const removals: Uint8Array[] = []
    for await (const [key, value] of this.#tables.log.iterator()) {
      if (decodeChange(key, value).type === 'removed') removals.push(key)
    }
    const old = removals.slice(0, -removalsKept)
    if (old.length === 0) return
    const trimmedTo = numberAt(old.at(-1) as Uint8Array, 0)
    await this.#init.disk.commit([
      { type: 'put', sublevel: this.#tables.meta, key: 'trimmed', value: trimmedTo },
      ...old.map((key) => ({ type: 'del', sublevel: this.#tables.log, key }) as const)
    ])
  }

  /** The stored records of these digests; what is missing or damaged is left out. */
  async #stored(digests: readonly Uint8Array[]): Promise<StoredRecord[]> {
    if (digests.length === 0) return []
    const values = await this.#tables.records.getMany([...digests])
    return digests.flatMap((digest, index) => {
      const value = values[index]
      const stored = value === undefined ? undefined : decodeStored(digest, value)
      if (value !== undefined && stored === undefined) this.#onDamaged(digest)
      return stored === undefined ? [] : [stored]
    })
  }

  #intact(digest: Uint8Array, value: Uint8Array, verify: boolean): StoredRecord {
    const stored = decodeStored(digest, value)
    if (stored !== undefined && (!verify || isAuthentic(stored.record))) return stored
    this.#onDamaged(digest)
    const id = recordIdOfDigest(digest)
    throw new StorageError('damaged', `the bytes stored for ${id} are not what was written; fetch it from a peer again`)
  }

  #onDamaged(digest: Uint8Array): void {
    this.#events.emit('damaged', { digest })
  }

  async #records(digests: readonly Uint8Array[]): Promise<AnyRecord[]> {
    return (await this.#stored(digests)).map(({ record }) => record)
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

  /** Resolves when there is something after `sequence`, or the signal ends the wait. */
  #changed(sequence: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const offs = [this.on('stored', done), this.on('removed', done)]
      signal.addEventListener('abort', done, { once: true })
      if (this.lastSequence > sequence || signal.aborted) done()
      function done(): void {
        for (const off of offs) off()
        signal.removeEventListener('abort', done)
        resolve()
      }
    })
  }
}

const trustOfOwn = 2

/** Of all rows of a listing, besides its own bytes: what there are of them differs from kind to kind, but not by much. */
const rowsBytes = 800

/** No record is smaller than about this: so many have to go at most to make room for one that is larger. */
const smallRecordBytes = 256

function shareOf(held: Totals, room: Totals): number {
  return Math.max(held.count / room.count, held.bytes / room.bytes)
}

function candidateOf(record: AnyRecord, { own, trusted }: PutOptions): Candidate {
  return { record, digest: recordDigest(record.id), trust: trustOf(record, { own, trusted }) }
}

function trustOf(record: AnyRecord, { own, trusted }: PutOptions): Trust {
  if (own === true) return 'own'
  return trusted?.(record.author) === true ? 'trusted' : 'unknown'
}

/** Whole requests, in order, as many as one batch holds; always one. */
function takeBatch(waiting: PutRequest[]): PutRequest[] {
  let [records, bytes, taken] = [0, 0, 0]
  for (const request of waiting) {
    records += request.candidates.length
    bytes += request.bytes
    if (taken > 0 && (records > batchRecordsMax || bytes > batchBytesMax)) break
    taken++
  }
  return waiting.splice(0, taken)
}

/**
 * Digests of what may have to go, or change, for a candidate: all others of its slot. The candidate itself only when
 * it is the user's own, which may have come from peers first.
 */
function entriesTouchedBy(draft: Draft, { record, digest, trust }: Candidate): Uint8Array[] {
  const digests = draft.slot(record).map((entry) => entry.digest)
  return trust === 'own' ? digests : digests.filter((other) => compareBytes(other, digest) !== 0)
}

function sequencesOf({ stored, removed }: Draft): number[] {
  return [0, ...stored.map(({ sequence }) => sequence), ...removed.map(({ sequence }) => sequence)]
}

/** A range that ends before the record that a page ended with. */
function rangeBefore(prefix: Uint8Array, after: ListQuery['after']): { gte: Uint8Array; lt?: Uint8Array } {
  const range = within(prefix)
  return after === undefined ? range : { ...range, lt: keyOf(prefix, after.createdAtMs, recordDigest(after.id)) }
}
