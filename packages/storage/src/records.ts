import type { AnyRecord, RecordId, RecordKind, SoukRecord } from '@souk/records'
import { recordDigest } from '@souk/records'
import { type PutOutcome, receiptRoom } from './admission.ts'
import type { Disk } from './disk.ts'
import type { RemovedRecord, Totals } from './draft.ts'
import type { StoredRecord } from './entry.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import type { Lane } from './lane.ts'
import { pageMax, putOffMs, type StorageLimits } from './limits.ts'
import { type Change, readChanges, type Sequences } from './log.ts'
import type { PartitionBook } from './partition-book.ts'
import { RecordReader } from './record-reader.ts'
import { RecordWriter } from './record-writer.ts'
import type { Slot } from './slot.ts'
import type { RefusedDigests } from './sync.ts'
import type { StorageOp, Tables } from './tables.ts'

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

export function createRecordStore(init: RecordStoreInit): RecordStore {
  return new LevelRecordStore(init)
}

class LevelRecordStore implements RecordStore {
  readonly #init: RecordStoreInit
  readonly #events = new Emitter<RecordEvents>()
  readonly #reader: RecordReader
  readonly #writer: RecordWriter

  constructor(init: RecordStoreInit) {
    this.#init = init
    const { tables, lane } = init
    this.#reader = new RecordReader({ tables, lane, onDamaged: (digest) => this.#events.emit('damaged', { digest }) })
    const onWritten = ({ stored, removed }: Pick<RecordEvents, 'stored' | 'removed'>): void => {
      if (stored.length > 0) this.#events.emit('stored', stored)
      if (removed.length > 0) this.#events.emit('removed', removed)
    }
    this.#writer = new RecordWriter({ ...init, reader: this.#reader, onWritten })
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

  put(given: AnyRecord | readonly AnyRecord[], options: PutOptions = {}): Promise<readonly PutOutcome[]> {
    return this.#writer.put(given, options)
  }

  trust(author: Uint8Array): Promise<number> {
    return this.#writer.trust(author)
  }

  sweep(nowMs: number): Promise<number> {
    return this.#writer.sweep(nowMs)
  }

  drop(author: Uint8Array): Promise<number> {
    return this.#writer.drop(author)
  }

  get(id: RecordId, options: { verify?: boolean } = {}): Promise<AnyRecord | undefined> {
    return this.#reader.get(id, options)
  }

  getBytes(ids: readonly RecordId[]): Promise<(Uint8Array | undefined)[]> {
    return this.#reader.getBytes(ids)
  }

  head(slot: Slot): Promise<AnyRecord | undefined> {
    return this.#reader.head(slot)
  }

  conflicts(slot: Slot): Promise<AnyRecord[]> {
    return this.#reader.conflicts(slot)
  }

  holdsSlot(slot: Slot): Promise<boolean> {
    return this.#reader.holdsSlot(slot)
  }

  list<K extends RecordKind>(query: ListQuery & { readonly kind: K }): Promise<SoukRecord<K>[]> {
    return this.#reader.list(query)
  }

  feedbackOn(subject: Uint8Array): Promise<SoukRecord<'feedback'>[]> {
    return this.#reader.feedbackOn(subject)
  }

  feedbackBy(author: Uint8Array): Promise<SoukRecord<'feedback'>[]> {
    return this.#reader.feedbackBy(author)
  }

  showing(cid: Uint8Array): Promise<AnyRecord[]> {
    return this.#reader.showing(cid)
  }

  putOff(ids: readonly RecordId[]): void {
    for (const id of ids) this.#init.refused.add(recordDigest(id), putOffMs)
  }

  fullness(): { shared: number; receipts: number } {
    const { limits, partitions } = this.#init
    const room = { count: limits.recordsMax, bytes: limits.bytesMax }
    return {
      shared: shareOf(partitions.totals, room),
      receipts: shareOf(partitions.totals.receipts, receiptRoom(limits))
    }
  }

  changesSince(sequence: number, { limit = pageMax }: { limit?: number } = {}): Promise<Change[]> {
    return readChanges(this.#init.tables, sequence, limit)
  }

  async *changes({ after, signal }: { after: number; signal: AbortSignal }): AsyncGenerator<Change> {
    for (let seen = after; !signal.aborted;) {
      const page = await this.changesSince(seen)
      yield* page
      seen = page.at(-1)?.sequence ?? seen
      if (page.length === 0) await this.#changed(seen, signal)
    }
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

function shareOf(held: Totals, room: Totals): number {
  return Math.max(held.count / room.count, held.bytes / room.bytes)
}
