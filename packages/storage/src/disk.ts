import { randomBytes } from 'node:crypto'
import { open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StorageError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import type { LevelDatabase, Reopenable, RowOp, StorageOp } from './tables.ts'

/** Whether the store takes what peers send. */
export type DiskState = 'ok' | 'read-only'

/**
 * The one place that writes to the database. It knows what a full disk does to Level: a failed write may leave the
 * database refusing all later ones until it is opened again, and it does not open without space. So a reserve file is
 * given up, the database opened again, and from then on only what is ours and irreplaceable is written.
 */
export interface Disk {
  readonly state: DiskState
  /**
   * Writes all changes or none.
   *
   * @param options.sync - Returns when they are on the platter (0.4 ms): for what is ours and irreplaceable. Such
   * writes are tried even on a full disk, in the space that the reserve gave back.
   * @throws {@link StorageError} `read-only`
   */
  commit(ops: readonly (StorageOp | RowOp)[], options?: { sync?: boolean }): Promise<void>
  /** Tries to leave `read-only`; true when there is space again. */
  recover(): Promise<boolean>
  onState(listener: (state: DiskState) => void): Unsubscribe
  close(): Promise<void>
}

/** What {@link createDisk} works on. */
export interface DiskInit {
  readonly level: LevelDatabase & Partial<Reopenable>
  /** The reserve file and its size; none for a database in memory. */
  readonly reserve: Reserve | undefined
  /** A second one, which is not touched while the database is open: without any space it does not open again. */
  readonly lastReserve?: Reserve | undefined
  readonly recoverEveryMs: number
}

/** A file that keeps space for when there is none. */
export interface Reserve {
  readonly path: string
  readonly bytes: number
}

export function createDisk(init: DiskInit): Disk {
  return new GuardedDisk(init)
}

class GuardedDisk implements Disk {
  readonly #init: DiskInit
  readonly #events = new Emitter<{ state: DiskState }>()
  #state: DiskState = 'ok'
  #timer: NodeJS.Timeout | undefined
  /** Settles, with the error if there was one, when the reserve has been written. */
  readonly #reserving: Promise<unknown>
  #entering: Promise<void> | undefined
  #recovering: Promise<boolean> | undefined
  #isClosed = false

  constructor(init: DiskInit) {
    this.#init = init
    this.#reserving = this.#reserve().catch((error: unknown) => error)
    void this.#reserving.then((error) => this.#onReserveFailed(error))
  }

  get state(): DiskState {
    return this.#state
  }

  onState(listener: (state: DiskState) => void): Unsubscribe {
    return this.#events.on('state', listener)
  }

  async commit(ops: readonly (StorageOp | RowOp)[], { sync = false }: { sync?: boolean } = {}): Promise<void> {
    if (this.#isClosed) throw new StorageError('closed', 'the store was closed; nothing more is written')
    if (this.#state === 'read-only' && !sync) throw readOnly()
    try {
      await this.#write(ops, sync)
    } catch (error) {
      if (!isDiskFull(error) && this.#state === 'ok') throw error
      await this.#enterReadOnly()
      if (!sync) throw readOnly(error)
      await this.#write(ops, sync).catch((again: unknown) => {
        throw readOnly(again)
      })
    }
  }

  recover(): Promise<boolean> {
    this.#recovering ??= this.#recover().finally(() => {
      this.#recovering = undefined
    })
    return this.#recovering
  }

  async #recover(): Promise<boolean> {
    if (this.#state === 'ok') return true
    await this.#entering
    const isReserved = await this.#reserve().then(
      () => true,
      () => false
    )
    if (isReserved && (await this.#takesWrites())) {
      clearInterval(this.#timer)
      this.#entering = undefined
      this.#setState('ok')
      return true
    }
    await this.#freeReserve({ reopens: isReserved })
    return false
  }

  async #takesWrites(): Promise<boolean> {
    try {
      await this.#reopen()
      await this.#write([probe], true)
      return true
    } catch {
      return false
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#reserving
    await this.#entering
    await this.#recovering
    clearInterval(this.#timer)
    if (this.#state === 'read-only') await this.#keepWhatIsLeft()
  }

  /** What opening used of the last reserve's space, and did not need, is for the next opening. */
  async #keepWhatIsLeft(): Promise<void> {
    const { lastReserve } = this.#init
    if (lastReserve === undefined || (await sizeOf(lastReserve.path)) > 0) return
    const bytes = Math.min(lastReserve.bytes, await freeBytes(lastReserve.path))
    await take({ ...lastReserve, bytes }).catch(() => undefined)
  }

  #write(ops: readonly (StorageOp | RowOp | typeof probe)[], sync: boolean): Promise<void> {
    // `sync` belongs to the database on disk; others ignore it.
    return this.#init.level.batch(ops as never, { sync } as object)
  }

  /**
   * Once, until the disk has recovered: with the reserve gone and the disk full again, Level would not open another
   * time, and nothing could be read either.
   */
  #enterReadOnly(): Promise<void> {
    this.#entering ??= this.#enter({ reopens: true })
    return this.#entering
  }

  async #enter(options: { reopens: boolean }): Promise<void> {
    this.#setState('read-only')
    await this.#reserving
    await this.#freeReserve(options)
    this.#timer = setInterval(() => void this.recover(), this.#init.recoverEveryMs).unref()
  }

  /** What cannot be removed or opened now is tried again with the next recovery. */
  async #freeReserve({ reopens }: { reopens: boolean }): Promise<void> {
    const { reserve } = this.#init
    if (reserve !== undefined) await rm(reserve.path, { force: true }).catch(() => undefined)
    if (reopens) await this.#reopen().catch(() => undefined)
  }

  /** A database in memory has no files that a failed write could have broken. */
  async #reopen(): Promise<void> {
    await this.#init.level.reopen?.()
  }

  #setState(state: DiskState): void {
    this.#state = state
    this.#events.emit('state', state)
  }

  async #onReserveFailed(error: unknown): Promise<void> {
    if (!isDiskFull(error)) return
    // No write has failed: the database is as it should be, and is being read.
    this.#entering ??= this.#enter({ reopens: false })
    await this.#entering
  }

  async #reserve(): Promise<void> {
    for (const reserve of [this.#init.reserve, this.#init.lastReserve]) {
      if (reserve === undefined || (await sizeOf(reserve.path)) === reserve.bytes) continue
      if ((await freeBytes(reserve.path)) < reserve.bytes) throw readOnly()
      await take(reserve)
    }
  }
}

/** A write that shows whether there is room. */
const probe = { type: 'put', key: 'probe', value: '' } as const

/** True for an error that means "no space left", from Level or from the file system. */
export function isDiskFull(error: unknown): boolean {
  const { code, message, cause } = (error ?? {}) as { code?: string; message?: string; cause?: unknown }
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'read-only') return true
  if (/No space left on device|Disk quota exceeded|disk is full/i.test(message ?? '')) return true
  return cause !== undefined && isDiskFull(cause)
}

function readOnly(cause?: unknown): StorageError {
  return new StorageError(
    'read-only',
    'the disk is full: nothing more is stored until there is space; free some and it goes on by itself',
    { cause }
  )
}

/** Random bytes: a file system that compresses or leaves holes would reserve nothing for zeros. */
async function take({ path, bytes }: Reserve): Promise<void> {
  await using file = await open(path, 'w', 0o600)
  const chunk = randomBytes(Math.min(bytes, 1 << 20))
  for (let at = 0; at < bytes; at += chunk.length) {
    await file.write(chunk, 0, Math.min(chunk.length, bytes - at))
  }
  await file.sync()
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.size,
    () => 0
  )
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(dirname(path))
  return bavail * bsize
}
