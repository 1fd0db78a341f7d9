import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createStorage, type MirroredStore, type SearchEngine, type SearchQuery, type Storage } from '../src/index.ts'
import { createWorkerEngine } from '../src/search/engine.ts'
import { openSqliteIndex } from '../src/search/sqlite-index.ts'
import { author, listing, type ListingFacts, nowMs, tombstone } from '../src/compliance/samples.ts'
import { temporaryDirectory } from './fixtures.ts'

const facts: (ListingFacts & { key: string; title: string })[] = [
  {
    key: 'el.laptop01',
    title: 'Lenovo laptop',
    category: 'el',
    description: 'Fast machine with a new battery',
    price: { minor: '45000', currency: 'EUR' },
    itemCondition: 'Used',
    place: { country: 'DE', locality: 'Köln', geohash: 'u1hcy' }
  },
  {
    key: 'el.charger1',
    title: 'Charger',
    category: 'el',
    description: 'Fits any Lenovo laptop',
    price: { minor: '1500', currency: 'EUR' },
    itemCondition: 'New',
    place: { country: 'DE', locality: 'Berlin', geohash: 'u33db' }
  },
  { key: 'fr.lampe001', title: 'Große Straßenlampe', category: 'fr', description: 'Für den Garten', language: 'de' },
  { key: 'fr.tokyo001', title: '東京タワーの模型', category: 'fr', description: '手作り', language: 'ja' },
  { key: 'fr.thai0001', title: 'ขายโต๊ะไม้', category: 'fr', description: 'สภาพดี', language: 'th' },
  { key: 'fr.hindi001', title: 'लकड़ी की मेज', category: 'fr', description: 'नई', language: 'hi' },
  {
    key: 'x-rentals.flat0001',
    title: 'Flat in the old town',
    category: 'x-rentals',
    description: 'Two rooms',
    businessFunction: 'LeaseOut',
    price: { minor: '90000', currency: 'EUR' },
    place: { country: 'FJ', geohash: 'ruz0r' }
  }
]

let directory: Awaited<ReturnType<typeof temporaryDirectory>>
let storage: Storage

beforeEach(async () => {
  directory = await temporaryDirectory()
  storage = await createStorage({ directory: directory.path, now: () => nowMs })
})

afterEach(async () => {
  await storage.close()
  await directory[Symbol.asyncDispose]()
})

async function publish(): Promise<void> {
  await storage.records.put(facts.map((fact, n) => listing(author(1), { ...fact, createdAtMs: nowMs - n })))
  await storage.search.caughtUp(storage.records.lastSequence)
}

async function titles(query: SearchQuery): Promise<string[]> {
  return (await storage.search.query(query)).hits.map(({ title }) => title)
}

describe('search', () => {
  test.each<[string, SearchQuery, string[]]>([
    ['a word of the title before one of the text', { text: 'lenovo' }, ['Lenovo laptop', 'Charger']],
    ['all words', { text: 'laptop battery' }, ['Lenovo laptop']],
    ['the beginning of the last word', { text: 'lenovo lap' }, ['Lenovo laptop', 'Charger']],
    ['a word with a typo', { text: 'lenvoo battery' }, ['Lenovo laptop']],
    ['a last word with a typo', { text: 'chargre' }, ['Charger']],
    ['without accents and ß', { text: 'grosse strassenlampe' }, ['Große Straßenlampe']],
    ['two characters of Japanese', { text: '東京' }, ['東京タワーの模型']],
    ['one character of Japanese', { text: '京' }, ['東京タワーの模型']],
    ['a Thai word', { text: 'โต๊ะ' }, ['ขายโต๊ะไม้']],
    ['a Hindi word with its signs', { text: 'मेज' }, ['लकड़ी की मेज']],
    ['a place name', { text: 'koln' }, ['Lenovo laptop']],
    ['what has most of the words when nothing has all', { text: 'flat zzzzqqq' }, ['Flat in the old town']],
    ['nothing for punctuation', { text: '"*' }, []],
    ['a category', { category: 'x-rentals' }, ['Flat in the old town']],
    ['a price range', { currency: 'EUR', priceMin: 1500n, priceMax: 45_000n }, ['Lenovo laptop', 'Charger']],
    ['by price', { currency: 'EUR', sort: 'price-descending' }, ['Flat in the old town', 'Lenovo laptop', 'Charger']],
    ['a condition and a country', { condition: 'New', country: 'DE' }, ['Charger']],
    ['a business function', { businessFunction: 'LeaseOut' }, ['Flat in the old town']],
    ['near', { near: { lat: 50.94, lon: 6.96, km: 30 } }, ['Lenovo laptop']],
    [
      'near, by distance, with text',
      { text: 'lenovo', near: { lat: 52.52, lon: 13.4, km: 600 }, sort: 'distance' },
      ['Charger', 'Lenovo laptop']
    ],
    ['across the date line', { near: { lat: -18, lon: -179.5, km: 500 } }, ['Flat in the old town']],
    ['an author', { author: author(2).publicKey }, []],
    ['newest first, a page', { limit: 2, offset: 1, sort: 'newest' }, ['Charger', 'Große Straßenlampe']]
  ])('finds %s', async (_, query, expected) => {
    await publish()
    expect(await titles(query)).toEqual(expected)
  })

  test('follows changes, replacements and deletions', async () => {
    const first = listing(author(1), { title: 'Green bicycle', seq: 1 })
    const second = listing(author(1), { title: 'Red bicycle', seq: 2 })
    await storage.records.put(first)
    await storage.search.caughtUp(storage.records.lastSequence)
    expect(await titles({ text: 'bicycle' })).toEqual(['Green bicycle'])
    await storage.records.put(second)
    await storage.search.caughtUp(storage.records.lastSequence)
    expect(await titles({ text: 'bicycle' })).toEqual(['Red bicycle'])
    await storage.records.put(tombstone(author(1), second))
    await storage.search.caughtUp(storage.records.lastSequence)
    expect(await storage.search.query({ text: 'bicycle' })).toMatchObject({ hits: [], total: 0 })
  })

  test('an index that is missing, broken, of another store or ahead of this one is made anew', async () => {
    await publish()
    const path = join(directory.path, 'search.sqlite')
    await storage.close()
    await writeFile(path, 'no database at all')
    storage = await createStorage({ directory: directory.path, now: () => nowMs })
    await storage.search.caughtUp(storage.records.lastSequence)
    expect(await titles({ text: 'charger' })).toEqual(['Charger'])
    await storage.close()

    const lastSequence = storage.records.lastSequence
    const store = { epoch: storage.sync.epoch, lastSequence, trimmedTo: 0 }
    expect(sequenceOf(path, store)).toBe(lastSequence)
    expect(sequenceOf(path, { ...store, lastSequence: lastSequence - 1 })).toBe(0)
    const index = openSqliteIndex(path, store)
    index.apply({ deletes: [], puts: [], upTo: lastSequence })
    index.close()
    expect(sequenceOf(path, { ...store, trimmedTo: lastSequence + 1 })).toBe(0)
    expect(sequenceOf(path, { ...store, epoch: 'another' })).toBe(0)
  })

  test('an index that missed removals is made anew', async () => {
    const [path, level] = [join(directory.path, 'late.sqlite'), new MemoryLevel()]
    const init = { level, now: () => nowMs, limits: { removalsKept: 2 } }
    const revision = (seq: number) => listing(author(1), { seq, title: `Bicycle ${seq}` })
    {
      await using storage = await createStorage({ ...init, search: createWorkerEngine(path) })
      await storage.records.put(revision(1))
      await storage.search.caughtUp(storage.records.lastSequence)
    }
    {
      await using storage = await createStorage({ ...init, search: 'off' })
      for (const seq of [2, 3, 4, 5]) await storage.records.put(revision(seq))
      await storage.sweep()
      const log = await storage.records.changesSince(0)
      expect(log.map(({ type }) => type)).toEqual(['removed', 'removed', 'stored'])
    }
    await using storage = await createStorage({ ...init, search: createWorkerEngine(path) })
    await storage.search.caughtUp(storage.records.lastSequence)
    const { hits } = await storage.search.query({ text: 'bicycle' })
    expect(hits.map(({ title }) => title)).toEqual(['Bicycle 5'])
  })

  test('a thread that dies is started again and goes on where it was', async () => {
    const level = new MemoryLevel()
    const engine = createWorkerEngine(join(directory.path, 'mortal.sqlite'))
    const kill = async (): Promise<unknown> => engine.terminate()
    await using mortal = await createStorage({ level, now: () => nowMs, search: engine })
    const put = async (n: number): Promise<void> => {
      await mortal.records.put(listing(author(n), { title: `Bicycle ${n}` }))
      await mortal.search.caughtUp(mortal.records.lastSequence)
    }
    await put(1)
    await kill()
    expect((await mortal.search.query({ text: 'bicycle' })).total).toBe(1)
    await kill()
    await put(2)
    expect((await mortal.search.query({ text: 'bicycle' })).total).toBe(2)
    const asked = mortal.search.query({ text: 'bicycle' })
    await kill()
    expect((await asked).total).toBe(2)
  })

  test('an index that fails every time is made anew; whoever waits is told when that does not help', async () => {
    const level = new MemoryLevel()
    const opened: boolean[] = []
    const broken: SearchEngine = {
      open: async (_, { fresh }) => {
        opened.push(fresh)
        return 0
      },
      apply: () => Promise.reject(new Error('does not work')),
      query: () => Promise.reject(new Error('does not work')),
      close: async () => undefined
    }
    await using storage = await createStorage({ level, now: () => nowMs, search: broken })
    await storage.records.put(listing(author(1)))
    await expect(storage.search.caughtUp(storage.records.lastSequence)).rejects.toThrow('does not work')
    expect(opened).toEqual([false, false, false, false, true])
    await expect(storage.search.query({ text: 'thing' })).rejects.toThrow('does not work')
  })

  test('an index whose disk is full is left alone, and goes on when there is room', async () => {
    let opened = 0
    let tried = Promise.withResolvers<void>()
    let isFull = true
    const engine: SearchEngine = {
      open: async () => {
        opened++
        return 0
      },
      apply: async () => {
        tried.resolve()
        if (isFull) throw new Error('database or disk is full')
      },
      query: () => Promise.reject(new Error('not asked here')),
      close: async () => undefined
    }
    await using storage = await createStorage({ level: new MemoryLevel(), now: () => nowMs, search: engine })
    for (let n = 1; n <= 3; n++) {
      tried = Promise.withResolvers()
      await storage.records.put(listing(author(n)))
      await tried.promise
    }
    isFull = false
    await storage.records.put(listing(author(4)))
    await storage.search.caughtUp(storage.records.lastSequence)
    expect(opened).toBe(1)
  })

  test.each<[string, SearchQuery]>([
    ['a price without a currency', { priceMin: 1n }],
    ['an order by price without a currency', { sort: 'price-ascending' }],
    ['a distance from nowhere', { sort: 'distance' }],
    ['a place off the earth', { near: { lat: 91, lon: 0, km: 1 } }],
    ['no radius', { near: { lat: 0, lon: 0, km: NaN } }],
    ['too many hits', { limit: 1000 }],
    ['a negative page', { offset: -1 }]
  ])('refuses %s', async (_, query) => {
    await expect(storage.search.query(query)).rejects.toMatchObject({ code: 'bad-argument' })
  })

  test('an ended signal ends a wait', async () => {
    const waiting = storage.search.caughtUp(Number.MAX_SAFE_INTEGER, AbortSignal.abort(new Error('enough')))
    await expect(waiting).rejects.toThrow('enough')
  })

  test('what expires is not found, swept or not', async () => {
    let clockMs = nowMs
    await using storage = await createStorage({ level: new MemoryLevel(), now: () => clockMs })
    const record = listing(author(1), { title: 'Bicycle' })
    await storage.records.put(record)
    await storage.search.caughtUp(storage.records.lastSequence)
    clockMs = record.expiresAtMs
    expect((await storage.search.query({ text: 'bicycle' })).total).toBe(0)
  })
})

function sequenceOf(path: string, store: MirroredStore): number {
  const index = openSqliteIndex(path, store)
  const { sequence } = index
  index.close()
  return sequence
}
