import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextRound } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StoreLevel } from '../src/store-level.ts'
import { binarySublevel, jsonSublevel, type Sublevel } from '../src/tables.ts'
import { temporaryDirectory } from './fixtures.ts'

const count = 5000
const keyOf = (n: number): string => String(n).padStart(6, '0')
const all = Array.from({ length: count }, (_, n) => n)

describe('a database that is opened again beneath those who use it', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let level: StoreLevel
  let numbers: Sublevel<number>

  beforeEach(async () => {
    directory = await temporaryDirectory()
    level = new StoreLevel(join(directory.path, 'level'))
    await level.open()
    numbers = jsonSublevel<number>(level, 'numbers')
    await numbers.batch(all.map((n) => ({ type: 'put', key: keyOf(n), value: n })))
  })

  afterEach(async () => {
    await level.close()
    await directory[Symbol.asyncDispose]()
  })

  test('reads and writes wait for it, whenever they were asked for', async () => {
    let isOver = false
    const reopenings = (async () => {
      for (let n = 0; n < 20; n++) {
        await level.reopen()
        await nextRound()
      }
      isOver = true
    })()
    let rounds = 0
    while (!isOver) {
      const n = rounds++ % count
      const [one, many, has, , fresh] = await Promise.all([
        numbers.get(keyOf(n)),
        numbers.getMany([keyOf(n), 'none']),
        numbers.has(keyOf(n)),
        numbers.put(`x${rounds}`, rounds),
        numbers.batch([{ type: 'put', key: `y${rounds}`, value: rounds }])
      ])
      expect([one, many, has, fresh]).toEqual([n, [n, undefined], true, undefined])
    }
    await reopenings
    expect(rounds).toBeGreaterThan(5)
    expect(await numbers.keys({ gte: 'x', lt: 'y' }).all()).toHaveLength(rounds)
    expect(await numbers.keys({ gte: 'y' }).all()).toHaveLength(rounds)
  })

  test.each([
    ['all', {}, all],
    ['backwards', { reverse: true }, all.toReversed()],
    ['from and to', { gte: keyOf(10), lt: keyOf(4990) }, all.slice(10, 4990)],
    [
      'backwards, after and up to',
      { gt: keyOf(10), lte: keyOf(4990), reverse: true },
      all.slice(11, 4991).toReversed()
    ],
    ['no more than', { limit: 3333 }, all.slice(0, 3333)]
  ])('an iterator over %s gives each entry once, in order', async (_, range, expected) => {
    const pages: [string, number][] = []
    await using iterator = numbers.iterator(range)
    for (let page = await iterator.nextv(700); page.length > 0; page = await iterator.nextv(700)) {
      pages.push(...page)
      await level.reopen()
    }
    expect(pages).toEqual(expected.map((n) => [keyOf(n), n]))

    const singles: number[] = []
    for await (const value of numbers.values(range)) {
      if (singles.push(value) % 1000 === 500) await level.reopen()
    }
    expect(singles).toEqual(expected)
    expect(await numbers.keys(range).all()).toEqual(expected.map((n) => keyOf(n)))
  })

  test('an iterator that was made meanwhile, and one that is just being read', async () => {
    const reading = numbers.iterator()
    const first = reading.nextv(count)
    const reopening = level.reopen()
    const made = binarySublevel(level, 'numbers').keys()
    const [page, keys] = await Promise.all([first, made.all(), reopening])
    expect(keys).toHaveLength(count)
    expect([...page, ...(await reading.all())]).toEqual(all.map((n) => [keyOf(n), n]))
    await reading.close()
  })

  test('iterators that are never read to their end, or closed twice, hold up nothing', async () => {
    const iterators = Array.from({ length: 10 }, () => numbers.iterator())
    await Promise.all(iterators.map((iterator) => iterator.nextv(3)))
    await Promise.all([level.reopen(), iterators[0]?.close(), iterators[1]?.close()])
    await iterators[1]?.close()
    expect(await iterators[2]?.next()).toEqual([keyOf(3), 3])
    await level.close()
    await expect(iterators[2]?.next()).rejects.toMatchObject({ code: 'LEVEL_ITERATOR_NOT_OPEN' })
  })

  test('when it does not open, calls fail with a code until it does', async () => {
    const path = join(directory.path, 'level')
    // CURRENT names the list of all other files.
    await level.close()
    await level.open({ createIfMissing: false })
    await numbers.open()

    await rename(join(path, 'CURRENT'), join(path, 'CURRENT.kept'))
    const [reopening, get] = await Promise.allSettled([level.reopen(), numbers.get(keyOf(1))])
    expect(reopening).toMatchObject({ status: 'rejected' })
    expect(get).toMatchObject({ status: 'rejected', reason: { code: 'open-failed' } })
    await expect(numbers.put('more', 1)).rejects.toMatchObject({ code: 'open-failed' })
    await expect(numbers.iterator().next()).rejects.toMatchObject({ code: 'open-failed' })
    await rename(join(path, 'CURRENT.kept'), join(path, 'CURRENT'))
    await level.reopen()
    expect(await numbers.get(keyOf(1))).toBe(1)
  })

  test('closing ends it: what was closed is not opened again', async () => {
    const reopening = level.reopen()
    const closing = level.close()
    await Promise.all([reopening, closing])
    expect(level.status).toBe('closed')
    await expect(level.reopen()).rejects.toMatchObject({ code: 'closed' })
    await expect(numbers.get(keyOf(1))).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' })
  })

  test('what would not live through it is refused', () => {
    expect(() => numbers.getSync(keyOf(1))).toThrow('getSync')
    expect(() => numbers.snapshot()).toThrow('snapshot')
    expect(() => level.batch()).toThrow('batch')
  })
})
