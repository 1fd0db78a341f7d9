import type { Bound } from './item.ts'

/**
 * A set of items, seen as a sorted sequence (by timestamp, then by id) with a fingerprint for every stretch of it.
 * What a reconciler needs from a store, no more. Implementations: `createItemVector`, `createItemTree`.
 */
export interface ItemSet {
  readonly size: number
  /** The index of the first item at or after the bound; `size` when there is none. */
  rank(bound: Bound): number
  /** The timestamp of one item; `index` from 0 to `size - 1`. */
  timestampMs(index: number): number
  /** The ids of the items `begin` to `end - 1`, 32 bytes each, in a fresh array. */
  ids(begin: number, end: number): Uint8Array
  /** The same, written to the start of `target`. */
  copyIds(range: { begin: number; end: number }, target: Uint8Array): void
  /** The 16-byte digest of the items `begin` to `end - 1` (protocol V1, "Fingerprint Algorithm"). */
  fingerprint(begin: number, end: number): Uint8Array
}
