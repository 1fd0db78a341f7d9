/**
 * How long the located set takes: `node --conditions=@souk/source packages/network/test/feedback/measure.ts [nodes]`.
 * All nodes in one process over TCP on loopback: what is measured is work and round trips, not distance.
 */
import { stdout } from 'node:process'
import { createFeedbackDirectory } from '../../src/feedback/directory.ts'
import { connectAll, createPeer, knows, memoryStore } from '../peers.ts'
import { feedbackOf, person } from './trade.ts'

const size = Number(process.argv[2] ?? 20)
const peers = await Promise.all(Array.from({ length: size }, () => createPeer()))
const directories = await Promise.all(
  peers.map((peer) => createFeedbackDirectory({ libp2p: peer, dht: peer.services.dht, store: memoryStore() }))
)
await connectAll(peers)
const reader = await createPeer({ clientMode: true })
await reader.dial(peers[0]!.getMultiaddrs())
await knows(reader, Math.min(size, 8))
const reading = await createFeedbackDirectory({ libp2p: reader, dht: reader.services.dht, store: memoryStore() })

const median = (values: number[]): number => Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0)
const timed = async (task: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await task()
  return performance.now() - start
}

const rounds = 15
const times = {
  writeFirstMs: [] as number[],
  writeCachedMs: [] as number[],
  readFirstMs: [] as number[],
  readCachedMs: [] as number[]
}
for (let round = 0; round < rounds; round++) {
  const seller = person()
  const writer = directories[1 + (round % (size - 1))]!
  times.writeFirstMs.push(await timed(() => writer.publish(feedbackOf({ buyer: person(), seller }))))
  times.writeCachedMs.push(await timed(() => writer.publish(feedbackOf({ buyer: person(), seller }))))
  times.readFirstMs.push(await timed(() => reading.find(seller.publicKey)))
  times.readCachedMs.push(await timed(() => reading.find(seller.publicKey)))
}
const medians = Object.fromEntries(Object.entries(times).map(([name, values]) => [name, median(values)]))

const praised = person()
for (let count = 0; count < 200; count++)
  await directories[1]!.publish(feedbackOf({ buyer: person(), seller: praised }))
const found: number[] = []
const read200Ms = Math.round(
  await timed(async () => found.push((await reading.find(praised.publicKey)).records.length))
)
stdout.write(`${JSON.stringify({ nodes: size, ...medians, read200Ms, found: found[0] })}\n`)
for (const directory of [...directories, reading]) await directory[Symbol.asyncDispose]()
for (const peer of [...peers, reader]) await peer.stop()
