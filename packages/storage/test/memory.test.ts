import { MemoryLevel } from 'memory-level'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import { Filter } from '../src/filter.ts'
import { createStorage, type Storage } from '../src/index.ts'
import { mapKey } from '../src/keys.ts'
import { createMemory } from '../src/memory.ts'
import { slotKey } from '../src/slot.ts'
import { openTables } from '../src/tables.ts'

describe('a filter', () => {
  test('holds every name that was added', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), fc.integer({ min: 1, max: 100 }), (names, namesMax) => {
        const filter = new Filter(namesMax)
        for (const name of names) filter.add(name)
        expect(names.filter((name) => !filter.mayHold(name))).toEqual([])
        expect(filter.added).toBe(names.length)
      })
    )
  })

  test.each([
    ['counted', (index: number) => `${index}`],
    [
      'of slots',
      (index: number) => mapKey(slotKey(listing(author(1), { key: `el.${String(index).padStart(8, '0')}` })))
    ],
    [
      'that differ in their last byte of 32',
      (index: number) => `${'\0'.repeat(30)}${String.fromCharCode(index >> 8, index & 255)}`
    ]
  ])('is seldom wrong about others when it is full: names %s', (_, nameOf) => {
    const filter = new Filter(1024)
    for (let index = 0; index < 1024; index++) filter.add(nameOf(index))
    const wrong = Array.from({ length: 1024 }, (_, index) => nameOf(1024 + index)).filter((name) =>
      filter.mayHold(name)
    )
    expect(wrong.length / 1024).toBeLessThan(0.05)
  })
})

/** Counts what is read by key, and lets a test hold up what is read in order, or have a write fail that is written. */
class WatchedLevel extends MemoryLevel {
  reads = 0
  scanning: Promise<void> = Promise.resolve()
  failsOnce = false

  async _getMany(...given: unknown[]): Promise<unknown[]> {
    this.reads++
    return driver._getMany.apply(this, given)
  }

  async _batch(...given: unknown[]): Promise<void> {
    await driver._batch.apply(this, given)
    if (this.failsOnce) {
      this.failsOnce = false
      throw new Error('the disk did not answer')
    }
  }

  _iterator(...given: unknown[]): unknown {
    const iterator = driver._iterator.apply(this, given) as { _nextv(...of: unknown[]): Promise<unknown> }
    const { scanning } = this
    const read = iterator._nextv.bind(iterator)
    iterator._nextv = async (...of) => {
      await scanning
      return read(...of)
    }
    return iterator
  }
}

interface Driver {
  _getMany(...given: unknown[]): Promise<unknown[]>
  _batch(...given: unknown[]): Promise<void>
  _iterator(...given: unknown[]): unknown
}
const driver = MemoryLevel.prototype as unknown as Driver

const open = (level: WatchedLevel): Promise<Storage> => createStorage({ level: level, now: () => nowMs, search: 'off' })
const item = (key: number, seq = 1) => listing(author(1), { key: `el.0000000${key}`, seq })

/** Resolves when a store on the same database knows that a slot is new. */
async function untilFilled(level: WatchedLevel): Promise<void> {
  const memory = createMemory(openTables(level))
  await vi.waitFor(() => expect(memory.mayHoldSlot('new')).toBe(false))
}

describe('a store', () => {
  test('reads nothing for a record in a new slot of an author whom it knows', async () => {
    const level = new WatchedLevel()
    await using storage = await open(level)
    await storage.records.put(item(1))
    await untilFilled(level)
    const { reads } = level
    await storage.records.put(item(2))
    expect(level.reads).toBe(reads)
    await storage.records.put(item(2, 2))
    expect(level.reads).toBeGreaterThan(reads)
  })

  test('knows again after a start what there was before, at once and when all has been read', async () => {
    const level = new WatchedLevel()
    const before = await open(level)
    await before.records.put([item(1, 2), item(2, 2)])
    await before.close()
    await using storage = await open(level)
    expect(await storage.records.put(item(1))).toEqual(['stale'])
    await untilFilled(level)
    expect(await storage.records.put(item(2))).toEqual(['stale'])
  })

  test('knows what was written while it read what there was', async () => {
    const level = new WatchedLevel()
    const { promise, resolve } = Promise.withResolvers<void>()
    await using storage = await open(level)
    level.scanning = promise
    const memory = createMemory(openTables(level))
    const name = mapKey(slotKey(item(1)))
    memory.writing({ slots: [name], stale: ['digest'], counts: new Map() })
    expect(memory.mayHoldSlot('new')).toBe(true)
    resolve()
    await vi.waitFor(() => expect(memory.mayHoldSlot('new')).toBe(false))
    expect([memory.mayHoldSlot(name), memory.mayBeStale('digest')]).toEqual([true, true])
    expect(storage.records.count()).toBe(0)
  })

  test('does not take a slot for new, or an author’s counts for what they were, after a write that failed and was written', async () => {
    const level = new WatchedLevel()
    await using storage = await open(level)
    await storage.records.put(item(1))
    await untilFilled(level)
    level.failsOnce = true
    await expect(storage.records.put(item(2, 2))).rejects.toThrow('the disk did not answer')
    expect(await storage.records.put(item(2))).toEqual(['stale'])
    const tables = openTables(level)
    await storage.records.put(item(3))
    const [counts] = await tables.counts.values().all()
    expect(counts?.at(-1)).toBe(3)
  })

  test('remembers many more slots than it made room for', async () => {
    const level = new MemoryLevel()
    const { slots, stale } = openTables(level)
    const names = Array.from({ length: 40_000 }, (_, index) => `slot ${index}`)
    const encoder = new TextEncoder()
    for (const name of names.slice(0, 20_000)) await slots.put(encoder.encode(name), new Uint8Array())
    const memory = createMemory({ slots, stale })
    await vi.waitFor(() => expect(memory.mayHoldSlot('new')).toBe(false), { timeout: 5000 })
    for (const name of names.slice(20_000)) {
      memory.writing({ slots: [name], stale: [], counts: new Map() })
      await slots.put(encoder.encode(name), new Uint8Array())
    }
    expect(names.filter((name) => !memory.mayHoldSlot(name))).toEqual([])
    const others = names.filter((_, index) => memory.mayHoldSlot(`other ${index}`))
    expect(others.length / names.length).toBeLessThan(0.05)
  })
})
