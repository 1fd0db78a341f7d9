import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { CatchUpReport, Network } from '@souk/network'
import { createItemVector, createReconciler, type Item, type ItemSet } from '@souk/negentropy'
import { decodeCanonical, encodeCanonical, reopenRecord, type SoukRecord } from '@souk/records'
import { createStorage, type Storage } from '@souk/storage'
import { compare, createSigner, type Report, scratch, sealListings } from './measure.ts'
import { addressOf, openNetwork } from './peers.ts'

const live = 100_000
const recent = 1000
const scattered = 180
const listingEveryMs = 25_000
const idleMs = 500
const repeats = 20
const channels = ['people', 'listings/hg'] as const

type Listing = SoukRecord<'listing'>

/**
 * What it costs to find out what is missing among 100,000 live listings, beside fetching that: frames of a real session
 * less the records in them, and the processor time of both sides' comparing, the best of twenty.
 */
export async function benchDifferences(): Promise<Report> {
  await using folder = await scratch()
  await using source = await openStore(`${folder.path}/source`)
  await using late = await openStore(`${folder.path}/late`)
  const old = await unsignedListings(live - recent)
  for (let at = 0; at < old.length; at += 1000) {
    for (const { storage } of [source, late]) await own(storage, old.slice(at, at + 1000))
  }
  const newest = sealedAfter(old.at(-1)!, recent)
  const next = sealedAfter(newest.at(-1)!, recent)
  const lost = sealedBetween(old, scattered)
  const report: Report = {}
  {
    await using peers = await meet(source.storage, late.storage)
    await own(source.storage, newest)
    report['bytes beside 1,000 recent differences in 100,000, by the log, against their ids'] = compare('bytes', {
      value: bytesBeside(newest, await peers.late.catchUp(peers.source.peerId)),
      baseline: recent * 32
    })
  }
  const before = new Map(await itemsOf(late.storage))
  const place = source.storage.records.lastSequence
  await own(source.storage, next)
  await untilIdle()
  report['CPU to read 1,000 recent differences in 100,000 from the log, against a second'] = compare('ms', {
    value: await leastMs(() => readLog(source.storage, place)),
    baseline: 1000
  })
  const after = new Map(await itemsOf(source.storage))
  report['CPU to find 1,000 recent differences in 100,000, both sides, against a second'] = compare('ms', {
    value: await leastMs(() => compareTails(source.storage, late.storage)),
    baseline: 1000
  })
  report['CPU to reconcile 1,000 recent differences in 100,000, both sides, against a second'] = compare('ms', {
    value: await leastMs(async () => reconcileAll(before, after)),
    baseline: 1000
  })
  {
    await using peers = await meet(source.storage, late.storage)
    report['bytes beside 1,000 recent differences in 100,000, of a peer just met, against their ids'] = compare(
      'bytes',
      {
        value: bytesBeside(next, peers.first),
        baseline: recent * 32
      }
    )
  }
  await own(source.storage, lost)
  await using peers = await meet(source.storage, late.storage)
  report['bytes beside 180 scattered differences in 100,000, against their ids'] = compare('bytes', {
    value: bytesBeside(lost, peers.first),
    baseline: scattered * 32
  })
  return report
}

interface Meeting extends AsyncDisposable {
  readonly source: Network
  readonly late: Network
  /** What the first session brought. */
  readonly first: CatchUpReport
}

/** Two peers on these stores that have never met, and their first session. */
async function meet(of: Storage, to: Storage): Promise<Meeting> {
  const [source, late] = [await openNetwork(of), await openNetwork(to)]
  const first = new Promise<CatchUpReport>((resolve) => late.on('caught-up', resolve))
  await late.connect(addressOf(source))
  return {
    source,
    late,
    first: await first,
    async [Symbol.asyncDispose]() {
      await late[Symbol.asyncDispose]()
      await source[Symbol.asyncDispose]()
    }
  }
}

async function openStore(directory: string): Promise<{ storage: Storage } & AsyncDisposable> {
  const storage = await createStorage({ directory, now: Date.now, limits: {}, search: 'off' })
  return { storage, [Symbol.asyncDispose]: () => storage.close() }
}

async function own(storage: Storage, listings: readonly Listing[]): Promise<void> {
  await storage.records.put(listings, { own: true, sync: false })
}

function bytesBeside(listings: readonly Listing[], { bytes, stored }: CatchUpReport): number {
  if (stored !== listings.length) throw new Error(`${stored} of ${listings.length} came`)
  return bytes - listings.reduce((sum, listing) => sum + listing.bytes.length, 0)
}

/** What the peer with the log does before it reads the records; the other does nothing. */
async function readLog({ sync }: Storage, place: number): Promise<void> {
  for (let after = place, isDone = false; !isDone;) {
    const { next, done } = await sync.changesSince(after, { market: 'main', channels, limit: 256 })
    after = next
    isDone = done
  }
}

/** As a session does it with a peer that it has no cursor for, on both sides, up to the ids of what is missing. */
async function compareTails(source: Storage, late: Storage): Promise<void> {
  const scope = { market: 'main', channels }
  const held = new Map(late.sync.partitions(scope).map((one) => [one.day, one]))
  for (const theirs of source.sync.partitions(scope)) {
    const mine = held.get(theirs.day)
    if (mine !== undefined && mine.fingerprint.every((byte, index) => byte === theirs.fingerprint[index])) continue
    const [ours, other] = [await late.sync.items(theirs), await source.sync.items(theirs)]
    const beforeMs = ours.size === 0 ? 0 : ours.timestampMs(ours.size - 1) + 1
    const from = other.rank({ timestampMs: beforeMs, idPrefix: new Uint8Array(0) })
    ours.fingerprint(0, ours.size)
    other.fingerprint(0, from)
    other.ids(from, other.size)
  }
}

async function itemsOf(storage: Storage): Promise<[number, ItemSet][]> {
  const partitions = storage.sync.partitions({ market: 'main', channels })
  return Promise.all(
    partitions.map(async (one): Promise<[number, ItemSet]> => {
      const items = await storage.sync.items(one)
      const copies = Array.from({ length: items.size }, (_, index): Item => ({
        timestampMs: items.timestampMs(index),
        id: items.ids(index, index + 1)
      }))
      return [one.day, createItemVector(copies)]
    })
  )
}

function reconcileAll(ours: ReadonlyMap<number, ItemSet>, theirs: ReadonlyMap<number, ItemSet>): void {
  for (const [day, there] of theirs) {
    const here = ours.get(day) ?? createItemVector([])
    const initiator = createReconciler(here, { initiator: true })
    const responder = createReconciler(there, { initiator: false })
    let message: Uint8Array | undefined = initiator.initiate()
    while (message !== undefined) {
      const { reply } = responder.reconcile(message)
      message = reply === undefined ? undefined : initiator.reconcile(reply).reply
    }
  }
}

/** All threads have done what the writes left them: Level merges its files, and filters are made anew. */
async function untilIdle(): Promise<void> {
  for (;;) {
    const start = process.cpuUsage()
    await wait(idleMs)
    const { user, system } = process.cpuUsage(start)
    if ((user + system) / 1000 < idleMs / 100) return
  }
}

async function leastMs(task: () => Promise<void>): Promise<number> {
  const taken: number[] = []
  for (let round = 0; round < repeats; round++) {
    const start = process.cpuUsage()
    await task()
    const { user, system } = process.cpuUsage(start)
    taken.push((user + system) / 1000)
  }
  return Math.min(...taken)
}

/**
 * Listings made every 25 s over the last four weeks. What is only compared and never fetched needs no signature, and
 * 100,000 of them would take a minute: they are one listing with other names and times, and random bytes for signatures.
 */
async function unsignedListings(count: number): Promise<Listing[]> {
  const [model] = sealListings(1, createSigner())
  const { body } = decodeCanonical(model!.bytes, { bytesMax: model!.bytes.length }) as { body: Uint8Array }
  const fields = decodeCanonical(body, { bytesMax: body.length }) as Record<string, unknown>
  const lifeMs = model!.expiresAtMs - model!.createdAtMs
  const firstMs = Date.now() - (count + 3 * recent) * listingEveryMs
  return Array.from({ length: count }, (_, index) => {
    const createdAt = firstMs + index * listingEveryMs
    const key = `hg.${index.toString(36).padStart(8, '0')}`
    const other = encodeCanonical({ ...fields, key, createdAt, expiresAt: createdAt + lifeMs })
    return reopenRecord(encodeCanonical({ body: other, sig: new Uint8Array(randomBytes(64)) })) as Listing
  })
}

function sealedAfter({ createdAtMs }: Listing, count: number): Listing[] {
  return sealListings(count, createSigner(), { atMs: (index) => createdAtMs + (index + 1) * listingEveryMs })
}

function sealedBetween(old: readonly Listing[], count: number): Listing[] {
  const step = Math.floor(old.length / count)
  return sealListings(count, createSigner(), { atMs: (index) => old[index * step]!.createdAtMs + 1 })
}
