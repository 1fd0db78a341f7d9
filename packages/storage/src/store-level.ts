import {
  AbstractIterator,
  type AbstractIteratorOptions,
  type AbstractLevel,
  type AbstractOpenOptions
} from 'abstract-level'
import { Level } from 'level'
import { StorageError } from './errors.ts'

type Bytes = string | Buffer | Uint8Array
type Entry = [Bytes, Bytes]
type Range = AbstractIteratorOptions<Bytes, Bytes>
/** What an operation was called with: keys and values in the database's own formats. */
type Given = readonly unknown[]

/** What an implementation of `abstract-level` provides beneath what callers use: its types list only the latter. */
interface Driver extends AbstractLevel<Bytes> {
  _open(options: AbstractOpenOptions): Promise<void>
  _close(): Promise<void>
  _get(...given: Given): Promise<unknown>
  _getMany(...given: Given): Promise<unknown[]>
  _has(...given: Given): Promise<boolean>
  _hasMany(...given: Given): Promise<boolean[]>
  _put(...given: Given): Promise<void>
  _del(...given: Given): Promise<void>
  _batch(...given: Given): Promise<void>
  _clear(...given: Given): Promise<void>
  _iterator(range: Range): DriverIterator
}

interface DriverIterator extends AbstractIterator<unknown, Bytes, Bytes> {
  _next(): Promise<Entry | undefined>
  _nextv(size: number, options: object): Promise<Entry[]>
}

const LevelDriver = Level as unknown as new (path: string) => Driver

/**
 * Level on disk, whose files can be closed and opened again beneath those who use it: what a failed write asks for.
 * Closing and opening the database itself would refuse every read meanwhile and end every iterator; here reads and
 * writes wait, and iterators go on after the last key that they gave, with what is stored then.
 *
 * Snapshots, `getSync` and chained batches of the database itself go past this, and are refused.
 */
export class StoreLevel extends LevelDriver {
  readonly #cursors = new Set<Cursor>()
  #options: AbstractOpenOptions = {}
  #reopening: Promise<void> | undefined
  /** Whether the files are open: not after an opening that failed. */
  #isUp = false

  /**
   * Closes the files and opens them again. Concurrent calls share one.
   *
   * @throws What opening throws: without any space on the disk, or when the database was closed. Reads and writes fail
   * then, with `open-failed`, until another call succeeds.
   */
  reopen(): Promise<void> {
    this.#reopening ??= this.#reopen().finally(() => {
      this.#reopening = undefined
    })
    return this.#reopening
  }

  /** False for a moment of a node's life. */
  get isReady(): boolean {
    return this.#isUp && this.#reopening === undefined
  }

  /**
   * Resolves after a reopening; whether another one has begun is to be asked again.
   *
   * @throws {@link StorageError} `open-failed`
   */
  async ready(): Promise<void> {
    await this.#reopening?.catch(() => undefined)
    if (this.#isUp || this.#reopening !== undefined) return
    throw new StorageError('open-failed', 'the store could not be opened again: free space on its disk')
  }

  override async _open(options: AbstractOpenOptions): Promise<void> {
    this.#options = options
    await super._open(options)
    this.#isUp = true
  }

  override async _close(): Promise<void> {
    await this.#reopening?.catch(() => undefined)
    this.#isUp = false
    await super._close()
  }

  override async _get(...given: Given): Promise<unknown> {
    while (!this.isReady) await this.ready()
    return super._get(...given)
  }

  override async _getMany(...given: Given): Promise<unknown[]> {
    while (!this.isReady) await this.ready()
    return super._getMany(...given)
  }

  override async _has(...given: Given): Promise<boolean> {
    while (!this.isReady) await this.ready()
    return super._has(...given)
  }

  override async _hasMany(...given: Given): Promise<boolean[]> {
    while (!this.isReady) await this.ready()
    return super._hasMany(...given)
  }

  override async _put(...given: Given): Promise<void> {
    while (!this.isReady) await this.ready()
    return super._put(...given)
  }

  override async _del(...given: Given): Promise<void> {
    while (!this.isReady) await this.ready()
    return super._del(...given)
  }

  override async _batch(...given: Given): Promise<void> {
    while (!this.isReady) await this.ready()
    return super._batch(...given)
  }

  override async _clear(...given: Given): Promise<void> {
    while (!this.isReady) await this.ready()
    return super._clear(...given)
  }

  override _iterator(range: Range): DriverIterator {
    const cursor = new Cursor(this, range, {
      open: (rest) => {
        const iterator = super._iterator(rest)
        // The cursor closes it, after what is being read.
        this.detachResource(iterator)
        return iterator
      },
      closed: () => this.#cursors.delete(cursor)
    })
    this.#cursors.add(cursor)
    if (this.isReady) cursor.open()
    return cursor
  }

  _getSync(): never {
    throw unsupported('getSync')
  }

  _snapshot(): never {
    throw unsupported('a snapshot that outlives one iterator')
  }

  _chainedBatch(): never {
    throw unsupported('a chained batch')
  }

  async #reopen(): Promise<void> {
    if (this.status !== 'open') throw new StorageError('closed', 'the store was closed; it is not opened again')
    this.#isUp = false
    await Promise.all(Array.from(this.#cursors, (cursor) => cursor.suspend()))
    // Waits for reads and writes under way.
    await super._close()
    await super._open(this.#options)
    this.#isUp = true
  }
}

/** Where a cursor gets its iterators from. */
interface CursorInit {
  readonly open: (range: Range) => DriverIterator
  readonly closed: () => void
}

/** An iterator that lives through a reopening. */
class Cursor extends AbstractIterator<StoreLevel, Bytes, Bytes> implements DriverIterator {
  readonly #level: StoreLevel
  readonly #range: Range
  readonly #init: CursorInit
  #iterator: DriverIterator | undefined
  #reading: Promise<unknown> | undefined
  #last: Bytes | undefined

  constructor(level: StoreLevel, range: Range, init: CursorInit) {
    super(level, range)
    this.#level = level
    this.#init = init
    // Without keys it would not know where it was.
    this.#range = { ...range, keys: true }
  }

  open(): DriverIterator {
    this.#iterator ??= this.#init.open(this.#last === undefined ? this.#range : restOf(this.#range, this.#last))
    return this.#iterator
  }

  /** Lets go of the files, once what is being read has been. */
  async suspend(): Promise<void> {
    await this.#reading?.catch(() => undefined)
    const iterator = this.#iterator
    this.#iterator = undefined
    await iterator?.close()
  }

  async _next(): Promise<Entry | undefined> {
    const entry = await this.#read((iterator) => iterator._next())
    this.#last = entry?.[0] ?? this.#last
    return entry
  }

  async _nextv(size: number, options: object): Promise<Entry[]> {
    const entries = await this.#read((iterator) => iterator._nextv(size, options))
    this.#last = entries.at(-1)?.[0] ?? this.#last
    return entries
  }

  async _close(): Promise<void> {
    await this.suspend()
    this.#init.closed()
  }

  async #read<T>(read: (iterator: DriverIterator) => Promise<T>): Promise<T> {
    while (!this.#level.isReady) await this.#level.ready()
    const reading = read(this.open())
    this.#reading = reading
    return reading
  }
}

/** What of a range comes after a key. */
function restOf({ gt, gte, lt, lte, ...others }: Range, last: Bytes): Range {
  const ends = others.reverse === true ? { gt, gte, lt: last } : { lt, lte, gt: last }
  const given = Object.entries(ends).filter(([, key]) => key !== undefined)
  return { ...others, ...Object.fromEntries(given) }
}

function unsupported(what: string): StorageError {
  return new StorageError('bad-argument', `${what} would not live through a reopening of the store`)
}
