import { createItemTree, type Item, type ItemSet, type ItemTree } from '@souk/negentropy'
import { type Channel, channelOf, kindLimits, recordKinds } from '@souk/records'
import type { Draft, StoreTotals, Totals } from './draft.ts'
import { digestOfKey, type StoredRecord } from './entry.ts'
import { mapKey, mapKeyBytes, numberAt, within } from './keys.ts'
import { partitionsLoadedMax, scanRows } from './limits.ts'
import {
  decodePartition,
  decodePartitionKey,
  fingerprintOf,
  type Partition,
  partitionKey,
  PartitionNames,
  type PartitionId,
  type PartitionSum
} from './partition.ts'
import { scan, type Tables } from './tables.ts'

/**
 * What is in memory of catch-up: the sum of every partition, always, and the ids of those that peers asked about
 * lately. Changes come from the batches that were written.
 */
export interface PartitionBook {
  /** By map key of the partition. */
  readonly sums: ReadonlyMap<string, PartitionSum>
  readonly totals: StoreTotals
  list(): Partition[]
  /** The ids of one partition; kept up to date while it stays loaded. */
  items(partition: PartitionId): Promise<ItemSet>
  /** Takes over a draft that is durable. */
  apply(draft: Pick<Draft, 'partitions' | 'totals' | 'stored' | 'removed'>): void
  /** Reads everything again, after a repair. */
  reload(): Promise<void>
}

export async function openPartitionBook(tables: Tables): Promise<PartitionBook> {
  const book = new Book(tables)
  await book.reload()
  return book
}

class Book implements PartitionBook {
  readonly #tables: Tables
  readonly sums = new Map<string, PartitionSum>()
  totals: StoreTotals = { count: 0, bytes: 0, receipts: { count: 0, bytes: 0 } }
  /** Least recently asked for first. */
  readonly #trees = new Map<string, ItemTree>()
  readonly #fingerprints = new Map<string, Uint8Array>()
  readonly #names = new PartitionNames()
  /** Rises with every change, so that a tree read meanwhile is not taken for current. */
  #version = 0

  constructor(tables: Tables) {
    this.#tables = tables
  }

  list(): Partition[] {
    return [...this.sums].map(([key, sum]) => ({
      ...decodePartitionKey(mapKeyBytes(key)),
      count: sum.count,
      fingerprint: this.#fingerprint(key, sum)
    }))
  }

  async items(partition: PartitionId): Promise<ItemSet> {
    const key = mapKey(partitionKey(partition))
    const tree = this.#trees.get(key)
    return tree === undefined ? this.#read(partition) : this.#keep(key, tree)
  }

  apply({ partitions, totals, stored, removed }: Pick<Draft, 'partitions' | 'totals' | 'stored' | 'removed'>): void {
    this.#version++
    this.totals = totals
    for (const [key, sum] of partitions) this.#setSum(key, sum)
    // One batch may take out what it put in, and the other way round: the last change counts.
    const changes = [...stored, ...removed].toSorted((a, b) => a.sequence - b.sequence)
    for (const change of changes) {
      const tree = this.#treeOf(change)
      if ('reason' in change) tree?.delete(itemOf(change))
      else tree?.insert(itemOf(change))
    }
  }

  async reload(): Promise<void> {
    this.sums.clear()
    this.#trees.clear()
    this.#fingerprints.clear()
    for await (const rows of scan(this.#tables.partitions.iterator(), scanRows)) {
      for (const [key, value] of rows) this.sums.set(mapKey(key), decodePartition(value))
    }
    const receipts = [...this.sums].filter(([key]) => isReceiptChannel(decodePartitionKey(mapKeyBytes(key)).channel))
    this.totals = { ...totalOf(this.sums.values()), receipts: totalOf(receipts.map(([, sum]) => sum)) }
  }

  #setSum(key: string, sum: PartitionSum): void {
    this.#fingerprints.delete(key)
    if (sum.count === 0) this.sums.delete(key)
    else this.sums.set(key, sum)
  }

  #fingerprint(key: string, sum: PartitionSum): Uint8Array {
    const fingerprint = this.#fingerprints.get(key) ?? fingerprintOf(sum)
    this.#fingerprints.set(key, fingerprint)
    return fingerprint
  }

  #treeOf({ record }: Pick<StoredRecord, 'record'>): ItemTree | undefined {
    return this.#trees.get(this.#names.of(record).name)
  }

  async #read(partition: PartitionId): Promise<ItemTree> {
    for (;;) {
      const version = this.#version
      const items = await readItems(this.#tables, partition)
      if (version === this.#version) return this.#keep(mapKey(partitionKey(partition)), createItemTree(items))
    }
  }

  #keep(key: string, tree: ItemTree): ItemTree {
    this.#trees.delete(key)
    this.#trees.set(key, tree)
    const [oldest] = this.#trees.keys()
    if (this.#trees.size > partitionsLoadedMax && oldest !== undefined) this.#trees.delete(oldest)
    return tree
  }
}

function totalOf(sums: Iterable<PartitionSum>): Totals {
  let [records, size] = [0, 0]
  for (const { count, bytes } of sums) {
    records += count
    size += bytes
  }
  return { count: records, bytes: size }
}

/** The channel of a receipt-bound kind carries nothing else. */
function isReceiptChannel(channel: Channel): boolean {
  return recordKinds.some((kind) => kindLimits[kind].receiptBound && channelOf(kind, '') === channel)
}

/** The ids of a partition from its fixed-width index, in the order of the protocol. */
async function readItems(tables: Tables, partition: PartitionId): Promise<Item[]> {
  const prefix = partitionKey(partition)
  const items: Item[] = []
  for await (const rows of scan(tables.sync.iterator({ ...within(prefix), values: false }), scanRows)) {
    for (const [key] of rows) items.push({ timestampMs: numberAt(key, prefix.length), id: digestOfKey(key) })
  }
  return items
}

function itemOf({ record, digest }: Pick<StoredRecord, 'record' | 'digest'>): Item {
  return { timestampMs: record.createdAtMs, id: digest }
}
