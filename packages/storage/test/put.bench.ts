/**
 * Records put in a second, against the same bytes in raw Level batches.
 * Run: `node --conditions=@souk/source packages/storage/test/put.bench.ts [records]`
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { type AnyRecord, recordDigest, reopenRecord, encodeCanonical } from '@souk/records'
import { Level } from 'level'
import { createStorage } from '../src/index.ts'
import { hash, nowMs } from '../src/compliance/samples.ts'

const total = Number(process.argv[2] ?? 20_000)
const batch = 200

/** Bodies need no true signature here: the store takes what was opened and checked before. */
function unsigned(n: number): AnyRecord {
  const body = encodeCanonical({
    v: 1,
    kind: 'listing',
    author: hash(`author ${n % 2000}`),
    market: 'main',
    key: `el.${n.toString(16).padStart(8, '0')}`,
    seq: 1,
    createdAt: nowMs + n,
    expiresAt: nowMs + n + 20 * 86_400_000,
    content: {
      title: `Thing number ${n}`,
      description: randomBytes(300).toString('base64'),
      category: 'el',
      images: [],
      tags: []
    }
  })
  return reopenRecord(encodeCanonical({ body, sig: new Uint8Array(64) }))
}

async function timed(name: string, count: number, run: () => Promise<void>): Promise<number> {
  const startMs = performance.now()
  await run()
  const perSecond = Math.round(count / ((performance.now() - startMs) / 1000))
  process.stdout.write(`${name}: ${perSecond}/s\n`)
  return perSecond
}

const records = Array.from({ length: total }, (_, n) => unsigned(n))
const root = await mkdtemp(join(tmpdir(), 'souk-bench-'))

const raw = new Level<Uint8Array, Uint8Array>(join(root, 'raw'), { keyEncoding: 'view', valueEncoding: 'view' })
await timed('raw Level, one key a record', total, async () => {
  for (let at = 0; at < total; at += batch) {
    const part = records.slice(at, at + batch)
    await raw.batch(part.map((record) => ({ type: 'put', key: recordDigest(record.id), value: record.bytes })))
  }
})
await raw.close()

{
  await using storage = await createStorage({ directory: join(root, 'calls'), now: () => nowMs })
  await timed('put, 200 a call', total, async () => {
    for (let at = 0; at < total; at += batch) await storage.records.put(records.slice(at, at + batch))
  })
}
{
  await using storage = await createStorage({ directory: join(root, 'single'), now: () => nowMs })
  await timed('put, one a call, 500 at once', total, async () => {
    for (let at = 0; at < total; at += 500) {
      await Promise.all(records.slice(at, at + 500).map((record) => storage.records.put(record)))
    }
  })
  await timed('put again (known)', total, async () => {
    for (let at = 0; at < total; at += batch) await storage.records.put(records.slice(at, at + batch))
  })
  await timed('check of all sums', total, async () => void (await storage.check({ depth: 'ids' })))
}
const startMs = performance.now()
{
  await using storage = await createStorage({ directory: join(root, 'single'), now: () => nowMs })
  process.stdout.write(`open with ${storage.records.count()}: ${Math.round(performance.now() - startMs)} ms\n`)
}
process.stdout.write(`RSS ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MB\n`)
await rm(root, { recursive: true })
