import { NegentropyError } from './error.ts'
import { idBytes, timestampMsMax } from './limits.ts'
import { noBytes } from './varint.ts'

/** One element of a set, as the protocol sees it: when, and which. */
export interface Item {
  /** Milliseconds since 1970 by the author's clock, an integer from 0 to 2^53 - 2. */
  timestampMs: number
  /** 32 bytes, in Souk the SHA-256 digest of the record's id. */
  id: Uint8Array
}

/**
 * A point between items. An item stands before it when its timestamp is smaller, or is equal and its id is smaller
 * than `idPrefix` filled up with zero bytes.
 */
export interface Bound {
  /** As in {@link Item}, or `Infinity` for the end of everything. */
  timestampMs: number
  /** 0 to 32 bytes; empty at infinity. */
  idPrefix: Uint8Array
}

/** The end of everything: the only bound above all items. */
export const endBound: Bound = { timestampMs: Infinity, idPrefix: noBytes }

/** The start of everything: at or below all items. */
export const startBound: Bound = { timestampMs: 0, idPrefix: noBytes }

/** @throws {@link NegentropyError} `bad-item` for a timestamp or an id that the protocol cannot carry. */
export function checkItem({ timestampMs, id }: Item): void {
  if (!Number.isSafeInteger(timestampMs) || timestampMs < 0 || timestampMs > timestampMsMax) {
    throw new NegentropyError('bad-item', `timestamp ${timestampMs} is not an integer from 0 to ${timestampMsMax}`)
  }
  if (id.length !== idBytes) throw new NegentropyError('bad-item', `an id has ${id.length} bytes, not ${idBytes}`)
}

/** Compares `length` bytes of two arrays; negative, zero or positive, as `Array.prototype.sort` wants it. */
export function compareBytes(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): number {
  for (let i = 0; i < length; i++) {
    const difference = (a[aAt + i] ?? 0) - (b[bAt + i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** Orders bounds; missing bytes of a prefix count as zero. */
export function compareBounds(a: Bound, b: Bound): number {
  if (a.timestampMs !== b.timestampMs) return a.timestampMs < b.timestampMs ? -1 : 1
  return compareBytes(a.idPrefix, 0, b.idPrefix, 0, Math.max(a.idPrefix.length, b.idPrefix.length))
}

/**
 * Items in the protocol's order, each once.
 *
 * @throws {@link NegentropyError} `bad-item`.
 */
export function sortedItems(items: Iterable<Item>): Item[] {
  const sorted = [...items]
  for (const item of sorted) checkItem(item)
  if (!isStrictlyAscending(sorted)) sorted.sort(compareItems)
  return sorted.filter((item, i) => i === 0 || compareItems(sorted[i - 1] as Item, item) !== 0)
}

function isStrictlyAscending(items: readonly Item[]): boolean {
  return items.every((item, i) => i === 0 || compareItems(items[i - 1] as Item, item) < 0)
}

/** Orders items by timestamp, then by id, as the protocol does. */
export function compareItems(a: Item, b: Item): number {
  return a.timestampMs - b.timestampMs || compareBytes(a.id, 0, b.id, 0, idBytes)
}

/**
 * The shortest bound between two items of one time, that has `before` on its left and `after` on its right (protocol V1,
 * "Bound"); between two of different times it is the time of the second. It parts these two items of ours; a peer may
 * hold others on either side of it.
 */
export function boundWithin(timestampMs: number, { before, after }: { before: Uint8Array; after: Uint8Array }): Bound {
  let common = 0
  while (common < idBytes - 1 && before[common] === after[common]) common++
  return { timestampMs, idPrefix: after.slice(0, common + 1) }
}
