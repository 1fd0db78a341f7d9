import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { mapKey } from './keys.ts'

/**
 * A second copy of what nobody else has: orders, messages, money under way. Level drops whole batches at one flipped
 * byte, and repairs itself by leaving out what it cannot read; what peers have comes back from them, and the rest from
 * here. A file to which whole batches are appended, each with its own checksum, so that damage costs the batch that it
 * hit and no other.
 */
export interface Journal {
  /** Of the last batch that was appended, or 0. */
  readonly last: number
  /** Bytes of the file. */
  readonly bytes: number
  /** Resolves when the batch is on the platter. Batches that wait share one write. */
  append(sequence: number, rows: readonly JournalRow[]): Promise<void>
  /** Puts one batch in the place of all: what still counts. A crash leaves the old file or the new one. */
  rewrite(sequence: number, rows: readonly JournalRow[]): Promise<void>
  close(): Promise<void>
}

/** One key as the database has it, names of sublevels included. */
export interface JournalRow {
  readonly key: Uint8Array
  /** `null` when it was taken out. */
  readonly value: Uint8Array | null
}

/** What a journal's file says. */
export interface JournalContent {
  /** The newest value of each key, by {@link mapKey}; `null` for what was taken out. */
  readonly rows: ReadonlyMap<string, Uint8Array | null>
  readonly last: number
  /** Batches that could not be read although later ones could; a crash tears only the last. */
  readonly damaged: number
  /** Bytes up to the end of the last batch that could be read. */
  readonly bytes: number
}

/** Marks the begin of a batch, so that reading goes on behind a damaged one. */
const magic = Uint8Array.of(0x53, 0x4b, 0x4a, 0x31)
/** Magic, length, checksum. */
const headBytes = 12

/** Reads a journal. A file that is missing is an empty one. */
export async function readJournal(path: string): Promise<JournalContent> {
  const file = await readFile(path).catch((error: unknown) => {
    if ((error as { code?: string }).code === 'ENOENT') return new Uint8Array(0)
    throw error
  })
  const rows = new Map<string, Uint8Array | null>()
  let [last, damaged, end, at] = [0, 0, 0, 0]
  while (at < file.length) {
    const payload = frameAt(file, at)
    if (payload === undefined) {
      at = nextMagic(file, at + 1)
      continue
    }
    if (at !== end) damaged++
    last = Math.max(last, numberIn(payload))
    for (const { key, value } of rowsIn(payload)) rows.set(mapKey(key), value)
    at += headBytes + payload.length
    end = at
  }
  return { rows, last, damaged, bytes: end }
}

/** Opens a journal for appending behind what could be read of it; what a crash tore off is cut. */
export async function openJournal(path: string, { last, bytes }: { last: number; bytes: number }): Promise<Journal> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await openAt(path, bytes)
  return new FileJournal({ path, file, last, bytes })
}

class FileJournal implements Journal {
  readonly #path: string
  #file: FileHandle
  #last: number
  #bytes: number
  #waiting: Uint8Array[] = []
  #writing: Promise<void> = Promise.resolve()
  /** What waits goes with the next write. */
  #next: Promise<void> | undefined

  constructor({ path, file, last, bytes }: { path: string; file: FileHandle; last: number; bytes: number }) {
    this.#path = path
    this.#file = file
    this.#last = last
    this.#bytes = bytes
  }

  get last(): number {
    return this.#last
  }

  get bytes(): number {
    return this.#bytes
  }

  append(sequence: number, rows: readonly JournalRow[]): Promise<void> {
    this.#last = Math.max(this.#last, sequence)
    this.#waiting.push(encodeFrame(sequence, rows))
    this.#next ??= this.#queue(() => this.#flush())
    return this.#next
  }

  rewrite(sequence: number, rows: readonly JournalRow[]): Promise<void> {
    return this.#queue(async () => {
      const frame = encodeFrame(sequence, rows)
      const draft = `${this.#path}.new`
      const file = await open(draft, 'w', 0o600)
      try {
        await file.writeFile(frame)
        await file.sync()
        await rename(draft, this.#path)
      } catch (error) {
        await file.close()
        await rm(draft, { force: true })
        throw error
      }
      await this.#file.close()
      this.#file = file
      this.#bytes = frame.length
      this.#last = Math.max(this.#last, sequence)
    })
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#file.close()
  }

  #queue(task: () => Promise<void>): Promise<void> {
    const mine = this.#writing.then(task)
    this.#writing = mine.catch(() => undefined)
    return mine
  }

  async #flush(): Promise<void> {
    const frames = Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#next = undefined
    try {
      await this.#file.write(frames, 0, frames.length, this.#bytes)
      await this.#file.datasync()
    } catch (error) {
      // Half a batch would end the file for whoever reads it, and later ones would count as damage.
      await this.#file.truncate(this.#bytes).catch(() => undefined)
      throw error
    }
    this.#bytes += frames.length
  }
}

async function openAt(path: string, bytes: number): Promise<FileHandle> {
  const file = await open(path, 'a', 0o600)
  await file.truncate(bytes)
  await file.close()
  return open(path, 'r+', 0o600)
}

/** Sequence, then of each row: key length, key, value length plus one (0: taken out), value. */
function encodeFrame(sequence: number, rows: readonly JournalRow[]): Uint8Array {
  const size = rows.reduce((sum, { key, value }) => sum + 8 + key.length + (value?.length ?? 0), 8)
  const frame = new Uint8Array(headBytes + size)
  const view = new DataView(frame.buffer)
  frame.set(magic)
  view.setUint32(4, size)
  view.setFloat64(headBytes, sequence)
  let at = headBytes + 8
  for (const { key, value } of rows) {
    view.setUint32(at, key.length)
    frame.set(key, at + 4)
    at += 4 + key.length
    view.setUint32(at, value === null ? 0 : value.length + 1)
    frame.set(value ?? [], at + 4)
    at += 4 + (value?.length ?? 0)
  }
  view.setUint32(8, crc32(frame.subarray(headBytes)))
  return frame
}

/** The payload of the batch that begins here; undefined where none does. */
function frameAt(file: Uint8Array, at: number): Uint8Array | undefined {
  if (at + headBytes > file.length || magic.some((byte, index) => file[at + index] !== byte)) return undefined
  const head = new DataView(file.buffer, file.byteOffset + at, headBytes)
  const size = head.getUint32(4)
  const payload = file.subarray(at + headBytes, at + headBytes + size)
  return payload.length === size && size >= 8 && crc32(payload) === head.getUint32(8) ? payload : undefined
}

function nextMagic(file: Uint8Array, from: number): number {
  const found = Buffer.from(file.buffer, file.byteOffset, file.length).indexOf(magic, from)
  return found === -1 ? file.length : found
}

function numberIn(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getFloat64(0)
}

function* rowsIn(payload: Uint8Array): Generator<JournalRow> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  const take = (at: number, length: number): Uint8Array => payload.slice(at, at + length)
  for (let at = 8; at < payload.length;) {
    const key = take(at + 4, view.getUint32(at))
    at += 4 + key.length
    const length = view.getUint32(at)
    yield { key, value: length === 0 ? null : take(at + 4, length - 1) }
    at += 4 + Math.max(0, length - 1)
  }
}
