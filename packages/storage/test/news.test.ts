import { recordDigest } from '@souk/records'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import type { RemovedRecord } from '../src/draft.ts'
import type { StoredRecord } from '../src/entry.ts'
import { feedMax, recentBytesMax, recentMax } from '../src/search/limits.ts'
import { News } from '../src/search/news.ts'

const records = Array.from({ length: 5 }, (_, n) => listing(author(1), { key: `el.listing${n}`, title: `Thing ${n}` }))

function stored(n: number, sequence: number): StoredRecord {
  const record = records[n % records.length]!
  return { record, digest: recordDigest(record.id), sequence, trust: 'unknown' }
}

function removed(n: number, sequence: number): RemovedRecord {
  const { record, digest } = stored(n, sequence)
  return { record, digest, sequence, reason: 'superseded' }
}

/** What an index holds that has followed from a number on; undefined where it has to read the log. */
function followed(news: News, from: number): Set<string> | undefined {
  const held = new Set<string>()
  for (let at = from; ;) {
    const batch = news.batchAfter(at)
    if (batch === undefined) return undefined
    if (batch.upTo === at) return held
    for (const digest of batch.deletes) held.delete(String(digest))
    for (const { digest } of batch.puts) held.add(String(digest))
    at = batch.upTo
  }
}

describe('news', () => {
  test('come in pages, oldest first, and once', () => {
    const news = new News(10)
    news.stored(Array.from({ length: feedMax + 3 }, (_, n) => stored(n, 11 + n)))
    expect(news.batchAfter(10)).toMatchObject({ deletes: [], upTo: 10 + feedMax })
    expect(news.batchAfter(10 + feedMax)).toMatchObject({ upTo: 13 + feedMax })
    expect(news.batchAfter(13 + feedMax)).toEqual({ deletes: [], puts: [], upTo: 13 + feedMax })
  })

  test('are told again to whoever failed to take them', () => {
    const news = new News(0)
    news.stored([stored(0, 1)])
    expect(news.batchAfter(0)).toEqual(news.batchAfter(0))
  })

  test('are not all there for whoever is behind their first', () => {
    const news = new News(10)
    news.stored([stored(0, 11), stored(1, 12)])
    expect(news.batchAfter(9)).toBeUndefined()
    news.batchAfter(11)
    expect(news.batchAfter(10)).toBeUndefined()
  })

  test('are forgotten when they are too many, and start over from there', () => {
    const news = new News(0)
    news.stored(Array.from({ length: recentMax + 1 }, (_, n) => stored(n, 1 + n)))
    // What the same batch removed, in between.
    news.removed([removed(7, 3)])
    expect(news.batchAfter(0)).toBeUndefined()
    expect(news.batchAfter(recentMax)).toBeUndefined()
    news.stored([stored(2, recentMax + 2)])
    expect(news.batchAfter(recentMax + 1)).toMatchObject({ puts: [{ title: 'Thing 2' }], upTo: recentMax + 2 })
  })

  test('are forgotten when their records take too much memory', () => {
    const description = 'a'.repeat(8000)
    const large = listing(author(1), { key: 'el.large0001', title: 'Large', description, createdAtMs: nowMs })
    const count = Math.ceil(recentBytesMax / large.bytes.length) + 1
    const one = { record: large, digest: recordDigest(large.id), trust: 'unknown' } as const
    const news = new News(0)
    news.stored(Array.from({ length: count }, (_, n) => ({ ...one, sequence: n + 1 })))
    expect(count).toBeLessThan(recentMax)
    expect(news.batchAfter(0)).toBeUndefined()
  })

  test('leave an index with what is stored, whatever was stored and removed in one batch', () => {
    const changes = fc.array(fc.record({ n: fc.nat(4), batch: fc.nat(3) }), { maxLength: 40 })
    fc.assert(
      fc.property(changes, (list) => {
        const news = new News(0)
        const held = new Set<number>()
        const byBatch = Map.groupBy(list, ({ batch }) => batch)
        let sequence = 0
        for (const batch of byBatch.values()) {
          const [puts, deletes]: [StoredRecord[], RemovedRecord[]] = [[], []]
          for (const { n } of batch) {
            sequence++
            if (held.delete(n)) {
              deletes.push(removed(n, sequence))
            } else {
              held.add(n)
              puts.push(stored(n, sequence))
            }
          }
          news.stored(puts)
          news.removed(deletes)
        }
        expect(followed(news, 0)).toEqual(new Set([...held].map((n) => String(stored(n, 0).digest))))
      })
    )
  })
})
