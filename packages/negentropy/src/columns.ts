import { compareBytes, type Bound } from './item.ts'
import { idBytes } from './limits.ts'

/** Sorted items in two columns, of which the first `count` places are in use. */
export interface Columns {
  timestamps: Float64Array
  ids: Uint8Array
  count: number
}

/** The first place whose item is at or after the bound: a binary search. */
export function rankInColumns(columns: Columns, bound: Bound): number {
  let low = 0
  let high = columns.count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(columns, middle, bound)) low = middle + 1
    else high = middle
  }
  return low
}

/** Whether the item at a place stands before a bound. */
export function isBefore({ timestamps, ids }: Columns, index: number, bound: Bound): boolean {
  const timestampMs = timestamps[index] as number
  if (timestampMs !== bound.timestampMs) return timestampMs < bound.timestampMs
  return compareBytes(ids, index * idBytes, bound.idPrefix, 0, bound.idPrefix.length) < 0
}
