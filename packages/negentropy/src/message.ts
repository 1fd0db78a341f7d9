import { NegentropyError } from './error.ts'
import { compareBounds, endBound, startBound, type Bound } from './item.ts'
import { fingerprintBytes, idBytes, protocolVersion, timestampMsMax } from './limits.ts'
import { readBytes, readVarint, writeVarint, type Cursor } from './varint.ts'

/** One range of a message, from the previous range's upper bound to its own (protocol V1, "Range"). */
export type Range =
  | { readonly kind: 'skip'; readonly upper: Bound }
  | { readonly kind: 'fingerprint'; readonly upper: Bound; readonly fingerprint: Uint8Array }
  | { readonly kind: 'ids'; readonly upper: Bound; readonly ids: Uint8Array }

/** Part of the space of items. */
export interface Interval {
  readonly lower: Bound
  readonly upper: Bound
}

/** What a reader allows a message to hold. */
export interface MessageLimits {
  readonly messageBytesMax: number
  readonly rangesMax: number
  readonly idsMax: number
}

const modes = { skip: 0, fingerprint: 1, ids: 2 } as const

/** Bytes kept free for what ends a full frame: a pending skip (43 bytes at most) and a fingerprint to infinity (19). */
const reservedBytes = 64

/** Bytes of the longest range without its ids or fingerprint: bound (8 + 1 + 32), mode, and a length of up to 8. */
const rangeHeadBytesMax = 50

/**
 * Takes a message apart. All of it is checked for size, shape and order before anything is looked up in a set.
 * The ranges hold views of `bytes`. What the sender left out at the end (an implicit skip) is not in the result.
 *
 * @throws {@link NegentropyError} with the code of the first check that failed.
 */
export function readMessage(bytes: Uint8Array, limits: MessageLimits): Range[] {
  const cursor: Cursor = { bytes, at: 1 }
  const ranges: Range[] = []
  let lower = startBound
  let idsLeft = limits.idsMax
  while (cursor.at < bytes.length) {
    if (ranges.length === limits.rangesMax) {
      throw new NegentropyError('too-many-ranges', `more than ${limits.rangesMax} ranges in one message`)
    }
    const upper = readUpperBound(cursor, lower)
    const range = readPayload(cursor, upper, idsLeft)
    if (range.kind === 'ids') idsLeft -= range.ids.length / idBytes
    ranges.push(range)
    lower = upper
  }
  return ranges
}

/**
 * Checks what comes before the ranges.
 *
 * @returns The version byte: 0x61, or that of another version of this protocol (0x60 to 0x6f).
 */
export function readVersion(bytes: Uint8Array, { messageBytesMax }: MessageLimits): number {
  if (bytes.length > messageBytesMax) {
    throw new NegentropyError('message-too-large', `${bytes.length} bytes in a message, at most ${messageBytesMax}`)
  }
  const [version] = bytes
  if (version === undefined) throw new NegentropyError('truncated', 'a message without a version byte')
  if (version >> 4 !== protocolVersion >> 4) {
    throw new NegentropyError('bad-version', `0x${version.toString(16)} is no version of this protocol`)
  }
  return version
}

function readUpperBound(cursor: Cursor, lower: Bound): Bound {
  if (lower.timestampMs === Infinity) throw new NegentropyError('out-of-order', 'a range follows the one to infinity')
  const encoded = readVarint(cursor)
  const timestampMs = encoded === 0 ? Infinity : lower.timestampMs + encoded - 1
  if (timestampMs !== Infinity && timestampMs > timestampMsMax) {
    throw new NegentropyError('bad-bound', 'a timestamp above 2^53 - 2')
  }
  const length = readVarint(cursor)
  if (length > idBytes || (length > 0 && timestampMs === Infinity)) {
    throw new NegentropyError('bad-bound', `an id prefix of ${length} bytes`)
  }
  const upper = { timestampMs, idPrefix: readBytes(cursor, length) }
  if (compareBounds(upper, lower) < 0) throw new NegentropyError('out-of-order', 'a range ends before it starts')
  return upper
}

function readPayload(cursor: Cursor, upper: Bound, idsLeft: number): Range {
  const mode = readVarint(cursor)
  switch (mode) {
    case modes.skip:
      return { kind: 'skip', upper }
    case modes.fingerprint:
      return { kind: 'fingerprint', upper, fingerprint: readBytes(cursor, fingerprintBytes) }
    case modes.ids:
      return { kind: 'ids', upper, ids: readIds(cursor, idsLeft) }
    default:
      throw new NegentropyError('bad-mode', `mode ${mode} is none of 0 (skip), 1 (fingerprint), 2 (ids)`)
  }
}

function readIds(cursor: Cursor, idsLeft: number): Uint8Array {
  const count = readVarint(cursor)
  if (count > idsLeft) throw new NegentropyError('too-many-ids', `${count} ids listed where ${idsLeft} are allowed`)
  return readBytes(cursor, count * idBytes)
}

/**
 * Writes a message range by range and never past its frame. Adjacent skips become one, skips at the end none.
 * A `put` that returns false has written nothing: the frame is full, and only {@link MessageWriter.finish} may follow.
 */
export class MessageWriter {
  readonly #bytesMax: number
  readonly #rangesMax: number
  #bytes = new Uint8Array(1024)
  #length = 1
  #ranges = 0
  readonly #compared: Interval[] = []
  #last = startBound
  #skipTo: Bound | undefined

  constructor({ frameBytesMax, rangesMax }: { frameBytesMax: number; rangesMax: number }) {
    this.#bytesMax = frameBytesMax - reservedBytes
    this.#rangesMax = rangesMax - 2
    this.#bytes[0] = protocolVersion
  }

  /** Ranges written so far. */
  get ranges(): number {
    return this.#ranges
  }

  /** What the fingerprints written so far are of, ascending. */
  get compared(): readonly Interval[] {
    return this.#compared
  }

  /** Leaves the space up to a bound out of this message. */
  skip(upper: Bound): void {
    this.#skipTo = upper
  }

  putFingerprint(upper: Bound, fingerprint: Uint8Array): boolean {
    if (!this.#fits(rangeHeadBytesMax + fingerprintBytes)) return false
    this.#head(upper, modes.fingerprint)
    this.#append(fingerprint)
    return true
  }

  /** How many ids the next range may list: below zero when there is no room for a range. */
  idsFitting(): number {
    if (!this.#fits(rangeHeadBytesMax)) return -1
    return Math.floor((this.#bytesMax - this.#length - this.#skipBytes() - rangeHeadBytesMax) / idBytes)
  }

  /**
   * Begins a list of as many ids as {@link MessageWriter.idsFitting} allows, or fewer.
   *
   * @returns Where they go, to be filled before anything else is written: a copy of each short list would be garbage at once.
   */
  putIds(upper: Bound, count: number): Uint8Array {
    this.#head(upper, modes.ids)
    this.#varint(count)
    this.#grow(count * idBytes)
    const from = this.#length
    this.#length += count * idBytes
    return this.#bytes.subarray(from, this.#length)
  }

  /** Ends a full frame with one fingerprint of all that did not fit, from the last bound on: there is always room. */
  putRest(fingerprint: Uint8Array): void {
    this.#head(endBound, modes.fingerprint)
    this.#append(fingerprint)
  }

  /** The message; one byte long when it asks for nothing. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #fits(bytes: number): boolean {
    return this.#length + this.#skipBytes() + bytes <= this.#bytesMax && this.#ranges < this.#rangesMax
  }

  #skipBytes(): number {
    return this.#skipTo ? rangeHeadBytesMax : 0
  }

  #head(upper: Bound, mode: number): void {
    if (this.#skipTo) this.#bound(this.#skipTo, modes.skip)
    this.#skipTo = undefined
    if (mode === modes.fingerprint) this.#compared.push({ lower: this.#last, upper })
    this.#bound(upper, mode)
  }

  #bound(bound: Bound, mode: number): void {
    const { timestampMs, idPrefix } = bound
    this.#varint(timestampMs === Infinity ? 0 : timestampMs - this.#last.timestampMs + 1)
    this.#varint(idPrefix.length)
    this.#append(idPrefix)
    this.#varint(mode)
    this.#last = bound
    this.#ranges++
  }

  #varint(value: number): void {
    this.#grow(8)
    this.#length += writeVarint(this.#bytes, this.#length, value)
  }

  #append(bytes: Uint8Array): void {
    this.#grow(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #grow(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}
