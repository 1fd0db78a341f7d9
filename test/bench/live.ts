import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { lpStream } from '@libp2p/utils'
import { compare, createSigner, median, type Report, scratch, sealListings, timed } from './measure.ts'
import { addressOf, foundIn, openPeer, type Peer, rawStreamMs } from './peers.ts'

const echoProtocol = '/bench/echo/1'
const trips = 50
const singles = 50
const atOnce = 1000
const publishers = 10
const bulk = 5000

type Listing = ReturnType<typeof sealListings>[number]

/** Somebody elsewhere who finds listings. */
interface Buyer extends AsyncDisposable {
  /** Resolves when this many listings can be found there. */
  found(count: number): Promise<void>
}

/**
 * From the call that publishes to searchable on another node: durable here (own records are written to the platter),
 * announced, fetched, verified, stored, indexed. The listings are sealed beforehand, by an author whom the other trusts:
 * what a stranger's proof of work costs is the seller's, and decided elsewhere.
 */
export async function benchLive(): Promise<Report> {
  const report: Report = {}
  const queue = sealListings(1 + singles + atOnce + 2 * bulk, createSigner())
  for (const [where, open] of [
    ['in one process', openBuyerHere],
    ['in two processes', openBuyerElsewhere]
  ] as const) {
    await using folder = await scratch()
    await using seller = await openPeer(`${folder.path}/seller`)
    await using buyer = await open(`${folder.path}/buyer`, seller)
    let published = 0
    /** Milliseconds until the next so many are found. */
    const ms = async (count: number, publishing: (next: readonly Listing[]) => Promise<void>): Promise<number> => {
      const next = queue.slice(published, (published += count))
      return timed(async () => {
        const found = buyer.found(published)
        await publishing(next)
        await found
      })
    }
    await ms(1, (next) => publish(seller, next))
    const latencies = []
    for (let one = 0; one < singles; one++) latencies.push(await ms(1, (next) => publish(seller, next)))
    const togetherMs = await ms(atOnce, (next) => publishAtOnce(seller, next))
    const bulks = []
    for (let round = 0; round < 2; round++) bulks.push(await ms(bulk, (next) => publish(seller, next)))
    const rawMs = await rawStreamMs(queue.slice(0, bulk), { verifies: false })
    const raw = bulk / (rawMs / 1000)
    report[`publish until searchable on another node ${where}, against a raw libp2p round trip of 1 kB`] = compare(
      'ms p50',
      { value: median(latencies), baseline: await rawRoundTripMs() }
    )
    report[`listings published by ten at once, ${where}, against a raw libp2p stream of as many bytes`] = compare(
      'listings/s',
      { value: atOnce / (togetherMs / 1000), baseline: raw }
    )
    report[`listings published together, ${where}, against a raw libp2p stream of as many bytes`] = compare(
      'listings/s',
      { value: bulk / (Math.min(...bulks) / 1000), baseline: raw }
    )
  }
  return report
}

async function publish({ storage, network }: Peer, listings: readonly Listing[]): Promise<void> {
  await storage.records.put(listings, { own: true })
  await network.publish(listings)
}

/** As a program does that publishes one after the other, ten times over. */
async function publishAtOnce(seller: Peer, listings: readonly Listing[]): Promise<void> {
  const rest = listings.values()
  const work = async (): Promise<void> => {
    for (const listing of rest) await publish(seller, [listing])
  }
  await Promise.all(Array.from({ length: publishers }, work))
}

async function openBuyerHere(directory: string, seller: Peer): Promise<Buyer> {
  const peer = await openPeer(directory)
  const { storage, network } = peer
  await network.connect(addressOf(seller.network))
  return { found: (count) => foundIn(storage, count), [Symbol.asyncDispose]: () => peer[Symbol.asyncDispose]() }
}

async function openBuyerElsewhere(directory: string, seller: Peer): Promise<Buyer> {
  const child: ChildProcess = fork(join(import.meta.dirname, 'live-buyer.ts'), [directory, addressOf(seller.network)], {
    execArgv: process.execArgv
  })
  await once(child, 'message')
  return {
    async found(count) {
      child.send(count)
      await once(child, 'message')
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await once(child, 'exit')
    }
  }
}

async function rawRoundTripMs(): Promise<number> {
  await using folder = await scratch()
  await using from = await openPeer(`${folder.path}/from`)
  await using to = await openPeer(`${folder.path}/to`)
  const peer = await to.network.connect(addressOf(from.network))
  await from.network.libp2p.handle(echoProtocol, async (stream) => {
    const frames = lpStream(stream)
    for (let index = 0; index < trips; index++) await frames.write(await frames.read())
    await stream.close()
  })
  const frames = lpStream(await to.network.libp2p.dialProtocol(peer, echoProtocol))
  const taken = []
  for (let index = 0; index < trips; index++) {
    taken.push(
      await timed(async () => {
        await frames.write(new Uint8Array(1024))
        await frames.read()
      })
    )
  }
  return median(taken)
}
