/**
 * Measures gossip, catch-up against a raw stream of the same verified bytes, and an idle node.
 *
 *     node --expose-gc --conditions=@souk/source packages/network/bench.ts
 */
import { performance } from 'node:perf_hooks'
import { lpStream } from '@libp2p/utils'
import { openRecord } from '@souk/records'
import { addressOf, join, nextEvent, startNode } from './test/support/net.ts'
import { newSigner, sealListing } from './test/support/records.ts'
import { TestStore } from './test/support/store.ts'

const listings = 10_000
const chunkRecords = 128
const idleMs = 10_000

const resting = await idle()
const author = newSigner()
const records = Array.from({ length: listings }, (_, number) => sealListing(author, { number }))
const bytes = records.reduce((sum, record) => sum + record.bytes.length, 0)
const nowMs = Date.now()
const report = { ...resting, ...(await gossip()), listings, bytes, ...(await catchUp()) }
process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)

async function idle(): Promise<object> {
  await using _node = await startNode()
  const cpu = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, idleMs))
  const { user, system } = process.cpuUsage(cpu)
  globalThis.gc?.()
  return { idleRssMb: Math.round(process.memoryUsage().rss / 2 ** 20), idleCpuPercent: (user + system) / idleMs / 10 }
}

async function gossip(): Promise<object> {
  await using a = await startNode()
  await using b = await startNode()
  await join(a, b)
  const taken: number[] = []
  for (const record of records.slice(0, 300)) {
    const arrived = nextEvent(b.network, 'record-checked')
    const start = performance.now()
    await a.network.publish(record)
    await arrived
    taken.push(performance.now() - start)
  }
  taken.sort((x, y) => x - y)
  return { gossipP50Ms: taken[150], gossipP99Ms: taken[297] }
}

async function catchUp(): Promise<object> {
  const store = new TestStore()
  await store.put(records)
  await using seller = await startNode({ store })
  const rawMs = Math.min(await raw(seller), await raw(seller))
  const runs = [await joiner(seller), await joiner(seller)]
  const catchUpMs = Math.min(...runs.map(({ ms }) => ms))
  const wireBytes = runs[0]?.bytes ?? 0
  return { rawMs, catchUpMs, ratio: catchUpMs / rawMs, overheadBytes: wireBytes / bytes }
}

async function joiner(seller: Awaited<ReturnType<typeof startNode>>): Promise<{ ms: number; bytes: number }> {
  await using node = await startNode()
  const done = nextEvent(node.network, 'caught-up')
  const start = performance.now()
  await node.network.connect(addressOf(seller))
  const { stored, bytes } = await done
  if (stored !== listings) throw new Error(`${stored} of ${listings} listings came`)
  return { ms: performance.now() - start, bytes }
}

/** The same bytes in chunks over one libp2p stream, each record verified by the receiver, nothing kept. */
async function raw(seller: Awaited<ReturnType<typeof startNode>>): Promise<number> {
  await using node = await startNode({ carry: {} })
  await seller.network.libp2p.handle('/bench/raw/1', async (stream) => {
    const frames = lpStream(stream)
    for (let at = 0; at < listings; at += chunkRecords) {
      await frames.write(new Uint8Array(Buffer.concat(records.slice(at, at + chunkRecords).map((one) => one.bytes))))
    }
    await stream.close()
  })
  const start = performance.now()
  const peer = await node.network.connect(addressOf(seller))
  const frames = lpStream(await node.network.libp2p.dialProtocol(peer, '/bench/raw/1'), { maxBufferSize: 1 << 26 })
  for (let at = 0; at < listings; at += chunkRecords) {
    const chunk = (await frames.read()).subarray()
    let offset = 0
    for (const { bytes } of records.slice(at, at + chunkRecords)) {
      openRecord(chunk.subarray(offset, offset + bytes.length), { nowMs })
      offset += bytes.length
    }
  }
  const ms = performance.now() - start
  await seller.network.libp2p.unhandle('/bench/raw/1')
  return ms
}
