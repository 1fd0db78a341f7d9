import { compare, createSigner, type Report, scratch, sealListings } from './measure.ts'
import { addressOf, openPeer, rawStreamMs } from './peers.ts'

const listings = 10_000
const rounds = 3

/**
 * What it takes to catch up with a market of ten thousand listings, both peers in this process, as are both ends of the
 * raw stream. The best of three rounds by ratio: whatever else the machine does slows one of the two down.
 */
export async function benchCatchUp(): Promise<Report> {
  const records = sealListings(listings, createSigner())
  const payload = records.reduce((sum, record) => sum + record.bytes.length, 0)
  const taken = []
  for (let round = 0; round < rounds; round++) {
    const rawMs = await rawStreamMs(records, { verifies: true })
    taken.push({ rawMs, ...(await caughtUp(records)) })
  }
  const [best] = taken.toSorted((a, b) => a.searchableMs / a.rawMs - b.searchableMs / b.rawMs)
  if (best === undefined) throw new Error('no round')
  return {
    'catch-up of 10,000 listings, verified and stored, against a raw verified stream': compare('ms', {
      value: best.storedMs,
      baseline: best.rawMs
    }),
    'catch-up of 10,000 listings, searchable too, against a raw verified stream': compare('ms', {
      value: best.searchableMs,
      baseline: best.rawMs
    }),
    'bytes of that catch-up, all frames both ways, against the records themselves': compare('bytes', {
      value: best.bytes,
      baseline: payload
    })
  }
}

async function caughtUp(
  records: ReturnType<typeof sealListings>
): Promise<{ storedMs: number; searchableMs: number; bytes: number }> {
  await using folder = await scratch()
  await using source = await openPeer(`${folder.path}/source`)
  for (let at = 0; at < records.length; at += 500) {
    await source.storage.records.put(records.slice(at, at + 500), { own: true, sync: false })
  }
  await source.storage.search.caughtUp(source.storage.records.lastSequence)
  await using late = await openPeer(`${folder.path}/late`)
  const done = new Promise<{ bytes: number }>((resolve) => late.network.on('caught-up', (report) => resolve(report)))
  const start = performance.now()
  await late.network.connect(addressOf(source.network))
  const { bytes } = await done
  const storedMs = performance.now() - start
  await late.storage.search.caughtUp(late.storage.records.lastSequence)
  const searchableMs = performance.now() - start
  if (late.storage.records.count() !== records.length) throw new Error(`${late.storage.records.count()} came`)
  return { storedMs, searchableMs, bytes }
}
