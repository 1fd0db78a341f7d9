import { type AnyRecord, compareBytes, recordDigest } from '@souk/records'
import { admit, type Candidate, type Evictable, type PutOutcome, receiptRoom } from './admission.ts'
import { Draft, type RemovedRecord, type Totals } from './draft.ts'
import { digestOfKey, expiryTags, receiptRanks, type StoredRecord, type Trust } from './entry.ts'
import { StorageError } from './errors.ts'
import { keyOf, mapKey, numberAt, numberBytes, within } from './keys.ts'
import { batchBytesMax, batchRecordsMax, putRecordsMax, refusedMs, sweepRecordsMax } from './limits.ts'
import { decodeChange } from './log.ts'
import { createMemory, type Memory } from './memory.ts'
import type { RecordReader } from './record-reader.ts'
import type { PutOptions, RecordStoreInit } from './records.ts'
import { decodeSlot } from './slot.ts'
import type { StorageOp, Tables } from './tables.ts'

/** What {@link RecordWriter} works on. */
export interface RecordWriterInit extends RecordStoreInit {
  readonly reader: Pick<RecordReader, 'stored'>
  /** Told of each batch when it is durable. */
  readonly onWritten: (batch: { stored: readonly StoredRecord[]; removed: readonly RemovedRecord[] }) => void
}

interface PutRequest {
  readonly candidates: readonly Candidate[]
  readonly bytes: number
  readonly sync: boolean
  readonly extraOps: readonly StorageOp[]
  readonly resolve: (outcomes: readonly PutOutcome[]) => void
  readonly reject: (error: unknown) => void
}

/** Puts records in and takes them out, with all rows that go with them, a batch at a time. */
export class RecordWriter {
  readonly #init: RecordWriterInit
  readonly #tables: Tables
  readonly #memory: Memory
  readonly #waiting: PutRequest[] = []
  #draining = false
  #staleCount: number
  /** Since the log was last trimmed; it may not have been before this store was opened. */
  #removals = Infinity

  constructor(init: RecordWriterInit) {
    this.#init = init
    this.#tables = init.tables
    this.#memory = createMemory(init.tables)
    this.#staleCount = init.staleCount
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

  trust(author: Uint8Array): Promise<number> {
    return this.#init.lane.run(async () => {
      const digests = (await this.#tables.byAuthor.keys(within(author)).all()).map(digestOfKey)
      if (digests.length > 0) await this.#promote(digests)
      return this.#init.refused.forgive(author)
    })
  }

  async #promote(digests: readonly Uint8Array[]): Promise<void> {
    const draft = this.#draft()
    const held = await this.#init.reader.stored(digests)
    await draft.loadSlots(held.map(({ record }) => record))
    for (const stored of held) if (stored.trust === 'unknown') draft.promote(stored, 'trusted')
    await this.#commit(draft, { sync: false })
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
    draft.hold(await this.#init.reader.stored([...new Map(touched.map((digest) => [mapKey(digest), digest])).values()]))
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
    const stored = await this.#init.reader.stored(
      (await this.#tables.rank.keys({ ...range, limit }).all()).map(digestOfKey)
    )
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
    this.#init.onWritten(draft)
  }

  async #sweepSome(nowMs: number): Promise<{ rows: number; records: number }> {
    const keys = await this.#tables.expiry.keys({ lt: keyOf(nowMs + 1), limit: sweepRecordsMax }).all()
    const isRecord = (key: Uint8Array): boolean => key[numberBytes] === expiryTags.record
    const expired = await this.#init.reader.stored(keys.filter(isRecord).map(digestOfKey))
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
    const leaving = await this.#init.reader.stored(digests)
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
}

const trustOfOwn = 2

/** Of all rows of a listing, besides its own bytes: what there are of them differs from kind to kind, but not by much. */
const rowsBytes = 800

/** No record is smaller than about this: so many have to go at most to make room for one that is larger. */
const smallRecordBytes = 256

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
