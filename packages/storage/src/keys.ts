/**
 * Keys are fixed width, or end in a zero byte, and sort as they are read: numbers are big-endian.
 */
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Ends a text in a key, so that `el` sorts before `el-7` and is no prefix of it. */
export const end = new Uint8Array(1)

/** What a key or a value is put together from: a string in UTF-8, a number as eight bytes, big-endian. */
export type Part = Uint8Array | string | number

/** Bytes of a number in a key. */
export const numberBytes = 8

/** The parts one after the other. */
export function keyOf(...parts: readonly Part[]): Uint8Array {
  const key = new Uint8Array(bytesIn(parts))
  writeParts(key, 0, parts)
  return key
}

/** Bytes of all parts together. */
export function bytesIn(parts: readonly Part[]): number {
  let length = 0
  for (const part of parts) length += lengthOf(part)
  return length
}

/** Writes the parts one after the other and returns where the last one ends. */
export function writeParts(target: Uint8Array, from: number, parts: readonly Part[]): number {
  let at = from
  for (const part of parts) at += write(target, at, part)
  return at
}

/** A text in a key, with its {@link end}. */
export function ended(text: string): Uint8Array {
  return keyOf(text, end)
}

/** The half-open range of all keys that start with `prefix`. */
export function within(prefix: Uint8Array): { gte: Uint8Array; lt?: Uint8Array } {
  const after = successor(prefix)
  return after === undefined ? { gte: prefix } : { gte: prefix, lt: after }
}

/** The smallest key above all keys that start with `prefix`. */
export function successor(prefix: Uint8Array): Uint8Array | undefined {
  const last = prefix.findLastIndex((byte) => byte !== 0xff)
  if (last === -1) return undefined
  const key = bytesAt(prefix, 0, last + 1)
  key[last] = (key[last] ?? 0) + 1
  return key
}

/** Reads a number that {@link keyOf} wrote. */
export function numberAt(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, numberBytes)
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4)
}

/**
 * A stretch as a plain `Uint8Array` with memory of its own. Level hands out `Buffer`s, whose `slice` shares memory and
 * which compare unequal to plain arrays.
 */
export function bytesAt(bytes: Uint8Array, from: number, to?: number): Uint8Array {
  return new Uint8Array(bytes.subarray(from, to))
}

/** UTF-8 of a stretch. */
export function textAt(bytes: Uint8Array, from: number, to?: number): string {
  return decoder.decode(bytes.subarray(from, to))
}

/**
 * A key as a string that can stand in a Map: one character a byte. Not by way of a `Buffer`: to share the memory of a
 * short array moves it out of the heap first, which costs as much as all the rest.
 */
export function mapKey(bytes: Uint8Array): string {
  return String.fromCharCode.apply(undefined, bytes as unknown as number[])
}

/** The bytes of a {@link mapKey}. */
export function mapKeyBytes(key: string): Uint8Array {
  return new Uint8Array(Buffer.from(key, 'latin1'))
}

function lengthOf(part: Part): number {
  if (typeof part === 'number') return numberBytes
  if (typeof part === 'string') return isAscii(part) ? part.length : encoder.encode(part).length
  return part.length
}

/** Writes one part and returns its length. */
function write(key: Uint8Array, at: number, part: Part): number {
  if (typeof part === 'number') return writeNumber(key, at, part)
  if (typeof part === 'string') return writeText(key, at, part)
  key.set(part, at)
  return part.length
}

/** Byte by byte: a quarter of what a DataView costs, and keys are most of what a put computes. */
function writeNumber(key: Uint8Array, at: number, value: number): number {
  const high = Math.floor(value / 2 ** 32)
  for (let index = 0; index < 4; index++) {
    key[at + index] = high >>> (24 - 8 * index)
    key[at + 4 + index] = value >>> (24 - 8 * index)
  }
  return numberBytes
}

/** Nearly all texts in keys are short and ASCII, where the encoder's call costs more than its work. */
function writeText(key: Uint8Array, at: number, text: string): number {
  if (!isAscii(text)) return encoder.encodeInto(text, key.subarray(at)).written
  for (let index = 0; index < text.length; index++) key[at + index] = text.charCodeAt(index)
  return text.length
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (text.charCodeAt(index) > 0x7f) return false
  }
  return true
}
