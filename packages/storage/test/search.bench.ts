/**
 * Search over many listings: time to index, latency of queries, from put to searchable, memory.
 * Run: `node --conditions=@souk/source packages/storage/test/search.bench.ts [listings]`
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AnyRecord, encodeCanonical, reopenRecord } from '@souk/records'
import { createStorage, type SearchQuery } from '../src/index.ts'
import { dayMs, hash, nowMs } from '../src/compliance/samples.ts'

const total = Number(process.argv[2] ?? 20_000)
const words = makeWords(20_000)
const random = mulberry32(7)

/** Words by Zipf's law, as in real text. */
function zipf(): string {
  return words[Math.min(words.length - 1, Math.floor(Math.exp(random() * Math.log(words.length))) - 1)] ?? ''
}

function sentence(length: number): string {
  return Array.from({ length }, zipf).join(' ')
}

function makeWords(count: number): string[] {
  const next = mulberry32(1)
  const syllables = ['ka', 'to', 'mi', 'ra', 'ne', 'so', 'lu', 'ver', 'sta', 'ing', 'tor', 'pel', 'dan', 'bri', 'qua']
  const one = (): string => syllables[Math.floor(next() * syllables.length)] ?? ''
  const found = new Set<string>()
  while (found.size < count) found.add(Array.from({ length: 2 + Math.floor(next() * 3) }, one).join(''))
  return [...found]
}

function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Unsigned: the store takes what was opened and checked before. */
function unsigned(n: number): AnyRecord {
  const geohash = Array.from({ length: 5 }, () => '0123456789bcdefghjkmnpqrstuvwxyz'[Math.floor(random() * 32)]).join(
    ''
  )
  const body = encodeCanonical({
    v: 1,
    kind: 'listing',
    author: hash(`author ${n % (total / 10)}`),
    market: 'main',
    key: `el.${n.toString(16).padStart(8, '0')}`,
    seq: 1,
    createdAt: nowMs - n * 1000,
    expiresAt: nowMs + 20 * dayMs,
    content: {
      title: sentence(5),
      description: sentence(80),
      category: 'el',
      type: 'Offer',
      businessFunction: 'Sell',
      tags: [],
      images: [],
      price: { minor: String(Math.floor(random() * 100_000)), currency: 'EUR' },
      place: { country: 'DE', geohash }
    }
  })
  return reopenRecord(encodeCanonical({ body, sig: new Uint8Array(64) }))
}

const directory = await mkdtemp(join(tmpdir(), 'souk-bench-'))
const report = (name: string, value: number | string): boolean => process.stdout.write(`${name}: ${value}\n`)
const rssMb = (): number => Math.round(process.memoryUsage.rss() / 2 ** 20)

report('RSS before, MB', rssMb())
{
  await using storage = await createStorage({ directory, now: () => nowMs })
  const startMs = performance.now()
  for (let at = 0; at < total; at += 200) {
    await storage.records.put(Array.from({ length: Math.min(200, total - at) }, (_, n) => unsigned(at + n)))
  }
  report('put, s', ((performance.now() - startMs) / 1000).toFixed(1))
  await storage.search.caughtUp(storage.records.lastSequence)
  report('put and indexed, s', ((performance.now() - startMs) / 1000).toFixed(1))

  const delays: number[] = []
  for (let n = 0; n < 50; n++) {
    const putMs = performance.now()
    await storage.records.put(unsigned(total + n))
    await storage.search.caughtUp(storage.records.lastSequence)
    delays.push(performance.now() - putMs)
  }
  reportTimes('put to searchable', delays)

  const typo = (word: string): string => `${word.slice(0, 2)}${word.slice(3)}`
  const kinds: Record<string, () => SearchQuery> = {
    'one word': () => ({ text: zipf() }),
    'two words': () => ({ text: `${zipf()} ${zipf()}` }),
    'two words, one typo': () => ({ text: `${typo(zipf())} ${zipf()}` }),
    'unfinished word': () => ({ text: zipf().slice(0, 4) }),
    'word and price': () => ({ text: zipf(), currency: 'EUR', priceMin: 1000n, priceMax: 50_000n }),
    'word nearby': () => ({ text: zipf(), near: { lat: random() * 120 - 60, lon: random() * 300 - 150, km: 1000 } }),
    'newest of a category': () => ({ category: 'el' }),
    cheapest: () => ({ currency: 'EUR', sort: 'price-ascending' })
  }
  for (const [name, make] of Object.entries(kinds)) {
    const times: number[] = []
    for (let n = 0; n < 300; n++) {
      const query = make()
      const askMs = performance.now()
      await storage.search.query(query)
      times.push(performance.now() - askMs)
    }
    reportTimes(name, times)
  }
}
report('RSS after, MB', rssMb())
await rm(directory, { recursive: true })

function reportTimes(name: string, times: number[]): void {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1)
  report(name, `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`)
}
