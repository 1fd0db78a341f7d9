import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recordDigest, recordIdOfDigest } from '@souk/records'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { author, hash, listing, nowMs } from '../src/compliance/samples.ts'
import { createStorage, type Storage } from '../src/index.ts'
import { temporaryDirectory } from './fixtures.ts'

const now = (): number => nowMs
const hex = (n: number): string => Array.from(hash(`${n}`), (byte) => byte.toString(16).padStart(2, '0')).join('')
/** Text that does not compress, so that a store has tables besides its log. */
const noise = (n: number): string => Array.from({ length: 60 }, (_, part) => hex(1000 * n + part)).join(' ')

const others = Array.from({ length: 400 }, (_, n) => listing(author(n), { description: noise(n) }))
const own = Array.from({ length: 5 }, (_, n) => listing(author(9999), { key: `el.0000000${n}` }))
const orders = Array.from({ length: 20 }, (_, n) => hex(n))
const event = (order: string, n: number) => ({ id: `e${n}`, bytes: hash(`${order} ${n}`) })

let filled: Awaited<ReturnType<typeof temporaryDirectory>>

beforeAll(async () => {
  filled = await temporaryDirectory()
  for (let round = 0; round < 4; round++) {
    await using storage = await open(filled.path)
    for (const order of orders) {
      await storage.orders.append({
        order,
        events: [event(order, round)],
        facts: [{ id: `f${round}`, fact: { block: round } }],
        outbox: [{ id: `${order}-${round}`, to: order, bytes: hash(order) }],
        acknowledged: round === 0 ? [] : [`${order}-${round - 1}`]
      })
    }
    await storage.records.put(own, { own: true })
    await storage.records.put(others.slice(round * 100, (round + 1) * 100))
  }
})

afterAll(async () => filled[Symbol.asyncDispose]())

function open(directory: string): Promise<Storage> {
  return createStorage({ directory, now, search: 'off' })
}

/** Everything that nobody else could give back. */
async function privateOf({ orders: store, outbox, records }: Storage) {
  const mine = await Promise.all(own.map(({ id }) => records.get(id)))
  return {
    orders: await Promise.all(
      orders.map(async (order) => [
        await store.events(order),
        await store.facts(order),
        (await store.get(order))?.events
      ])
    ),
    outbox: outbox
      .list()
      .map(({ id }) => id)
      .toSorted(),
    own: mine.map((record) => record?.id)
  }
}

const wholePrivate = {
  orders: orders.map((order) => [
    [0, 1, 2, 3].map((n) => event(order, n)),
    [0, 1, 2, 3].map((n) => ({ id: `f${n}`, fact: { block: n } })),
    4
  ]),
  outbox: orders.map((order) => `${order}-3`).toSorted(),
  own: own.map(({ id }) => id)
}

async function filesOf(level: string, is: (name: string) => boolean): Promise<string[]> {
  const names = await readdir(level)
  const found = names.filter(is).toSorted()
  expect(found.length).toBeGreaterThan(0)
  return found.map((name) => join(level, name))
}

/** Flips a byte every so many. */
async function flip(path: string, everyBytes = 20_011): Promise<void> {
  const bytes = await readFile(path)
  for (let at = Math.min(1000, bytes.length >> 1); at < bytes.length - 60; at += everyBytes)
    bytes[at] = (bytes[at] ?? 0) ^ 0x55
  await writeFile(path, bytes)
}

async function half(path: string): Promise<void> {
  await truncate(path, (await readFile(path)).length >> 1)
}

type Act = (path: string) => Promise<void>
const [list, table, log] = [/^MANIFEST/, /\.ldb$/, /\.log$/]
const damages: { name: string; files: RegExp; act: Act; repairs?: boolean }[] = [
  { name: 'the name of the list of files is gone', files: /^CURRENT$/, act: (path) => rm(path), repairs: true },
  {
    name: 'the name of the list of files is empty',
    files: /^CURRENT$/,
    act: (path) => truncate(path, 0),
    repairs: true
  },
  {
    name: 'the name of the list of files is another',
    files: /^CURRENT$/,
    act: (path) => writeFile(path, 'x\n'),
    repairs: true
  },
  { name: 'the list of files is gone', files: list, act: (path) => rm(path), repairs: true },
  { name: 'the list of files is cut', files: list, act: half, repairs: true },
  { name: 'the list of files has flipped bytes', files: list, act: (path) => flip(path, 50), repairs: true },
  { name: 'the tables are gone', files: table, act: (path) => rm(path), repairs: true },
  { name: 'the tables are empty', files: table, act: (path) => truncate(path, 0), repairs: true },
  { name: 'the tables are cut', files: table, act: half, repairs: true },
  { name: 'the tables have flipped bytes', files: table, act: (path) => flip(path), repairs: true },
  { name: 'the log has flipped bytes', files: log, act: (path) => flip(path) },
  { name: 'the log is cut', files: log, act: half },
  { name: 'the log is gone', files: log, act: (path) => rm(path) }
]

describe('a damaged file of the database', () => {
  test.each(damages)('$name: private state is whole, nothing wrong is served, peers bring the rest', async (damage) => {
    await using directory = await temporaryDirectory()
    await cp(filled.path, directory.path, { recursive: true })
    const level = join(directory.path, 'level')
    for (const path of await filesOf(level, (name) => damage.files.test(name))) await damage.act(path)

    await using storage = await open(directory.path)
    expect(storage.opened.repaired || damage.repairs !== true).toBe(true)
    expect(await privateOf(storage)).toEqual(wholePrivate)
    await storage.checked

    const served = await storage.records.getBytes(others.map(({ id }) => id))
    expect(served).toEqual(others.map(({ bytes }, index) => (served[index] === undefined ? undefined : bytes)))
    const lost = new Set(
      (await storage.sync.wanted(others.map(({ id }) => recordDigest(id)))).map((digest) => recordIdOfDigest(digest))
    )
    await storage.records.put(others.filter(({ id }) => lost.has(id)))
    expect(storage.records.count()).toBe(others.length + own.length)
    expect(await storage.check({ depth: 'signatures' })).toEqual({ records: others.length + own.length, damaged: [] })
    const listed = await storage.records.list({ kind: 'listing', limit: 1000 })
    expect(listed).toHaveLength(others.length + own.length)
    expect(await storage.records.list({ kind: 'listing', author: author(7).publicKey })).toEqual([others[7]])
    // It was all said and done once: the next start has nothing to tell.
    await storage.close()
    await using again = await open(directory.path)
    expect(again.opened).toEqual({
      repaired: false,
      restored: { rows: 0, copyDamaged: false, ownRecords: 0 }
    })
    expect(await privateOf(again)).toEqual(wholePrivate)
  })

  test('the whole database is gone: what is private comes back', async () => {
    await using directory = await temporaryDirectory()
    await cp(filled.path, directory.path, { recursive: true })
    await rm(join(directory.path, 'level'), { recursive: true })
    await using storage = await open(directory.path)
    expect(await privateOf(storage)).toEqual(wholePrivate)
    expect(storage.opened.restored).toMatchObject({ ownRecords: own.length, copyDamaged: false })
  })
})

describe('a damaged second copy', () => {
  const copyDamages: { name: string; act: Act }[] = [
    { name: 'is gone', act: (path) => rm(path) },
    { name: 'is empty', act: (path) => truncate(path, 0) },
    { name: 'is cut', act: half },
    { name: 'has flipped bytes', act: (path) => flip(path, 700) },
    { name: 'is something else', act: (path) => writeFile(path, 'SkJ1 something else') }
  ]

  test.each(copyDamages)('$name: the database stands, and the copy is made anew', async ({ act }) => {
    await using directory = await temporaryDirectory()
    await cp(filled.path, directory.path, { recursive: true })
    await act(join(directory.path, 'private.log'))
    // A message whose end stood in a batch that is damaged is sent once more: whoever gets it knows it.
    const atLeast = { ...wholePrivate, outbox: expect.arrayContaining(wholePrivate.outbox) as string[] }
    {
      await using storage = await open(directory.path)
      expect(await privateOf(storage)).toEqual(atLeast)
    }
    await rm(join(directory.path, 'level'), { recursive: true })
    await using storage = await open(directory.path)
    expect(await privateOf(storage)).toEqual({ ...atLeast, own: expect.anything() as string[] })
  })

  test('both lose something else: nothing is lost', async () => {
    await using directory = await temporaryDirectory()
    await cp(filled.path, directory.path, { recursive: true })
    for (const path of await filesOf(join(directory.path, 'level'), (name) => log.test(name))) await flip(path)
    const copy = join(directory.path, 'private.log')
    const bytes = await readFile(copy)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    await writeFile(copy, bytes)
    await using storage = await open(directory.path)
    expect(storage.opened.restored.copyDamaged).toBe(true)
    const { orders: found } = await privateOf(storage)
    expect(found.map(([events]) => events)).toEqual(wholePrivate.orders.map(([events]) => events))
  })
})

test('what was deleted stays deleted, and the copy stays small', async () => {
  await using directory = await temporaryDirectory()
  const order = orders[0] ?? ''
  const bytes = new Uint8Array(100_000)
  {
    await using storage = await open(directory.path)
    for (let n = 0; n < 60; n++) {
      await storage.outbox.add([{ id: `${n}`, to: order, bytes }])
      await storage.outbox.delivered([`${n}`])
    }
    await storage.sweep()
    expect((await readFile(join(directory.path, 'private.log'))).length).toBeLessThan(10_000)
    await storage.outbox.add([{ id: 'last', to: order, bytes }])
  }
  await using storage = await open(directory.path)
  expect(storage.outbox.list().map(({ id }) => id)).toEqual(['last'])
  expect(storage.opened.restored.rows).toBe(0)
})
