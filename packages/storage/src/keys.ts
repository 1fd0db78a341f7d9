/**
 * Keys are fixed width, or end in a zero byte, and sort as they are read: numbers are big-endian.
 */
const encoder = new TextEncoder()
const decoder = new TextDecoder()

const zero = new Uint8Array(1)

/** Bytes of a number in a key. */
export const numberBytes = 8

/** The parts one after the other; a string in UTF-8, a number as eight bytes, big-endian. */
export function keyOf(...parts: readonly (Uint8Array | string | number)[]): Uint8Array {
  const chunks = parts.map(chunkOf)
  const key = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    key.set(chunk, at)
    at += chunk.length
  }
  return key
}

/** A text in a key: a zero byte ends it, so that `el` sorts before `el-7` and is no prefix of it. */
export function ended(text: string): Uint8Array {
  return keyOf(text, zero)
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

/** Bytes as a string that can stand in a Map: one character a byte. */
export function mapKey(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** The bytes of a {@link mapKey}. */
export function mapKeyBytes(key: string): Uint8Array {
  return Uint8Array.from(key, (character) => character.charCodeAt(0))
}

function chunkOf(part: Uint8Array | string | number): Uint8Array {
  if (part instanceof Uint8Array) return part
  return typeof part === 'string' ? encoder.encode(part) : numberKey(part)
}

function numberKey(value: number): Uint8Array {
  const bytes = new Uint8Array(numberBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.floor(value / 2 ** 32))
  view.setUint32(4, value >>> 0)
  return bytes
}
