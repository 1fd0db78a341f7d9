import { createHash } from 'node:crypto'
import type { Bound, Item } from '../src/index.ts'
import { toHex } from './session.ts'

/** An item set said in the words of the protocol, with none of our code: what the real ones are held against. */
export interface Model {
  items: Item[]
  rank(bound: Bound): number
  fingerprint(begin: number, end: number): string
}

export function modelOf(given: readonly Item[]): Model {
  const byKey = new Map(given.map((item) => [keyOf(item), item]))
  const items = [...byKey.keys()].toSorted().map((key) => byKey.get(key)!)
  return {
    items,
    rank: (bound) => items.filter((item) => keyOf(item) < keyOfBound(bound)).length,
    fingerprint: (begin, end) => fingerprintOf(items.slice(begin, end))
  }
}

/** A string that sorts as the protocol sorts. */
export function keyOf({ timestampMs, id }: Item): string {
  return `${timestampMs.toString().padStart(16, '0')}:${toHex(id)}`
}

export function compare(a: number, b: number): number {
  return a - b
}

function keyOfBound({ timestampMs, idPrefix }: Bound): string {
  if (timestampMs === Infinity) return '~'
  return `${timestampMs.toString().padStart(16, '0')}:${toHex(idPrefix).padEnd(64, '0')}`
}

function fingerprintOf(items: readonly Item[]): string {
  const sum = items.reduce((total, { id }) => total + littleEndian(id), 0n) % (1n << 256n)
  const bytes = Buffer.from(sum.toString(16).padStart(64, '0'), 'hex').toReversed()
  return createHash('sha256').update(bytes).update(varint(items.length)).digest('hex').slice(0, 32)
}

function littleEndian(id: Uint8Array): bigint {
  return BigInt(`0x${toHex(id.toReversed())}`)
}

function varint(value: number): Uint8Array {
  return Uint8Array.from(value < 128 ? [value] : [(value >> 7) | 0x80, value & 0x7f])
}
