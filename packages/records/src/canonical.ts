import { decode, encode } from '@ipld/dag-cbor'
import { RecordError } from './errors.ts'
import { depthMax } from './limits.ts'
import { readPlain } from './plain.ts'

/**
 * The one byte form of a value: dag-cbor (keys sorted by length then bytes, shortest integers, 64-bit floats).
 * The result is a plain `Uint8Array` with memory of its own; the codec returns a pooled `Buffer`.
 */
export function encodeCanonical(value: unknown): Uint8Array {
  return new Uint8Array(encode(value))
}

/**
 * Decodes bytes that must be their value's one byte form. Decoding dag-cbor alone is no such check: it accepts
 * unsorted keys, short floats, `undefined` and broken UTF-8.
 *
 * @param bytes - What a peer sent.
 * @param options.bytesMax - Longer input is refused before anything is decoded.
 * @throws {@link RecordError} `too-large`, `too-deep`, `not-cbor` or `not-canonical`.
 */
export function decodeCanonical(bytes: Uint8Array, options: { bytesMax: number }): unknown {
  if (bytes.length > options.bytesMax) {
    throw new RecordError('too-large', `${bytes.length} bytes are more than the ${options.bytesMax} allowed`)
  }
  const plain = readPlain(bytes)
  if (plain !== undefined) return plain
  if (isTooDeep(bytes)) throw new RecordError('too-deep', `maps and arrays are nested deeper than ${depthMax}`)
  const value = decodeAny(bytes)
  if (!sameBytes(encodeAny(value), bytes)) {
    throw new RecordError('not-canonical', 'the bytes are not the canonical form of the value that they hold')
  }
  return value
}

/** True when both hold the same bytes. Not constant time: for public data. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false
  return true
}

/** Orders byte strings as Level and dag-cbor do: byte by byte, shorter first. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let index = 0; index < shared; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function decodeAny(bytes: Uint8Array): unknown {
  try {
    return decode(bytes)
  } catch (cause) {
    throw new RecordError('not-cbor', `the bytes are not dag-cbor: ${(cause as Error).message}`, { cause })
  }
}

function encodeAny(value: unknown): Uint8Array {
  try {
    return encode(value)
  } catch (cause) {
    throw new RecordError('not-canonical', 'the value has no dag-cbor form', { cause })
  }
}

/**
 * True when maps and arrays are nested deeper than allowed, by their headers alone (RFC 8949 section 3): the decoder
 * recurses, and a nest of 64 kB would overflow its stack. What is no CBOR is left for the decoder to name.
 */
function isTooDeep(bytes: Uint8Array): boolean {
  const open: { left: number }[] = []
  for (let offset = 0; offset < bytes.length;) {
    const major = (bytes[offset] ?? 0) >> 5
    const { value, next } = readHead(bytes, offset)
    offset = major === 2 || major === 3 ? next + value : next
    if (major === 6) continue
    const isContainer = major === 4 || major === 5
    if (isContainer && open.length === depthMax) return true
    if (isContainer && value > 0) open.push({ left: major === 4 ? value : 2 * value })
    else while (open.length > 0 && --open.at(-1)!.left === 0) open.pop()
  }
  return false
}

/** The argument of the item that starts at `offset`, and where what follows its head starts. */
function readHead(bytes: Uint8Array, offset: number): { value: number; next: number } {
  const info = (bytes[offset] ?? 0) & 31
  if (info < 24 || info > 27) return { value: info < 24 ? info : 0, next: offset + 1 }
  const length = 1 << (info - 24)
  let value = 0
  for (let index = 1; index <= length; index++) value = value * 256 + (bytes[offset + index] ?? 0)
  return { value, next: offset + 1 + length }
}

/** True for a map as it is decoded. */
export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}
