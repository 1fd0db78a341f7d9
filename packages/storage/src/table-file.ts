import { createCrc32c } from './crc32c.ts'

/**
 * Checks a table of the database, block by block (LevelDB, table_format.md). Level has a checksum for every block and
 * compares none of them on reading; a flipped byte in the wrong place then ends the whole process by an assertion in
 * C++, at every start again. So tables are looked at before Level is.
 *
 * @param bytes - The whole file.
 */
export function isWholeTable(bytes: Uint8Array): boolean {
  try {
    return checkTable(bytes)
  } catch (error) {
    // A length that points outside of the file.
    if (error instanceof RangeError) return false
    throw error
  }
}

/** Two handles, filled up, and a number that ends every table. */
const footerBytes = 48
const magic = Uint8Array.of(0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb)
/** Kind of compression, and the checksum of the block and of that. */
const trailerBytes = 5

interface Handle {
  readonly offset: number
  readonly size: number
}

const crc32c = createCrc32c()

function checkTable(bytes: Uint8Array): boolean {
  if (bytes.length < footerBytes) return false
  const footer = bytes.subarray(-footerBytes)
  if (magic.some((byte, index) => byte !== footer[footerBytes - magic.length + index])) return false
  const reader = new Reader(footer)
  const roots = [reader.handle(), reader.handle()]
  return roots.every((root) => {
    const block = wholeBlock(bytes, root)
    return block !== undefined && handlesIn(block).every((handle) => wholeBlock(bytes, handle) !== undefined)
  })
}

/** A block as it is in the file; undefined when its checksum is another. */
function wholeBlock(bytes: Uint8Array, { offset, size }: Handle): Uint8Array | undefined {
  const end = offset + size + trailerBytes
  if (end > bytes.length) return undefined
  const stored = new DataView(bytes.buffer, bytes.byteOffset + end - 4, 4).getUint32(0, true)
  return crc32c(bytes.subarray(offset, end - 4)) === unmasked(stored) ? bytes.subarray(offset, end - 4) : undefined
}

/** Checksums are stored altered, since a checksum of data with checksums in it is weak. */
function unmasked(stored: number): number {
  const turned = (stored - 0xa282ead8) >>> 0
  return ((turned >>> 17) | (turned << 15)) >>> 0
}

/** The blocks that a block of handles names. */
function handlesIn(block: Uint8Array): Handle[] {
  const kind = block.at(-1)
  const raw = block.subarray(0, -1)
  const entries = kind === 1 ? uncompressed(raw) : raw
  const restarts = new DataView(entries.buffer, entries.byteOffset + entries.length - 4, 4).getUint32(0, true)
  const reader = new Reader(entries.subarray(0, entries.length - 4 - 4 * restarts))
  const handles: Handle[] = []
  while (!reader.isAtEnd) {
    reader.number()
    const keyBytes = reader.number()
    const valueBytes = reader.number()
    reader.skip(keyBytes)
    handles.push(new Reader(reader.take(valueBytes)).handle())
  }
  return handles
}

/** Reads LevelDB's numbers: seven bits a byte, the lowest first. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  number(): number {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined || factor > 2 ** 49) throw new RangeError('a number has no end')
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
    }
  }

  handle(): Handle {
    return { offset: this.number(), size: this.number() }
  }

  take(length: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, this.#at + length)
    if (taken.length !== length) throw new RangeError('a length points outside')
    this.#at += length
    return taken
  }

  skip(length: number): void {
    this.take(length)
  }
}

/** Snappy (format_description.txt): its checksum was right, so only what a writer of Level's writes is met. */
function uncompressed(bytes: Uint8Array): Uint8Array {
  const reader = new Reader(bytes)
  const size = reader.number()
  if (size > bytes.length * 256) throw new RangeError('too much to come out of so little')
  const out = new Uint8Array(size)
  let at = 0
  while (!reader.isAtEnd) {
    const tag = reader.take(1)[0] ?? 0
    if ((tag & 3) === 0) {
      const literal = reader.take(literalBytes(tag >> 2, reader))
      out.set(literal, at)
      at += literal.length
    } else {
      const [length, distance] = copyOf(tag, reader)
      // Byte by byte: a copy may run into what it writes.
      for (let n = 0; n < length; n++, at++) out[at] = out[at - distance] ?? 0
    }
  }
  return out
}

function literalBytes(short: number, reader: Reader): number {
  return 1 + (short < 60 ? short : littleEndian(reader.take(short - 59)))
}

function copyOf(tag: number, reader: Reader): [length: number, distance: number] {
  if ((tag & 3) === 1) return [4 + ((tag >> 2) & 7), ((tag >> 5) << 8) | (reader.take(1)[0] ?? 0)]
  return [1 + (tag >> 2), littleEndian(reader.take((tag & 3) === 2 ? 2 : 4))]
}

function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0)
}
