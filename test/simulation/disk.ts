/**
 * A node's disk: what Level would keep, in memory, with what a power cut does to it. Batches that were not synced are
 * lost from some point on, never in part and never out of their order; a synced one takes all before it along.
 *
 * Not `memory-level`: a thousand nodes hold a hundred copies of each record with fourteen index rows, and its tree
 * takes 20 kB for one. Here keys are strings that all disks share, and a row is two pointers.
 */
import { AbstractIterator, AbstractLevel, type AbstractIteratorOptions } from 'abstract-level'
import type { Random } from './random.ts'

/** What survives a node: its files. */
export interface Disk {
  /** The database as the node that runs now sees it. */
  open(): DiskLevel
  /**
   * Ends the node's hold on it: what it still asks for is never answered.
   *
   * @param options.power - What was not synced within the last half minute may be lost.
   */
  crash(options: { power: boolean }): void
  readonly rows: number
}

export interface DiskInit {
  readonly now: () => number
  readonly random: Random
  /** Strings that all disks of a run have in common. */
  readonly shared: Map<string, string>
}

/** Linux writes back what is not synced after this. */
const writeBackMs = 30_000

export function createDisk(init: DiskInit): Disk {
  const rows = new SortedRows()
  const journal = createJournal(rows, init)
  let level: DiskLevel | undefined
  return {
    open: () => {
      level = new DiskLevel(rows, journal, init.shared)
      return level
    },
    crash: ({ power }) => {
      level?.abandon()
      if (power) journal.loseSome()
    },
    get rows() {
      return rows.size
    }
  }
}

interface Undo {
  readonly key: string
  readonly value: string | undefined
}

interface Journal {
  /** To be called before a change, with what undoes it. */
  note(undo: readonly Undo[]): void
  /** Everything up to now is on the platter. */
  sync(): void
  /** Takes back a random number of the last unsynced batches. */
  loseSome(): void
}

function createJournal(rows: SortedRows, { now, random }: DiskInit): Journal {
  let batches: { readonly atMs: number; readonly undo: readonly Undo[] }[] = []
  return {
    note: (undo) => {
      const writtenMs = now() - writeBackMs
      if ((batches[0]?.atMs ?? Infinity) < writtenMs) batches = batches.filter(({ atMs }) => atMs >= writtenMs)
      batches.push({ atMs: now(), undo })
    },
    sync: () => {
      batches = []
    },
    loseSome: () => {
      const kept = random.below(batches.length + 1)
      for (const { undo } of batches.slice(kept).toReversed()) {
        for (const { key, value } of undo.toReversed()) rows.set(key, value)
      }
      batches = []
    }
  }
}

/** Rows in the order of their keys, in pieces short enough to insert into. */
class SortedRows {
  readonly #pieces: Piece[] = [{ keys: [], values: [] }]
  size = 0

  get(key: string): string | undefined {
    const piece = this.#pieces[this.#pieceOf(key)] as Piece
    const at = lowerBound(piece.keys, key)
    return piece.keys[at] === key ? piece.values[at] : undefined
  }

  /** `undefined` takes the row out. */
  set(key: string, value: string | undefined): void {
    const index = this.#pieceOf(key)
    const piece = this.#pieces[index] as Piece
    const at = lowerBound(piece.keys, key)
    const isThere = piece.keys[at] === key
    if (value === undefined) {
      if (isThere) this.#remove(piece, at)
    } else if (isThere) {
      piece.values[at] = value
    } else {
      piece.keys.splice(at, 0, key)
      piece.values.splice(at, 0, value)
      this.size++
      if (piece.keys.length > pieceRowsMax) this.#divide(index)
    }
  }

  /** Rows from a key on, up to where `isInside` ends. */
  *from(key: string, isInside: (key: string) => boolean): Generator<Row> {
    for (let index = this.#pieceOf(key); index < this.#pieces.length; index++) {
      const { keys, values } = this.#pieces[index] as Piece
      for (let at = lowerBound(keys, key); at < keys.length; at++) {
        if (!isInside(keys[at] as string)) return
        yield [keys[at] as string, values[at] as string]
      }
    }
  }

  /** Rows before a key, backwards. */
  *before(key: string, isInside: (key: string) => boolean): Generator<Row> {
    for (let index = this.#pieceOf(key); index >= 0; index--) {
      const { keys, values } = this.#pieces[index] as Piece
      for (let at = lowerBound(keys, key) - 1; at >= 0; at--) {
        if (!isInside(keys[at] as string)) return
        yield [keys[at] as string, values[at] as string]
      }
    }
  }

  #remove(piece: Piece, at: number): void {
    piece.keys.splice(at, 1)
    piece.values.splice(at, 1)
    this.size--
  }

  #divide(index: number): void {
    const piece = this.#pieces[index] as Piece
    const half = piece.keys.length >> 1
    this.#pieces.splice(index + 1, 0, { keys: piece.keys.splice(half), values: piece.values.splice(half) })
  }

  /** The last piece that begins at or before the key; emptied ones keep their place and are passed over. */
  #pieceOf(key: string): number {
    let [low, high] = [0, this.#pieces.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#beginsAfter(middle, key)) high = middle - 1
      else low = middle
    }
    return low
  }

  #beginsAfter(index: number, key: string): boolean {
    const first = this.#pieces[index]?.keys[0]
    return first !== undefined && first > key
  }
}

type Row = readonly [key: string, value: string]

interface Piece {
  readonly keys: string[]
  readonly values: string[]
}

const pieceRowsMax = 256

/** The first place whose key is not below. */
function lowerBound(keys: readonly string[], key: string): number {
  let [low, high] = [0, keys.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

interface Operation {
  readonly type: 'put' | 'del'
  readonly key: Uint8Array
  readonly value?: Uint8Array
}

type Range = AbstractIteratorOptions<Uint8Array, Uint8Array>

/** Bytes as one-byte strings: they compare, hash and lie in memory better than arrays do. */
export class DiskLevel extends AbstractLevel<Uint8Array> {
  readonly #rows: SortedRows
  readonly #journal: Journal
  readonly #shared: Map<string, string>
  #isAbandoned = false

  constructor(rows: SortedRows, journal: Journal, shared: Map<string, string>) {
    super({ encodings: { view: true }, has: true, seek: false, permanence: true, implicitSnapshots: true }, {})
    this.#rows = rows
    this.#journal = journal
    this.#shared = shared
  }

  /** From now on nothing is answered: whoever asks is no more. */
  abandon(): void {
    this.#isAbandoned = true
  }

  async _get(key: Uint8Array): Promise<Uint8Array | undefined> {
    await this.#alive()
    const value = this.#rows.get(textOf(key))
    return value === undefined ? undefined : bytesOf(value)
  }

  async _getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    await this.#alive()
    const values = keys.map((key) => this.#rows.get(textOf(key)))
    return values.map((value) => (value === undefined ? undefined : bytesOf(value)))
  }

  async _has(key: Uint8Array): Promise<boolean> {
    await this.#alive()
    return this.#rows.get(textOf(key)) !== undefined
  }

  async _hasMany(keys: Uint8Array[]): Promise<boolean[]> {
    await this.#alive()
    return keys.map((key) => this.#rows.get(textOf(key)) !== undefined)
  }

  _put(key: Uint8Array, value: Uint8Array, options: { sync?: boolean }): Promise<void> {
    return this._batch([{ type: 'put', key, value }], options)
  }

  _del(key: Uint8Array, options: { sync?: boolean }): Promise<void> {
    return this._batch([{ type: 'del', key }], options)
  }

  async _batch(operations: readonly Operation[], { sync = false }: { sync?: boolean }): Promise<void> {
    await this.#alive()
    const undo: Undo[] = []
    for (const { type, key: bytes, value } of operations) {
      const key = this.#share(textOf(bytes))
      if (!sync) undo.push({ key, value: this.#rows.get(key) })
      this.#rows.set(key, type === 'put' ? textOf(value as Uint8Array) : undefined)
    }
    if (sync) this.#journal.sync()
    else this.#journal.note(undo)
  }

  /** As it is now: an iterator does not see later changes. */
  _iterator(options: Range): AbstractIterator<this, Uint8Array, Uint8Array> {
    return new RowsIterator<this>(this, options, [...this.#within(options)])
  }

  *#within({ gt, gte, lt, lte, reverse, limit = -1 }: Range): Generator<Row> {
    const low = gte === undefined ? gt && `${textOf(gt)}\0` : textOf(gte)
    const high = lt === undefined ? lte && `${textOf(lte)}\0` : textOf(lt)
    const rows =
      reverse === true
        ? this.#rows.before(high ?? afterAll, (key) => low === undefined || key >= low)
        : this.#rows.from(low ?? '', (key) => high === undefined || key < high)
    let left = limit < 0 ? Infinity : limit
    for (const row of rows) {
      if (left-- <= 0) return
      yield row
    }
  }

  #share(text: string): string {
    const known = this.#shared.get(text)
    if (known === undefined) this.#shared.set(text, text)
    return known ?? text
  }

  #alive(): Promise<void> {
    return this.#isAbandoned ? new Promise(() => undefined) : Promise.resolve()
  }
}

/** No key of bytes is above it. */
const afterAll = '\u0100'

class RowsIterator<Level extends DiskLevel> extends AbstractIterator<Level, Uint8Array, Uint8Array> {
  readonly #rows: readonly Row[]
  #at = 0

  constructor(level: Level, options: Range, rows: readonly Row[]) {
    super(level, options)
    this.#rows = rows
  }

  async _next(): Promise<[Uint8Array, Uint8Array] | undefined> {
    const row = this.#rows[this.#at++]
    await Promise.resolve()
    return row === undefined ? undefined : [bytesOf(row[0]), bytesOf(row[1])]
  }

  async _nextv(size: number): Promise<[Uint8Array, Uint8Array][]> {
    const rows = this.#rows.slice(this.#at, this.#at + size)
    this.#at += rows.length
    await Promise.resolve()
    return rows.map(([key, value]) => [bytesOf(key), bytesOf(value)])
  }

  async _all(): Promise<[Uint8Array, Uint8Array][]> {
    return this._nextv(this.#rows.length)
  }
}

/** Each byte as the character of its number. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'latin1'))
}
