import { sha256 } from '@noble/hashes/sha2.js'
import { fingerprintBytes, idBytes, varintBytesMax } from './limits.ts'
import { writeVarint } from './varint.ts'

/** 32-bit words of a 256-bit number, least significant first. */
export const sumWords = 8

/** Copies a sum: in a loop, since a typed array's own `set` costs more than these eight words. */
export function copySum(target: Uint32Array, at: number, source: Uint32Array, sourceAt: number): void {
  for (let i = 0; i < sumWords; i++) target[at + i] = word(source, sourceAt + i)
}

/** Adds 256-bit number `b` to `a` in place, modulo 2^256. Each is {@link sumWords} words from its offset. */
export function addSum(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): void {
  let carry = 0
  for (let i = 0; i < sumWords; i++) {
    const total = word(a, aAt + i) + word(b, bAt + i) + carry
    a[aAt + i] = total
    carry = total > 0xffffffff ? 1 : 0
  }
}

/** Takes 256-bit number `b` from `a` in place, modulo 2^256. */
export function subtractSum(a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): void {
  let borrow = 0
  for (let i = 0; i < sumWords; i++) {
    const total = word(a, aAt + i) - word(b, bAt + i) - borrow
    a[aAt + i] = total
    borrow = total < 0 ? 1 : 0
  }
}

/** Adds an id, read as a 32-byte little-endian number, to a sum in place. */
export function addId(sum: Uint32Array, at: number, ids: Uint8Array, idAt: number): void {
  let carry = 0
  for (let i = 0; i < sumWords; i++) {
    const total = word(sum, at + i) + littleEndian(ids, idAt + 4 * i) + carry
    sum[at + i] = total
    carry = total > 0xffffffff ? 1 : 0
  }
}

/** Takes an id from a sum in place. */
export function subtractId(sum: Uint32Array, at: number, ids: Uint8Array, idAt: number): void {
  let borrow = 0
  for (let i = 0; i < sumWords; i++) {
    const total = word(sum, at + i) - littleEndian(ids, idAt + 4 * i) - borrow
    sum[at + i] = total
    borrow = total < 0 ? 1 : 0
  }
}

/**
 * First 16 bytes of SHA-256 over the little-endian sum of some ids and their number as a varint. Of no ids it is known
 * beforehand: who cuts all time into a thousand parts hits nothing with most.
 */
export type Fingerprinting = (sum: Uint32Array, count: number) => Uint8Array

/** One for each set: making a hash and its memory anew is more than half of what a fingerprint takes. */
export function createFingerprinting(): Fingerprinting {
  const [fresh, hash] = [sha256.create(), sha256.create()]
  const input = new Uint8Array(idBytes + varintBytesMax)
  const view = new DataView(input.buffer)
  const digest = new Uint8Array(hash.outputLen)
  const hashOf: Fingerprinting = (sum, count) => {
    for (let i = 0; i < sumWords; i++) view.setUint32(4 * i, word(sum, i), true)
    const length = writeVarint(input, idBytes, count)
    fresh._cloneInto(hash)
    hash.update(input.subarray(0, idBytes + length)).digestInto(digest)
    return digest.slice(0, fingerprintBytes)
  }
  const ofNone = hashOf(new Uint32Array(sumWords), 0)
  return (sum, count) => (count === 0 ? ofNone.slice() : hashOf(sum, count))
}

function word(sum: Uint32Array, at: number): number {
  return sum[at] as number
}

function littleEndian(bytes: Uint8Array, at: number): number {
  return (
    (byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24)) >>> 0
  )
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] as number
}
