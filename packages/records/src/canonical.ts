import { decode, encode } from '@ipld/dag-cbor'
import { RecordError } from './errors.ts'
import { depthMax } from './limits.ts'

/**
 * The one byte form of a value: dag-cbor (keys sorted by length then bytes, shortest integers, 64-bit floats).
 * The result is a plain `Uint8Array` with memory of its own; the codec returns a pooled `Buffer`.
 */
export function encodeCanonical(value: unknown): Uint8Array {
  return new Uint8Array(encode(value))
}

/**
 * Decodes bytes that must be their value's one byte form. Decoding dag-cbor alone is no such check: it accepts
 * unsorted keys, long integers, short floats and broken UTF-8.
 *
 * @param bytes - What a peer sent.
 * @param options.bytesMax - Longer input is refused before anything is decoded.
 * @throws {@link RecordError} `too-large`, `not-cbor`, `too-deep` or `not-canonical`.
 */
export function decodeCanonical(bytes: Uint8Array, options: { bytesMax: number }): unknown {
  if (bytes.length > options.bytesMax) {
    throw new RecordError('too-large', `${bytes.length} bytes are more than the ${options.bytesMax} allowed`)
  }
  const value = decodeAny(bytes)
  if (depthOf(value, depthMax + 1) > depthMax) {
    throw new RecordError('too-deep', `maps and arrays are nested deeper than ${depthMax}`)
  }
  if (!sameBytes(encodeAny(value), bytes)) {
    throw new RecordError('not-canonical', 'the bytes are not the canonical form of the value that they hold')
  }
  return value
}

/** True when both hold the same bytes. Not constant time: for public data. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
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
    // A hostile nest of arrays overflows the decoder's stack; that is depth, not syntax.
    if (cause instanceof RangeError) throw new RecordError('too-deep', 'the value is nested too deeply', { cause })
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

/** Depth of nesting, never looking deeper than `most`. Byte strings and links are leaves. */
function depthOf(value: unknown, most: number): number {
  if (most === 0 || typeof value !== 'object' || value === null) return 0
  if (value instanceof Uint8Array || isLink(value)) return 0
  let deepest = 0
  for (const inner of Object.values(value)) deepest = Math.max(deepest, depthOf(inner, most - 1))
  return deepest + 1
}

function isLink(value: object): boolean {
  return 'asCID' in value && value.asCID === value
}
