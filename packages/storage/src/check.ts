import type { Disk } from './disk.ts'
import { decodeStored, digestOfKey, isAuthentic, recordBytesOf } from './entry.ts'
import { mapKey, mapKeyBytes, numberAt, numberBytes, within } from './keys.ts'
import type { Lane } from './lane.ts'
import { scanRows } from './limits.ts'
import {
  changed,
  decodePartition,
  decodePartitionKey,
  emptyPartition,
  encodePartition,
  type PartitionId,
  type PartitionSum,
  sameSum
} from './partition.ts'
import { scan, type StorageOp, type Tables } from './tables.ts'

/** A partition that does not hold what was written into it. */
export interface DamagedPartition extends PartitionId {
  /** Records that its sum says were written. */
  readonly written: number
  /** Records that are there and whole. */
  readonly found: number
}

/** What a check found. */
export interface CheckReport {
  readonly records: number
  /** Empty when all is well. */
  readonly damaged: readonly DamagedPartition[]
}

/**
 * How closely a check looks: at the index of ids (0.2 s for 100,000), also at the checksum of each record's bytes, or
 * also at each signature (0.2 ms a record).
 */
export type CheckDepth = 'ids' | 'bytes' | 'signatures'

/** What {@link checkRecords} works on. */
export interface CheckInit {
  readonly tables: Tables
  readonly disk: Disk
  readonly lane: Lane
  /** Called when sums were corrected. */
  readonly repaired: () => Promise<void>
}

/**
 * Looks for silent damage: a flipped byte in a Level log drops whole batches without a word. Every batch leaves the
 * sum of all digests of its partitions, so what was lost shows as a difference between a sum and what is there. The
 * sums are then corrected, so that they differ from those of peers and the next catch-up brings back what was lost.
 */
export async function checkRecords(
  init: CheckInit,
  { depth, signal }: { depth: CheckDepth; signal?: AbortSignal }
): Promise<CheckReport> {
  // Both read what is stored now, whenever they come to it. What changes in between all the same makes a suspect more.
  await using sums = init.tables.partitions.iterator()
  await using ids = init.tables.sync.iterator()
  const written = new Map((await sums.all()).map(([key, value]) => [mapKey(key), decodePartition(value)]))
  const found = depth === 'ids' ? await sumIndex(ids, signal) : await sumWhole(ids, init.tables, { depth, signal })
  const suspects = [...new Set([...written.keys(), ...found.keys()])].filter(
    (key) => !sameSum(written.get(key) ?? emptyPartition, found.get(key) ?? emptyPartition)
  )
  let records = 0
  for (const { count } of found.values()) records += count
  return { records, damaged: suspects.length === 0 ? [] : await repair(init, suspects) }
}

type Ids = Parameters<typeof scan<Uint8Array, Uint8Array>>[0]
type Sums = Map<string, PartitionSum>

/** Sums of what the index of ids holds. */
async function sumIndex(ids: Ids, signal: AbortSignal | undefined): Promise<Sums> {
  const sums: Sums = new Map()
  for await (const rows of scan(ids, scanRows)) {
    signal?.throwIfAborted()
    for (const [key, value] of rows) count(sums, key, value)
  }
  return sums
}

/** Sums of what the index of ids holds and whose bytes are what was stored, or what their author signed. */
async function sumWhole(
  ids: Ids,
  tables: Tables,
  { depth, signal }: { depth: CheckDepth; signal: AbortSignal | undefined }
): Promise<Sums> {
  const isGood = depth === 'signatures' ? isWhole : isIntact
  const sums: Sums = new Map()
  for await (const rows of scan(ids, scanRows)) {
    signal?.throwIfAborted()
    const values = await tables.records.getMany(rows.map(([key]) => digestOfKey(key)))
    rows.forEach(([key, value], index) => {
      if (isGood(key, values[index])) count(sums, key, value)
    })
  }
  return sums
}

function count(sums: Sums, key: Uint8Array, value: Uint8Array): void {
  const partition = mapKey(key.subarray(0, key.length - 32 - numberBytes))
  const before = sums.get(partition) ?? emptyPartition
  sums.set(partition, changed(before, { digest: digestOfKey(key), bytes: numberAt(value, 0) }, 1))
}

function isIntact(key: Uint8Array, value: Uint8Array | undefined): boolean {
  return value !== undefined && recordBytesOf(value) !== undefined
}

function isWhole(key: Uint8Array, value: Uint8Array | undefined): boolean {
  const stored = value === undefined ? undefined : decodeStored(digestOfKey(key), value)
  return stored !== undefined && isAuthentic(stored.record)
}

/** Looks again, with nothing else writing, takes out what is broken and corrects the sums. */
function repair({ tables, disk, lane, repaired }: CheckInit, suspects: readonly string[]): Promise<DamagedPartition[]> {
  return lane.run(async () => {
    const damaged: DamagedPartition[] = []
    for (const key of suspects) {
      const report = await repairPartition(tables, disk, mapKeyBytes(key))
      if (report !== undefined) damaged.push(report)
    }
    await repaired()
    return damaged
  })
}

async function repairPartition(tables: Tables, disk: Disk, key: Uint8Array): Promise<DamagedPartition | undefined> {
  const value = await tables.partitions.get(key)
  const written = value === undefined ? emptyPartition : decodePartition(value)
  let found = emptyPartition
  const ops: StorageOp[] = []
  for await (const rows of scan(tables.sync.iterator(within(key)), scanRows)) {
    const values = await tables.records.getMany(rows.map(([row]) => digestOfKey(row)))
    rows.forEach(([row, size], index) => {
      const digest = digestOfKey(row)
      if (isWhole(row, values[index])) found = changed(found, { digest, bytes: numberAt(size, 0) }, 1)
      else ops.push(del(tables.sync, row), del(tables.records, digest))
    })
  }
  if (sameSum(written, found) && ops.length === 0) return undefined
  await disk.commit([...ops, sumOp(tables, key, found)])
  return { ...decodePartitionKey(key), written: written.count, found: found.count }
}

function del(sublevel: Tables['sync'], key: Uint8Array): StorageOp {
  return { type: 'del', sublevel, key }
}

function sumOp(tables: Tables, key: Uint8Array, sum: PartitionSum): StorageOp {
  const sublevel = tables.partitions
  return sum.count === 0 ? del(sublevel, key) : { type: 'put', sublevel, key, value: encodePartition(sum) }
}
