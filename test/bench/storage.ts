import { recordDigest } from '@souk/records'
import { createStorage } from '@souk/storage'
import { Level } from 'level'
import { compare, createSigner, type Report, scratch, sealListings, timed } from './measure.ts'

const count = 10_000
const batchSize = 500

/** Storing listings with all their indexes, and making them searchable, against the bytes alone in Level. */
export async function benchStorage(): Promise<Report> {
  await using folder = await scratch()
  const records = sealListings(count, createSigner())
  const batches = Array.from({ length: count / batchSize }, (_, index) =>
    records.slice(index * batchSize, (index + 1) * batchSize)
  )

  const raw = new Level<Uint8Array, Uint8Array>(`${folder.path}/raw`, { keyEncoding: 'view', valueEncoding: 'view' })
  await raw.open()
  const rawMs = await timed(async () => {
    for (const batch of batches) {
      await raw.batch(batch.map(({ id, bytes }) => ({ type: 'put', key: recordDigest(id), value: bytes })))
    }
  })
  await raw.close()

  await using storage = await createStorage({ directory: `${folder.path}/store`, now: Date.now })
  const putMs = await timed(async () => {
    for (const batch of batches) await storage.records.put(batch, { trusted: () => true })
  })
  const searchableMs = putMs + (await timed(() => storage.search.caughtUp(storage.records.lastSequence)))
  const rate = (ms: number): number => count / (ms / 1000)
  return {
    'put with indexes, against a raw Level batch': compare('records/s', { value: rate(putMs), baseline: rate(rawMs) }),
    'put and searchable, against a raw Level batch': compare('records/s', {
      value: rate(searchableMs),
      baseline: rate(rawMs)
    })
  }
}
