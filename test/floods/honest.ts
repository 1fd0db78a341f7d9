/**
 * What honest people see of a victim from `begin` on, each in a process of its own: how fast it answers a ping, how fast
 * a listing gets through it to somebody else, or whether it lets newcomers in.
 */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Connection, Stream } from '@libp2p/interface'
import { openRecord } from '@souk/records'
import { startStranger, type Stranger } from '../system/stranger.ts'
import { createSigner, sealListing } from './listings.ts'
import { connectHostile, type Target } from './wire.ts'

interface HonestInit {
  readonly role: 'ping' | 'talk' | 'dial'
  readonly target: Target
}

/** Samples since `begin`; Infinity for what failed. JSON makes null of that. */
interface Samples {
  readonly pingsMs: number[]
  readonly deliveriesMs: number[]
  readonly dialsMs: number[]
}

const { role, target } = JSON.parse(process.argv[2] ?? '') as HonestInit
/** The rate at which a peer may ping for ever. */
const pingEveryMs = 5
/** libp2p ends a ping stream after ten seconds. */
const pingsPerStream = 600
/** Of how many whoever rests sends one: a stream on which nothing comes ends too. */
const pingsPerRest = 200
const pingBytes = 32
const publishEveryMs = 100
const dialEveryMs = 50
/** What honest people wait for anything: longer than any bound, so that what is slow is not taken for what fails. */
const timeoutMs = 20_000

const author = createSigner()
let revision = 0
let samples: Samples = { pingsMs: [], deliveriesMs: [], dialsMs: [] }
/** Connected, and silent: what the victim does is for somebody else. */
let isResting = false
const unanswered = new Set<Promise<void>>()
await { ping, talk, dial }[role]()
say({ event: 'ready' })
for await (const line of createInterface({ input: process.stdin })) {
  isResting = line === 'rest'
  if (line === 'begin') samples = { pingsMs: [], deliveriesMs: [], dialsMs: [] }
  else if (line === 'samples') {
    await Promise.all(unanswered)
    say({ event: 'samples', ...samples })
  }
}
process.exit(0)

function say(words: object): void {
  process.stdout.write(`${JSON.stringify(words)}\n`)
}

/**
 * Pings in time, whether the one before has been answered or not: who waits for an answer first asks less often the
 * longer it takes. By hand, since libp2p's own connection monitor wants the one ping stream that a connection may have.
 */
async function ping(): Promise<void> {
  const { connection } = await connectHostile(target.tcp, { from: '127.250.0.1' })
  let series = await openSeries(connection)
  let asked = 0
  const renew = async (): Promise<void> => {
    const former = series
    series = (await openSeries(connection)) ?? former
    if (series !== former) await former?.end()
  }
  setInterval(() => {
    asked++
    if (isResting && asked % pingsPerRest !== 0) return
    if (asked % pingsPerStream === 0) void renew()
    const { pingsMs } = samples
    const answer = (series?.ping() ?? Promise.resolve(Infinity)).then((tookMs) => void pingsMs.push(tookMs))
    unanswered.add(answer)
    void answer.then(() => unanswered.delete(answer))
  }, pingEveryMs)
}

interface PingSeries {
  /** Milliseconds until the answer; Infinity for one that does not come in time. */
  ping(): Promise<number>
  /** Once all have been answered. */
  end(): Promise<void>
}

/** Undefined while the victim is not to be talked to. */
async function openSeries(connection: Connection): Promise<PingSeries | undefined> {
  const signal = AbortSignal.timeout(timeoutMs)
  const stream = await connection.newStream('/ipfs/ping/1.0.0', { signal }).catch(() => undefined)
  if (stream === undefined) return undefined
  const waiting: { readonly sentAtMs: number; readonly resolve: (tookMs: number) => void }[] = []
  let last = Promise.resolve(0)
  let answeredBytes = 0
  stream.addEventListener('message', ({ data }) => {
    const nowMs = performance.now()
    for (answeredBytes += data.byteLength; answeredBytes >= pingBytes; answeredBytes -= pingBytes) {
      const answered = waiting.shift()
      answered?.resolve(nowMs - answered.sentAtMs)
    }
  })
  stream.addEventListener('close', () => {
    for (const { resolve } of waiting.splice(0)) resolve(Infinity)
  })
  return {
    ping() {
      const sentAtMs = performance.now()
      if (sentAtMs - (waiting[0]?.sentAtMs ?? sentAtMs) > timeoutMs) stream.abort(new Error('not answered in time'))
      if (stream.writeStatus !== 'writable') return Promise.resolve(Infinity)
      const { promise, resolve } = Promise.withResolvers<number>()
      waiting.push({ sentAtMs, resolve })
      stream.send(new Uint8Array(pingBytes))
      return (last = promise)
    },
    async end() {
      await last
      await stream.close()
    }
  }
}

/** Two nodes that know each other only through the victim. */
async function talk(): Promise<void> {
  const [seller, buyer] = await Promise.all([startStranger({ listen: [] }), startStranger({ listen: [] })])
  for (const { network } of [seller, buyer]) await network.connect(target.tcp)
  while ((await delivered(seller, buyer)) === Infinity) await sleep(publishEveryMs)
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

/** The time of 32 bytes there and back. */
async function pinged(stream: Stream): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let missing = pingBytes
  const take = ({ data }: { data: { byteLength: number } }): void => {
    missing -= data.byteLength
    if (missing <= 0) resolve()
  }
  stream.addEventListener('message', take)
  const sentAtMs = performance.now()
  if (stream.writeStatus === 'writable') stream.send(new Uint8Array(pingBytes))
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
    if (!isResting) await task(index)
    await sleep(Math.max(0, everyMs - (performance.now() - startMs)))
  }
}
