import { randomBytes } from 'node:crypto'
import type { AnyRecord } from '@souk/records'
import type { Disk } from './disk.ts'
import { decodeStored, digestOfKey, expiryKey, type StoredRecord, type Trust } from './entry.ts'
import { keyOf, numberAt } from './keys.ts'
import { scanRows } from './limits.ts'
import type { RecordStore } from './records.ts'
import { type LevelDatabase, scan, type StorageOp, type Tables } from './tables.ts'

/** Everything that follows from the records themselves. */
const derived = [
  'slots',
  'counts',
  'expiry',
  'rank',
  'byKind',
  'byAuthor',
  'byCategory',
  'bySubject',
  'byImage',
  'log',
  'sync',
  'partitions',
  'cursors'
] as const satisfies (keyof Tables)[]

/**
 * Begins to make all indexes anew from the records, after files were repaired: what is missing then is not whole
 * batches but whatever stood in a table that could not be read, and an index that lacks a record hides it for good. A
 * crash before {@link refill} has ended repeats both. Sequence numbers start over for peers and the search index.
 */
export async function clearDerived(tables: Tables, level: LevelDatabase): Promise<void> {
  const { meta } = tables
  const epoch = randomBytes(8).toString('hex')
  const begun = [
    { type: 'put', sublevel: meta, key: 'rebuilding', value: true },
    { type: 'put', sublevel: meta, key: 'epoch', value: epoch }
  ]
  await level.batch(begun as never, { sync: true } as object)
  for (const name of derived) await tables[name].clear()
  for await (const rows of scan(tables.stale.iterator(), scanRows)) {
    const ops = rows.map(([digest, value]) => ({
      type: 'put',
      sublevel: tables.expiry,
      key: keyOf(...expiryKey(numberAt(value, 0), 'stale', digest)),
      value: new Uint8Array(0)
    }))
    await level.batch(ops as never)
  }
}

/** True when {@link clearDerived} was begun and {@link refill} not ended. */
export async function isRebuilding(tables: Tables): Promise<boolean> {
  return (await tables.meta.get('rebuilding')) === true
}

/** Puts every record that is whole once more, and takes out the others. */
export async function refill({
  tables,
  disk,
  records
}: {
  tables: Tables
  disk: Disk
  records: RecordStore
}): Promise<void> {
  for await (const rows of scan(tables.records.iterator(), scanRows)) {
    const stored = rows.map(([key, value]) => decodeStored(digestOfKey(key), value))
    const kept = await putAll(records, stored)
    const lost = rows.filter((_, index) => !kept.has(stored[index]?.record))
    await disk.commit(lost.map(([key]): StorageOp => ({ type: 'del', sublevel: tables.records, key })))
  }
  await disk.commit([{ type: 'del', sublevel: tables.meta, key: 'rebuilding' }], { sync: true })
}

/** @returns Those that are held now. */
async function putAll(
  records: RecordStore,
  stored: readonly (StoredRecord | undefined)[]
): Promise<Set<AnyRecord | undefined>> {
  const held = new Set<AnyRecord | undefined>()
  for (const trust of ['own', 'trusted', 'unknown'] as const satisfies Trust[]) {
    const list = stored.filter((one) => one?.trust === trust).map((one) => (one as StoredRecord).record)
    const outcomes = await records.put(list, { own: trust === 'own', trusted: () => trust === 'trusted' })
    outcomes.forEach((outcome, index) => {
      if (outcome !== 'stale' && outcome !== 'over-quota' && outcome !== 'conflict-full') held.add(list[index])
    })
  }
  return held
}
