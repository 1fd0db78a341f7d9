import { NegentropyError } from './error.ts'
import { varintBytesMax } from './limits.ts'

/** Most bounds are times alone, and a view is 200 bytes, however little it shows. */
export const noBytes: Uint8Array = new Uint8Array(0)

/** A place in a message that is being read. */
export interface Cursor {
  readonly bytes: Uint8Array
  at: number
}

/**
 * Writes an unsigned integer in base 128, most significant digit first, the high bit set on all but the last byte
 * (protocol V1, "Varint"). Division, not shifts: a shift cuts at 32 bits, and milliseconds need 41.
 *
 * @param value - An integer from 0 to 2^53 - 1.
 * @returns How many bytes were written at `at`, 1 to 8.
 */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  const length = varintLength(value)
  let rest = value
  for (let i = length - 1; i >= 0; i--) {
    target[at + i] = (rest % 128) | (i === length - 1 ? 0 : 0x80)
    rest = Math.floor(rest / 128)
  }
  return length
}

/** Bytes that {@link writeVarint} needs for a value. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
  return length
}

/**
 * Reads a varint and moves the cursor past it.
 *
 * @throws {@link NegentropyError} `truncated`, `varint-not-minimal` (a leading zero digit) or `varint-too-long`
 * (more than 8 digits, or above 2^53 - 1).
 */
export function readVarint(cursor: Cursor): number {
  let value = 0
  for (let digits = 1; digits <= varintBytesMax; digits++) {
    const byte = readByte(cursor)
    if (digits === 1 && byte === 0x80) {
      throw new NegentropyError('varint-not-minimal', 'a varint starts with a zero digit')
    }
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) return checkSafe(value)
  }
  throw new NegentropyError('varint-too-long', `a varint has more than ${varintBytesMax} digits`)
}

/** Takes the next `length` bytes as a view, and moves the cursor past them. */
export function readBytes(cursor: Cursor, length: number): Uint8Array {
  if (length === 0) return noBytes
  const end = cursor.at + length
  if (end > cursor.bytes.length) {
    throw new NegentropyError('truncated', `${length} bytes expected, ${cursor.bytes.length - cursor.at} left`)
  }
  const view = cursor.bytes.subarray(cursor.at, end)
  cursor.at = end
  return view
}

function readByte(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.at++]
  if (byte === undefined) throw new NegentropyError('truncated', 'the message ends within a varint')
  return byte
}

function checkSafe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new NegentropyError('varint-too-long', 'a varint is above 2^53 - 1')
  return value
}
