import { lpStream } from '@libp2p/utils'
import { createNetwork, type Network, peerKeyFromSeed } from '@souk/network'
import { createNode } from '@souk/node'
import { createPhrase, createVerifier, type Did, identityFromPhrase, openRecord, type SoukRecord } from '@souk/records'
import { createStorage, type Storage } from '@souk/storage'
import { compare, createSigner, median, type Report, scratch, sealListings, timed } from './measure.ts'

const listings = 10_000
const chunkRecords = 128
const rawProtocol = '/bench/raw/1'
const echoProtocol = '/bench/echo/1'
const trips = 50

/** What it takes for a listing to be found elsewhere, and to catch up with a market of ten thousand. */
export async function benchNetwork(): Promise<Report> {
  return { ...(await benchLive()), ...(await benchCatchUp()) }
}

async function benchLive(): Promise<Report> {
  await using folder = await scratch()
  const open = (name: string, bootstrap: readonly string[], curators: readonly Did[] = []) =>
    createNode({
      directory: `${folder.path}/${name}`,
      identity: identityFromPhrase(createPhrase()),
      network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap },
      // More than a stranger's quota comes: the buyer knows this seller.
      trust: { curators }
    })
  await using seller = await open('seller', [])
  await using buyer = await open('buyer', (await seller.status()).addresses, [seller.did])
  const publish = async (title: string): Promise<void> => {
    const found = untilFound(buyer, title)
    await seller.listings.publish({
      title,
      category: 'hg',
      description: 'x'.repeat(700),
      price: { minor: '100', currency: 'EUR' }
    })
    await found
  }
  await publish('warmup')
  const latencies = []
  for (let index = 0; index < 50; index++) latencies.push(await timed(() => publish(`thing${index}`)))

  const bulk = 500
  const bulkMs = await timed(async () => {
    const found = untilFound(buyer, `bulk${bulk - 1}x`)
    for (let index = 0; index < bulk; index++) {
      await seller.listings.publish({
        title: `bulk${index}x`,
        category: 'hg',
        description: 'x'.repeat(700),
        price: { minor: '100', currency: 'EUR' }
      })
    }
    await found
  })
  const raw = await rawStreamMs(sealListings(bulk, createSigner()), { verifies: false })
  const ping = await rawRoundTripMs()
  return {
    'publish until searchable on another node, against a raw libp2p round trip of 1 kB': compare('ms p50', {
      value: median(latencies),
      baseline: ping
    }),
    'live listings, signed to searchable elsewhere, against a raw libp2p stream of as many bytes': compare(
      'listings/s',
      {
        value: bulk / (bulkMs / 1000),
        baseline: bulk / (raw / 1000)
      }
    )
  }
}

async function untilFound(node: Awaited<ReturnType<typeof createNode>>, title: string): Promise<void> {
  for await (const event of node.events({ signal: AbortSignal.timeout(60_000) })) {
    if (
      event.type === 'listing' &&
      (await node.search({ text: title, limit: 1 })).hits.some((hit) => hit.title === title)
    )
      return
  }
  throw new Error(`${title} did not come`)
}

async function benchCatchUp(): Promise<Report> {
  const records = sealListings(listings, createSigner())
  await using folder = await scratch()
  await using source = await openPeer(`${folder.path}/source`)
  for (let at = 0; at < listings; at += 500)
    await source.storage.records.put(records.slice(at, at + 500), { own: true, sync: false })
  const rawMs = await rawStreamMs(records, { verifies: true })

  await using late = await openPeer(`${folder.path}/late`)
  const done = new Promise<{ bytes: number }>((resolve) => late.network.on('caught-up', (report) => resolve(report)))
  const start = performance.now()
  await late.network.connect(source.network.addresses()[0]?.toString() ?? '')
  const { bytes } = await done
  const storedMs = performance.now() - start
  await late.storage.search.caughtUp(late.storage.records.lastSequence)
  const searchableMs = performance.now() - start
  if (late.storage.records.count() !== listings) throw new Error(`${late.storage.records.count()} of ${listings} came`)
  const payload = records.reduce((sum, record) => sum + record.bytes.length, 0)
  return {
    'catch-up of 10,000 listings, verified and stored, against a raw verified stream': compare('ms', {
      value: storedMs,
      baseline: rawMs
    }),
    'catch-up of 10,000 listings, searchable too, against a raw verified stream': compare('ms', {
      value: searchableMs,
      baseline: rawMs
    }),
    'bytes of that catch-up, against the records themselves': compare('bytes', { value: bytes, baseline: payload })
  }
}

interface Peer extends AsyncDisposable {
  readonly storage: Storage
  readonly network: Network
}

async function openPeer(directory: string): Promise<Peer> {
  const storage = await createStorage({ directory, now: Date.now, limits: {} })
  const network = await createNetwork(
    {
      datastore: storage.datastore('libp2p'),
      privateKey: await peerKeyFromSeed(crypto.getRandomValues(new Uint8Array(32))),
      records: trusting(storage),
      sync: storage.sync
    },
    { role: 'node', listen: ['/ip4/127.0.0.1/tcp/0'], carry: { main: ['people', 'listings/hg'] } }
  )
  return {
    storage,
    network,
    async [Symbol.asyncDispose]() {
      await network[Symbol.asyncDispose]()
      await storage.close()
    }
  }
}

/** One author with ten thousand listings is beyond a stranger's quota; what is measured is the way, not the quota. */
function trusting({ records }: Storage) {
  return {
    getBytes: (ids: Parameters<typeof records.getBytes>[0]) => records.getBytes(ids),
    get lastSequence() {
      return records.lastSequence
    },
    put: (list: Parameters<typeof records.put>[0]) => records.put(list, { own: true, sync: false })
  }
}

/** The same bytes over one libp2p stream on loopback, verified by the receiver or only read. */
async function rawStreamMs(records: readonly SoukRecord[], { verifies }: { verifies: boolean }): Promise<number> {
  await using folder = await scratch()
  await using from = await openPeer(`${folder.path}/from`)
  await using to = await openPeer(`${folder.path}/to`)
  const chunks = Array.from({ length: Math.ceil(records.length / chunkRecords) }, (_, index) =>
    records.slice(index * chunkRecords, (index + 1) * chunkRecords)
  )
  await from.network.libp2p.handle(rawProtocol, async (stream) => {
    const frames = lpStream(stream)
    for (const chunk of chunks) await frames.write(new Uint8Array(Buffer.concat(chunk.map(({ bytes }) => bytes))))
    await stream.close()
  })
  const verify = createVerifier()
  const nowMs = Date.now()
  return await timed(async () => {
    const peer = await to.network.connect(from.network.addresses()[0]?.toString() ?? '')
    const frames = lpStream(await to.network.libp2p.dialProtocol(peer, rawProtocol), { maxBufferSize: 1 << 26 })
    for (const chunk of chunks) {
      const bytes = (await frames.read()).subarray()
      let offset = 0
      for (const record of chunk) {
        const one = bytes.subarray(offset, (offset += record.bytes.length))
        if (verifies) openRecord(one, { nowMs, verify })
      }
    }
  })
}

async function rawRoundTripMs(): Promise<number> {
  await using folder = await scratch()
  await using from = await openPeer(`${folder.path}/from`)
  await using to = await openPeer(`${folder.path}/to`)
  const peer = await to.network.connect(from.network.addresses()[0]?.toString() ?? '')
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
