import { recordDigest } from '@souk/records'
import type { Disk } from './disk.ts'
import { decodeStored, type StoredRecord, trustIn } from './entry.ts'
import { type Journal, type JournalContent, type JournalRow, openJournal, readJournal } from './journal.ts'
import { bytesAt, mapKey, mapKeyBytes, within } from './keys.ts'
import { createLane } from './lane.ts'
import { journalBytesMin, scanRows } from './limits.ts'
import { type LevelDatabase, scan, type RowOp, type StorageOp, type Tables } from './tables.ts'

/** What the second copy gave back at a start. */
export interface Restored {
  /** Rows of orders, messages and money that the database had lost, or held with other bytes. */
  readonly rows: number
  /** True when the second copy itself was damaged and has been written anew. */
  readonly copyDamaged: boolean
}

/** Keeps what is private twice: in the database, and in a {@link Journal} beside it. */
export interface SecondCopy {
  readonly restored: Restored
  /** Own records that the copy holds; the database may have lost them. */
  ownRecords(nowMs: number): StoredRecord[]
  /** Takes the place of the disk: what is written with `sync` and is private goes into the copy, too. */
  readonly disk: Disk
  /** Writes the copy anew when most of it counts no more, or when it fell behind on a full disk. */
  compact(nowMs: number): Promise<void>
  close(): Promise<void>
}

export interface SecondCopyInit {
  readonly level: LevelDatabase
  readonly tables: Tables
  readonly disk: Disk
  /** Of the journal. */
  readonly path: string
  /** The database had to be repaired: what it lacks is lost, not deleted. */
  readonly repaired: boolean
  readonly now: () => number
}

/**
 * Opens the second copy and puts back what the database lost. Both number their batches, the database first, so that
 * the copy lacks the last ones after a crash. Where it lacks none it decides, since it has checksums and Level checks
 * nothing on reading; where it lacks some, or was damaged itself, it only fills gaps.
 */
export async function openSecondCopy(init: SecondCopyInit): Promise<SecondCopy> {
  const { level, tables, path } = init
  const content = await readJournal(path)
  const numbered = await tables.meta.get('private').catch(() => undefined)
  const written = typeof numbered === 'number' ? numbered : undefined
  const difference = await compare({ ...init, content, written })
  if (difference.ops.length > 0) await level.batch(difference.ops as never, { sync: true, ...raw } as object)
  const journal = await openJournal(path, content)
  const copy = new JournalledCopy(init, journal, {
    content,
    last: Math.max(content.last, written ?? 0),
    restored: { rows: difference.ops.length, copyDamaged: content.damaged > 0 }
  })
  if (difference.isStale || content.damaged > 0) await copy.rewrite(init.now())
  return copy
}

/** Keys and values as they are in the database, below all sublevels. */
const raw = { keyEncoding: 'view', valueEncoding: 'view' } as const

/** Sublevels of this package that hold what nobody else has. */
const privateTables = [
  'orders',
  'orderEvents',
  'orderFacts',
  'outbox',
  'letters',
  'seen'
] as const satisfies (keyof Tables)[]

interface Difference {
  /** What the database lacks. */
  readonly ops: readonly { type: 'put' | 'del'; key: Uint8Array; value?: Uint8Array }[]
  /** The copy lacks something that the database has. */
  readonly isStale: boolean
}

async function compare(
  init: SecondCopyInit & { content: JournalContent; written: number | undefined }
): Promise<Difference> {
  const { level, tables, content, written, repaired } = init
  const decides = content.damaged === 0 && content.last > 0 && content.last >= (written ?? 0)
  const fills = decides || repaired || content.damaged > 0 || written === undefined
  const ops: { type: 'put' | 'del'; key: Uint8Array; value?: Uint8Array }[] = []
  const found = new Set<string>()
  let isStale = content.last < (written ?? 0)
  for (const prefix of prefixesOf(tables, content)) {
    for await (const page of scan(level.iterator<Uint8Array, Uint8Array>({ ...within(prefix), ...raw }), scanRows)) {
      for (const [key, value] of page) {
        const name = mapKey(key)
        found.add(name)
        const kept = content.rows.get(name)
        if (kept === undefined) isStale = true
        else if (kept === null) {
          if (decides) ops.push({ type: 'del', key })
        } else if (decides && Buffer.compare(kept, value) !== 0) ops.push({ type: 'put', key, value: kept })
      }
    }
  }
  if (fills) {
    for (const [name, value] of content.rows) {
      if (value === null || found.has(name) || isRecordRow(tables, name)) continue
      ops.push({ type: 'put', key: mapKeyBytes(name), value })
    }
  }
  return { ops, isStale }
}

/** The private tables, and the sublevels of other packages that the copy knows. */
function prefixesOf(tables: Tables, { rows }: JournalContent): Uint8Array[] {
  const prefixes = new Set(privateTables.map((name) => tables[name].prefix))
  for (const name of rows.keys()) {
    const prefix = name.slice(0, name.indexOf('!', 1) + 1)
    if (prefix !== tables.records.prefix) prefixes.add(prefix)
  }
  return [...prefixes].map(mapKeyBytes)
}

function isRecordRow(tables: Tables, name: string): boolean {
  return name.startsWith(tables.records.prefix)
}

class JournalledCopy implements SecondCopy {
  readonly restored: Restored
  readonly disk: Disk
  readonly #init: SecondCopyInit
  readonly #journal: Journal
  /** In the order of the lane the database gets its batches, and the journal too. */
  readonly #lane = createLane()
  readonly #prefixes: Set<string>
  readonly #ownRecords: Map<string, Uint8Array>
  #last: number
  #liveBytes: number
  /** A batch could not be appended: nothing is, until the copy is written anew. */
  #isBehind = false

  constructor(
    init: SecondCopyInit,
    journal: Journal,
    { content, last, restored }: { content: JournalContent; last: number; restored: Restored }
  ) {
    this.restored = restored
    this.#init = init
    this.#journal = journal
    this.#last = last
    this.#prefixes = new Set(prefixesOf(init.tables, content).map(mapKey))
    this.#ownRecords = new Map()
    this.#liveBytes = 0
    for (const [name, value] of content.rows) {
      if (value === null) continue
      this.#liveBytes += name.length + value.length
      if (isRecordRow(init.tables, name)) this.#ownRecords.set(name, value)
    }
    this.disk = this.#wrap(init.disk)
  }

  ownRecords(nowMs: number): StoredRecord[] {
    const skipped = this.#init.tables.records.prefix.length
    return Array.from(this.#ownRecords, ([name, value]) => {
      const stored = decodeStored(mapKeyBytes(name.slice(skipped)), value)
      return stored !== undefined && stored.record.expiresAtMs > nowMs ? [stored] : []
    }).flat()
  }

  async compact(nowMs: number): Promise<void> {
    const isLarge = this.#journal.bytes > Math.max(journalBytesMin, 2 * this.#liveBytes)
    if (this.#isBehind || isLarge) await this.#lane.run(() => this.rewrite(nowMs))
  }

  async rewrite(nowMs: number): Promise<void> {
    const rows = this.ownRecords(nowMs).map((stored) => this.#recordRow(stored))
    for (const prefix of this.#prefixes) {
      const range = { ...within(mapKeyBytes(prefix)), ...raw }
      for await (const page of scan(this.#init.level.iterator<Uint8Array, Uint8Array>(range), scanRows)) {
        for (const [key, value] of page) rows.push({ key: bytesAt(key, 0), value: bytesAt(value, 0) })
      }
    }
    await this.#journal.rewrite(this.#last, rows)
    this.#liveBytes = this.#journal.bytes
    this.#isBehind = false
  }

  async close(): Promise<void> {
    await this.#lane.idle()
    await this.#journal.close()
  }

  #wrap(disk: Disk): Disk {
    return {
      get state() {
        return disk.state
      },
      commit: (ops, options) => this.#commit(ops, options),
      recover: () => disk.recover(),
      onState: (listener) => disk.onState(listener),
      close: () => disk.close()
    }
  }

  async #commit(ops: readonly (StorageOp | RowOp)[], options?: { sync?: boolean }): Promise<void> {
    const { disk, tables } = this.#init
    const rows = options?.sync === true ? ops.filter((op) => this.#isPrivate(op)).map(rowOf) : []
    if (rows.length === 0) return disk.commit(ops, options)
    const { appended } = await this.#lane.run(async () => {
      const sequence = this.#last + 1
      await disk.commit([...ops, { type: 'put', sublevel: tables.meta, key: 'private', value: sequence }], options)
      this.#last = sequence
      this.#remember(rows)
      // Awaited outside of the lane: the next batch need not wait for the platter twice.
      return { appended: this.#append(sequence, rows) }
    })
    await appended
  }

  /** The database has it: a copy that cannot be written does not make that untrue. */
  async #append(sequence: number, rows: readonly JournalRow[]): Promise<void> {
    if (this.#isBehind) return
    try {
      await this.#journal.append(sequence, rows)
    } catch {
      this.#isBehind = true
    }
  }

  /** Orders and messages, what others write with `sync`, and own records; their indexes follow from them. */
  #isPrivate(op: StorageOp | RowOp): boolean {
    const { prefix } = 'table' in op ? op.table : op.sublevel
    if (prefix === this.#init.tables.records.prefix) {
      return op.type === 'put' ? trustIn(op.value as Uint8Array) === 'own' : this.#isOwnRecord(op)
    }
    return this.#prefixes.has(prefix) || prefix.startsWith('!x-')
  }

  #isOwnRecord(op: StorageOp | RowOp): boolean {
    return this.#ownRecords.has(mapKey(rowOf(op).key))
  }

  #remember(rows: readonly JournalRow[]): void {
    for (const { key, value } of rows) {
      const name = mapKey(key)
      if (isRecordRow(this.#init.tables, name)) {
        if (value === null) this.#ownRecords.delete(name)
        else this.#ownRecords.set(name, value)
      } else {
        this.#prefixes.add(name.slice(0, name.indexOf('!', 1) + 1))
      }
    }
  }

  #recordRow({ record }: StoredRecord): JournalRow {
    const { prefix } = this.#init.tables.records
    const key = concat(prefix, recordDigest(record.id))
    return { key, value: this.#ownRecords.get(mapKey(key)) ?? null }
  }
}

/** A change as the database has it. */
function rowOf(op: StorageOp | RowOp): JournalRow {
  if ('table' in op) return { key: bytesAt(op.key, 0), value: op.type === 'del' ? null : bytesAt(op.value, 0) }
  const { keyEncoding, valueEncoding } = encodingsOf(op)
  const key = concat(op.sublevel.prefix, bytesOf(keyEncoding.encode(op.key)))
  return { key, value: op.type === 'del' ? null : bytesOf(valueEncoding.encode(op.value)) }
}

interface Encoding {
  encode(data: unknown): string | Uint8Array
}

function encodingsOf({ sublevel }: StorageOp): { keyEncoding: Encoding; valueEncoding: Encoding } {
  const encoded = sublevel as unknown as { keyEncoding(): Encoding; valueEncoding(): Encoding }
  return { keyEncoding: encoded.keyEncoding(), valueEncoding: encoded.valueEncoding() }
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === 'string' ? new TextEncoder().encode(data) : bytesAt(data, 0)
}

function concat(prefix: string, bytes: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(prefix)
  const whole = new Uint8Array(head.length + bytes.length)
  whole.set(head)
  whole.set(bytes, head.length)
  return whole
}
