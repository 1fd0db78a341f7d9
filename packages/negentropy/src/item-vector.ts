import type { ItemSet } from './item-set.ts'
import { rankInColumns } from './columns.ts'
import { sortedItems, type Item } from './item.ts'
import { idBytes } from './limits.ts'
import { addId, copySum, createFingerprinting, subtractSum, sumWords } from './sum.ts'

/**
 * A set that does not change: sorted columns and prefix sums, so that every fingerprint is one subtraction and one
 * hash. 72 bytes an item. For one session over a partition read from disk, or for a relay's snapshot.
 *
 * @param items - In any order, quickest when already sorted. An item given twice counts once.
 * @throws NegentropyError `bad-item`.
 */
export function createItemVector(items: Iterable<Item>): ItemSet {
  const { timestamps, ids } = toColumns(items)
  const sums = prefixSums(ids)
  const fingerprintOf = createFingerprinting()

  return {
    size: timestamps.length,
    rank: (bound) => rankInColumns({ timestamps, ids, count: timestamps.length }, bound),
    timestampMs: (index) => timestamps[index] as number,
    ids: (begin, end) => ids.slice(begin * idBytes, end * idBytes),
    copyIds: ({ begin, end }, target) => target.set(ids.subarray(begin * idBytes, end * idBytes)),
    fingerprint(begin, end) {
      const sum = sums.slice(end * sumWords, (end + 1) * sumWords)
      subtractSum(sum, 0, sums, begin * sumWords)
      return fingerprintOf(sum, end - begin)
    }
  }
}

function toColumns(items: Iterable<Item>): { timestamps: Float64Array; ids: Uint8Array } {
  const sorted = sortedItems(items)
  const timestamps = new Float64Array(sorted.length)
  const ids = new Uint8Array(sorted.length * idBytes)
  for (const [index, { timestampMs, id }] of sorted.entries()) {
    timestamps[index] = timestampMs
    ids.set(id, index * idBytes)
  }
  return { timestamps, ids }
}

function prefixSums(ids: Uint8Array): Uint32Array {
  const count = ids.length / idBytes
  const sums = new Uint32Array((count + 1) * sumWords)
  for (let i = 0; i < count; i++) {
    copySum(sums, (i + 1) * sumWords, sums, i * sumWords)
    addId(sums, (i + 1) * sumWords, ids, i * idBytes)
  }
  return sums
}
