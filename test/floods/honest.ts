/**
 * What honest people see of a victim, in a process of its own, from `begin` to `end`: how fast it answers a ping, how
 * fast a listing gets through it to somebody else, or whether it lets newcomers in.
 */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { openRecord } from '@souk/records'
import { startStranger, type Stranger } from '../system/stranger.ts'
import { createSigner, sealListing } from './listings.ts'
import { connectHostile, type Hostile, type Target } from './wire.ts'

interface HonestInit {
  readonly role: 'talk' | 'dial'
  readonly target: Target
}

/** Samples since `begin`; Infinity for what failed. JSON makes null of that. */
interface Samples {
  readonly pingsMs: number[]
  readonly deliveriesMs: number[]
  readonly dialsMs: number[]
}

const { role, target } = JSON.parse(process.argv[2] ?? '') as HonestInit
const pingEveryMs = 10
const pingsPerStream = 300
const publishEveryMs = 100
const dialEveryMs = 50
/** What honest people wait for anything: longer than any bound, so that what is slow is not taken for what fails. */
const timeoutMs = 20_000

const author = createSigner()
let revision = 0
let samples: Samples = { pingsMs: [], deliveriesMs: [], dialsMs: [] }
await (role === 'talk' ? talk() : dial())
say({ event: 'ready' })
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'begin') samples = { pingsMs: [], deliveriesMs: [], dialsMs: [] }
  else say({ event: 'samples', ...samples })
}
process.exit(0)

function say(words: object): void {
  process.stdout.write(`${JSON.stringify(words)}\n`)
}

/** Two nodes that know each other only through the victim. */
async function talk(): Promise<void> {
  const [seller, buyer] = await Promise.all([startStranger({ listen: [] }), startStranger({ listen: [] })])
  for (const { network } of [seller, buyer]) await network.connect(target.tcp)
  while ((await delivered(seller, buyer)) === Infinity) await sleep(publishEveryMs)
  // By hand: libp2p's own connection monitor wants the one ping stream that a connection may have.
  const pinger = await connectHostile(target.tcp, { from: '127.250.0.1' })
  let stream: Stream | undefined
  void forEver(pingEveryMs, async (index) => {
    // libp2p ends a ping stream after ten seconds.
    if (index % pingsPerStream === 0) await stream?.close()
    if (stream?.writeStatus !== 'writable') stream = await pingStream(pinger)
    samples.pingsMs.push(await (stream === undefined ? Infinity : pinged(stream)))
  })
  void forEver(publishEveryMs, async () => samples.deliveriesMs.push(await delivered(seller, buyer)))
}

/** The time of one listing's next revision from one to the other. */
async function delivered(seller: Stranger, buyer: Stranger): Promise<number> {
  const bytes = sealListing(author, { seq: ++revision })
  const { id, market, channel } = openRecord(bytes, { nowMs: Date.now() })
  const { promise, resolve } = Promise.withResolvers<void>()
  const off = buyer.network.on('record-checked', ({ result }) => {
    if (result.id === id) resolve()
  })
  const sentAtMs = performance.now()
  await seller.network.publish({ market, channel, bytes })
  const tookMs = await timeOf(promise, sentAtMs)
  off()
  return tookMs
}

/** Undefined while the victim is not to be talked to. */
async function pingStream({ connection }: Hostile): Promise<Stream | undefined> {
  return connection.newStream('/ipfs/ping/1.0.0', { signal: AbortSignal.timeout(timeoutMs) }).catch(() => undefined)
}

/** The time of 32 bytes there and back. */
async function pinged(stream: Stream): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let missing = 32
  const take = ({ data }: { data: { byteLength: number } }): void => {
    missing -= data.byteLength
    if (missing <= 0) resolve()
  }
  stream.addEventListener('message', take)
  const sentAtMs = performance.now()
  if (stream.writeStatus === 'writable') stream.send(new Uint8Array(32))
  const tookMs = await timeOf(promise, sentAtMs)
  stream.removeEventListener('message', take)
  return tookMs
}

/** Infinity for what does not happen in time. */
async function timeOf(event: Promise<void>, startMs: number): Promise<number> {
  const late = AbortSignal.timeout(timeoutMs)
  const { promise, resolve } = Promise.withResolvers<number>()
  late.addEventListener('abort', () => resolve(Infinity), { once: true })
  return Promise.race([event.then(() => performance.now() - startMs), promise])
}

/** Newcomers, each from an address of its own, who try once more, as everybody's connection keeper does. */
function dial(): Promise<void> {
  void forEver(dialEveryMs, async (index) => {
    const from = `127.${200 + (index % 50)}.${Math.floor(index / 50) % 250}.1`
    const startMs = performance.now()
    const isIn = (await getsIn(from)) || (await getsIn(from))
    samples.dialsMs.push(isIn ? performance.now() - startMs : Infinity)
  })
  return Promise.resolve()
}

/** True when a newcomer has been answered. */
async function getsIn(from: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    await using newcomer = await connectHostile(target.tcp, { from, signal })
    const stream = await newcomer.connection.newStream('/ipfs/ping/1.0.0', { signal })
    return (await pinged(stream)) !== Infinity
  } catch {
    return false
  }
}

async function forEver(everyMs: number, task: (index: number) => Promise<unknown>): Promise<never> {
  for (let index = 0; ; index++) {
    const startMs = performance.now()
    await task(index)
    await sleep(Math.max(0, everyMs - (performance.now() - startMs)))
  }
}
