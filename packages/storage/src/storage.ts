import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LevelDatastore } from 'datastore-level'
import type { Datastore } from 'interface-datastore'
import { type CheckDepth, checkRecords, type CheckReport } from './check.ts'
import { type OpenedDatabase, openDatabase } from './database.ts'
import { createDisk, type Disk, type DiskInit, type DiskState, isDiskFull } from './disk.ts'
import { decodeStored } from './entry.ts'
import { StorageError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import { type Inbox, type InboxDraft, openInbox } from './inbox.ts'
import { createLane } from './lane.ts'
import {
  lastReserveBytes,
  lookAtAllMs,
  lookCloserMs,
  recoverEveryMs,
  reserveBytes,
  type StorageLimits,
  storageLimits
} from './limits.ts'
import { openSequences } from './log.ts'
import { createOrderStore, type OrderStore } from './orders.ts'
import { openOutbox, type Outbox } from './outbox.ts'
import { openPartitionBook } from './partition-book.ts'
import { clearDerived, isRebuilding, refill } from './rebuild.ts'
import { createRecordStore, type RecordStore } from './records.ts'
import { openSchema } from './schema.ts'
import { openSecondCopy, type Restored, type SecondCopy } from './second-copy.ts'
import { createWorkerEngine, type SearchEngine } from './search/engine.ts'
import { searchOff, type Search, startSearch } from './search/search.ts'
import { createRefusedDigests, createSyncSource, type SyncSource } from './sync.ts'
import { jsonSublevel, type LevelDatabase, openTables, type StorageOp, type Sublevel, type Tables } from './tables.ts'

/** Where a store lives, by which clock, within which bounds. */
export interface StorageInit {
  /** A directory of this node alone; made when it is missing. Left out when `level` is given. */
  readonly directory?: string
  /** A database that is open and stays the caller's: `MemoryLevel` in a simulation. */
  readonly level?: LevelDatabase
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly limits?: Partial<StorageLimits>
  /** SQLite in a thread when left out. `off` for a relay, or one of a thousand simulated nodes. */
  readonly search?: SearchEngine | 'off'
}

/** What changes in the store as a whole. */
export interface StorageEvents {
  /** The disk is full, or there is space again. */
  readonly state: DiskState
  /** A check found damage; catch-up brings back what peers have. */
  readonly damaged: CheckReport
  /** A read came upon damage, and looking for more of it or taking it out failed: with what. */
  readonly unmended: unknown
}

/** What was wrong with a store when it was opened, and what was done about it. */
export interface Opening {
  /** The database's files were damaged: what could be read of them was kept, and all indexes made anew. */
  readonly repaired: boolean
  /** Rows of orders, messages and money that came back from the second copy, and own records. */
  readonly restored: Restored & { readonly ownRecords: number }
}

/** What a node remembers: one database, batches that happen as a whole or not at all. */
export interface Storage extends AsyncDisposable {
  readonly records: RecordStore
  readonly sync: SyncSource
  readonly search: Search
  readonly orders: OrderStore
  readonly outbox: Outbox
  readonly inbox: Inbox
  /** `read-only` while the disk is full. */
  readonly state: DiskState
  /** What opening found and did. */
  readonly opened: Opening
  /** Tries to leave `read-only` now, not at the next of the regular tries; true when there is space. */
  recover(): Promise<boolean>
  /** Resolves with the check that every start makes. */
  readonly checked: Promise<CheckReport>
  /**
   * Looks for silent damage, takes it out so that peers are asked for it again, and puts back what is the user's own.
   * A read that comes upon damage has all bytes looked at, within the minute; otherwise that happens once a day.
   */
  check(options: { depth: CheckDepth; signal?: AbortSignal }): Promise<CheckReport>
  /**
   * A part of the database for another package, with string keys: `abstract-level`'s own interface.
   *
   * @param name - Lower-case letters, digits and hyphens.
   * @throws {@link StorageError} `bad-argument`
   */
  sublevel<V>(name: string, options: { values: 'json' }): Sublevel<V>
  sublevel(name: string, options: { values: 'bytes' }): Sublevel<Uint8Array>
  /** A part of the database as libp2p and Helia want it. */
  datastore(name: string): Datastore
  /** Writes changes of any sublevels in one batch. */
  batch(ops: readonly StorageOp[], options?: { sync?: boolean }): Promise<void>
  /** Takes out what has expired: to be called every few minutes. */
  sweep(): Promise<void>
  on<Name extends keyof StorageEvents>(name: Name, listener: (event: StorageEvents[Name]) => void): Unsubscribe
  /** Writes what is under way and closes. */
  close(): Promise<void>
}

/**
 * Opens a store, or makes one.
 *
 * @param options.signal - Ends the opening.
 * @throws {@link StorageError} `locked`, `open-failed`, `newer-schema`, `bad-argument`.
 */
export async function createStorage(init: StorageInit, options: { signal?: AbortSignal } = {}): Promise<Storage> {
  const { level, repaired } = await databaseOf(init)
  try {
    options.signal?.throwIfAborted()
    return new LevelStorage(await openParts(level, init, { repaired }))
  } catch (error) {
    if (init.level === undefined) await level.close()
    throw error
  }
}

/** Everything that one open store consists of. */
interface Parts {
  readonly level: LevelDatabase
  readonly closesLevel: boolean
  readonly disk: Disk
  /** None for a database that is given. */
  readonly copy: SecondCopy | undefined
  readonly opened: Opening
  readonly lane: ReturnType<typeof createLane>
  readonly tables: Tables
  readonly records: RecordStore
  readonly sync: SyncSource
  readonly search: ReturnType<typeof startSearch>
  readonly orders: OrderStore
  readonly outbox: Outbox
  readonly inbox: Inbox & InboxDraft
  readonly repaired: () => Promise<void>
  readonly now: () => number
}

async function databaseOf({ directory, level }: StorageInit): Promise<OpenedDatabase> {
  if ((directory === undefined) === (level === undefined)) {
    throw new StorageError('bad-argument', 'a store lives in a directory or in a database that is given: name one')
  }
  if (level !== undefined) return { level, repaired: false }
  // Level does not open without any space: this is what reserves are for.
  return openFreeing(directory as string, reserveNames)
}

async function openFreeing(directory: string, [reserve, ...others]: readonly string[]): Promise<OpenedDatabase> {
  try {
    return await openDatabase(join(directory, 'level'))
  } catch (error) {
    if (reserve === undefined || !isDiskFull(error)) throw error
    await rm(join(directory, reserve), { force: true })
    return openFreeing(directory, others)
  }
}

async function openParts(
  level: OpenedDatabase['level'],
  init: StorageInit,
  { repaired }: { repaired: boolean }
): Promise<Parts> {
  const { now, directory } = init
  const tables = openTables(level)
  if (repaired || (await isRebuilding(tables))) await clearDerived(tables, level)
  const epoch = await openSchema(level, tables)
  const bare = createDisk({ level, ...reservesOf(init), recoverEveryMs })
  const copy =
    directory === undefined
      ? undefined
      : await openSecondCopy({ level, tables, disk: bare, path: join(directory, 'private.log'), repaired, now })
  const disk = copy?.disk ?? bare
  const lane = createLane()
  const sequences = await openSequences(tables, disk)
  const partitions = await openPartitionBook(tables)
  const refused = createRefusedDigests(now)
  const [outbox, inbox] = [await openOutbox(tables, disk, now), await openInbox(tables, disk, now)]
  const limits = { ...storageLimits, ...init.limits }
  const staleCount = await countOf(tables.stale)
  const records = createRecordStore({
    tables,
    disk,
    lane,
    sequences,
    partitions,
    limits,
    staleCount,
    refused,
    now
  })
  if (await isRebuilding(tables)) await refill({ tables, disk, records })
  const ownRecords = copy === undefined ? 0 : await restoreOwn(copy, { records, tables, nowMs: now() })
  return {
    level,
    closesLevel: init.level === undefined,
    disk,
    copy,
    opened: { repaired, restored: { rows: 0, copyDamaged: false, ...copy?.restored, ownRecords } },
    lane,
    tables,
    records,
    search: init.search === 'off' ? searchOff() : startSearch({ engine: engineOf(init), records, tables, epoch, now }),
    sync: createSyncSource({ tables, disk, epoch, partitions, sequences, refused, now }),
    orders: createOrderStore({ tables, disk, outbox, inbox, now }),
    outbox,
    inbox,
    repaired: () => partitions.reload(),
    now
  }
}

/** Puts back own records that the database lost. */
async function restoreOwn(
  copy: SecondCopy,
  { records, tables, nowMs }: { records: RecordStore; tables: Tables; nowMs: number }
): Promise<number> {
  const own = copy.ownRecords(nowMs)
  const held = own.length === 0 ? [] : await tables.records.getMany(own.map(({ digest }) => digest))
  const lost = own.filter(({ digest }, index) => {
    const value = held[index]
    return value === undefined || decodeStored(digest, value) === undefined
  })
  const outcomes = await records.put(
    lost.map(({ record }) => record),
    { own: true }
  )
  return outcomes.filter((outcome) => outcome === 'stored').length
}

class LevelStorage implements Storage {
  readonly records: RecordStore
  readonly sync: SyncSource
  readonly search: Search
  readonly orders: OrderStore
  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly checked: Promise<CheckReport>
  readonly #parts: Parts
  readonly #events = new Emitter<StorageEvents>()
  readonly #closing = new AbortController()
  /** Sublevels that others asked for: each is made once. */
  readonly #given = new Map<string, unknown>()
  /** When a read last had all bytes looked at. */
  #lookedAtMs = -Infinity
  #looking: Promise<unknown> = Promise.resolve()
  readonly #daily: ReturnType<typeof setInterval>
  #closed: Promise<void> | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    this.records = parts.records
    this.sync = parts.sync
    this.search = parts.search
    this.orders = parts.orders
    this.outbox = parts.outbox
    this.inbox = parts.inbox
    parts.records.on('damaged', () => this.#lookCloser())
    this.#daily = setInterval(() => this.#lookCloser(), lookAtAllMs).unref()
    parts.disk.onState((state) => this.#events.emit('state', state))
    this.checked = this.check({ depth: 'ids', signal: this.#closing.signal })
    // Whoever awaits `checked` sees the failure; a store that is closed meanwhile is none.
    this.checked.catch(() => undefined)
  }

  get state(): DiskState {
    return this.#parts.disk.state
  }

  get opened(): Opening {
    return this.#parts.opened
  }

  recover(): Promise<boolean> {
    return this.#parts.disk.recover()
  }

  async check(options: { depth: CheckDepth; signal?: AbortSignal }): Promise<CheckReport> {
    const { copy, records, tables, now } = this.#parts
    const report = await checkRecords(this.#parts, options)
    if (report.damaged.length === 0) return report
    if (copy !== undefined) await restoreOwn(copy, { records, tables, nowMs: now() })
    this.#events.emit('damaged', report)
    return report
  }

  /** At most once a while: on a disk that takes no writes the same damage is met at each read. */
  #lookCloser(): void {
    // Not by the wall clock, which may be set back by hours.
    const nowMs = performance.now()
    const { signal } = this.#closing
    if (nowMs - this.#lookedAtMs < lookCloserMs || signal.aborted) return
    this.#lookedAtMs = nowMs
    this.#looking = this.check({ depth: 'bytes', signal }).catch((error: unknown) => {
      if (!signal.aborted) this.#events.emit('unmended', error)
    })
  }

  sublevel<V>(name: string, { values }: { values: 'json' | 'bytes' }): Sublevel<V> & Sublevel<Uint8Array> {
    const full = `x-${checkedName(name)}`
    const { level } = this.#parts
    const known = this.#given.get(`${full} ${values}`) as Sublevel<V> & Sublevel<Uint8Array>
    if (known !== undefined) return known
    const sublevel =
      values === 'json'
        ? jsonSublevel<V>(level, full)
        : level.sublevel<string, Uint8Array>(full, { valueEncoding: 'view' })
    this.#given.set(`${full} ${values}`, sublevel)
    return sublevel as unknown as Sublevel<V> & Sublevel<Uint8Array>
  }

  datastore(name: string): Datastore {
    return new LevelDatastore(this.sublevel(`datastore-${name}`, { values: 'bytes' }) as never)
  }

  batch(ops: readonly StorageOp[], options?: { sync?: boolean }): Promise<void> {
    return this.#parts.disk.commit(ops, options)
  }

  async sweep(): Promise<void> {
    await this.records.sweep(this.#parts.now())
    await this.#parts.inbox.sweep(this.#parts.now())
    await this.#parts.copy?.compact(this.#parts.now())
  }

  on<Name extends keyof StorageEvents>(name: Name, listener: (event: StorageEvents[Name]) => void): Unsubscribe {
    return this.#events.on(name, listener)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#daily)
    await this.checked.catch(() => undefined)
    await this.#looking
    await this.#parts.lane.idle()
    await this.#parts.search.close()
    await this.#parts.disk.close()
    await this.#parts.copy?.close()
    if (this.#parts.closesLevel) await this.#parts.level.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The first is given up when there is no space; the other only when there is none to open with. */
const reserveNames = ['reserve', 'reserve-2'] as const

function reservesOf({ directory }: StorageInit): Pick<DiskInit, 'reserve' | 'lastReserve'> {
  if (directory === undefined) return { reserve: undefined }
  const [path, lastPath] = reserveNames.map((name) => join(directory, name)) as [string, string]
  return { reserve: { path, bytes: reserveBytes }, lastReserve: { path: lastPath, bytes: lastReserveBytes } }
}

function engineOf({ directory, search }: StorageInit): SearchEngine {
  if (search !== undefined && search !== 'off') return search
  return createWorkerEngine(directory === undefined ? ':memory:' : join(directory, 'search.sqlite'))
}

async function countOf(table: Tables['stale']): Promise<number> {
  let rows = 0
  await using keys = table.keys()
  for (let page = await keys.nextv(1000); page.length > 0; page = await keys.nextv(1000)) rows += page.length
  return rows
}

function checkedName(name: string): string {
  if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(name)) {
    throw new StorageError('bad-argument', `"${name.slice(0, 80)}" is no name of lower-case letters, digits, hyphens`)
  }
  return name
}
