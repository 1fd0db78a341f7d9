import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextRound } from 'node:timers/promises'
import { promisify } from 'node:util'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import { createDisk, type DiskState } from '../src/disk.ts'
import { createStorage } from '../src/index.ts'
import { reserveBytes } from '../src/limits.ts'
import { jsonSublevel } from '../src/tables.ts'
import { temporaryDirectory } from './fixtures.ts'

/** A database on a disk that can be full: like Level, a failed write makes it refuse all until it is opened again. */
class FullLevel extends MemoryLevel {
  isFull = false
  reopened = 0
  /** The file whose space opening needs. */
  needs: string | undefined
  #isBroken = false

  // The underscored methods are what implementations provide; the types list only what callers use.

  async _batch(...given: unknown[]): Promise<void> {
    this.#write()
    // @ts-expect-error See above.
    return super._batch(...given)
  }

  async _put(...given: unknown[]): Promise<void> {
    this.#write()
    // @ts-expect-error See above.
    return super._put(...given)
  }

  async reopen(): Promise<void> {
    if (this.needs !== undefined && existsSync(this.needs)) throw new Error('IO error: No space left on device')
    this.#isBroken = false
    this.reopened++
  }

  #write(): void {
    if (this.isFull) this.#isBroken = true
    if (this.#isBroken) throw new Error('IO error: /data/000003.log: No space left on device')
  }
}

const execute = promisify(execFile)
const order = 'ef'.repeat(32)
const event = (id: string) => ({ order, events: [{ id, bytes: new TextEncoder().encode(id) }] })

/** Only root mounts. */
const canMount = process.platform === 'linux' && process.getuid?.() === 0 && (await mounts())

async function mounts(): Promise<boolean> {
  await using directory = await temporaryDirectory()
  try {
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory.path])
    await execute('umount', [directory.path])
    return true
  } catch {
    return false
  }
}

/** Reads over and over while something else goes on; fails with the first read that fails. */
function readOn(read: () => Promise<void>): AsyncDisposable & { end(): Promise<void> } {
  let isEnding = false
  const reading = (async () => {
    for (let count = 0; !isEnding || count === 0; count++) {
      await read()
      await nextRound()
    }
  })()
  const end = (): Promise<void> => {
    isEnding = true
    return reading
  }
  reading.catch(() => undefined)
  return { end, [Symbol.asyncDispose]: () => end().catch(() => undefined) }
}

/** Fills the disk under an open store, empties it again, and says which order events are there in the end. */
async function eventsAfterFilling(disk: string): Promise<string[]> {
  const init = { directory: join(disk, 'store'), now: () => nowMs, search: 'off' } as const
  const filler = join(disk, 'filler')
  const kept = listing(author(0))
  {
    await using storage = await createStorage(init)
    await storage.records.put(kept)
    await storage.orders.append(event('before'))
  }
  await using storage = await createStorage(init)
  await using reader = readOn(async () => expect(await storage.records.get(kept.id)).toEqual(kept))
  await writeFile(filler, randomBytes(44 << 20)).catch(() => undefined)
  await expect(storage.orders.append(event('full')).then(() => storage.state)).resolves.toBe('read-only')
  await expect(storage.records.put(listing(author(1)))).rejects.toMatchObject({ code: 'read-only' })
  expect(await storage.records.get(kept.id)).toEqual(kept)
  // The reserve's space is used up by others as well.
  await writeFile(`${filler}-2`, randomBytes(44 << 20)).catch(() => undefined)
  expect(await storage.records.get(kept.id)).toEqual(kept)
  expect(await storage.recover()).toBe(false)
  await rm(filler)
  await rm(`${filler}-2`)
  expect(await storage.recover()).toBe(true)
  expect(await storage.records.put(listing(author(1)))).toEqual(['stored'])
  await storage.orders.append(event('after'))
  await reader.end()
  await storage.close()
  await using again = await createStorage(init)
  expect(await again.checked).toEqual({ records: 2, damaged: [] })
  return (await again.orders.events(order)).map(({ id }) => id)
}

describe('a full disk', () => {
  test('stops what peers send, says so, and goes on when there is space', async () => {
    const level = new FullLevel()
    await using storage = await createStorage({ level: level, now: () => nowMs, search: 'off' })
    const states: DiskState[] = []
    storage.on('state', (state) => states.push(state))
    const [first, second] = [listing(author(1)), listing(author(2))]
    await storage.records.put(first)
    level.isFull = true
    await expect(storage.records.put(second)).rejects.toMatchObject({ code: 'read-only' })
    expect(storage.state).toBe('read-only')
    expect(await storage.records.get(first.id)).toEqual(first)
    expect(storage.records.count()).toBe(1)
    await expect(storage.records.put(second)).rejects.toMatchObject({ code: 'read-only' })
    await expect(storage.orders.append({ order })).rejects.toMatchObject({ code: 'read-only' })

    expect(await storage.recover()).toBe(false)

    level.isFull = false
    expect(await storage.recover()).toBe(true)
    await storage.orders.append({ order })
    expect(states).toEqual(['read-only', 'ok'])
    expect(await storage.records.put(second)).toEqual(['stored'])
    expect(await storage.orders.list()).toHaveLength(1)
    expect(storage.records.count()).toBe(2)
  })

  test.skipIf(!canMount)('on a real disk: what is ours is still written, nothing is lost', async () => {
    await using directory = await temporaryDirectory()
    const disk = join(directory.path, 'disk')
    await mkdir(disk)
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=52m', 'tmpfs', disk])
    try {
      expect(await eventsAfterFilling(disk)).toEqual(['before', 'full', 'after'])
    } finally {
      await execute('umount', [disk])
    }
  })

  test('the reserve is there from the start, given up, and taken again', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'reserve')
    const level = new FullLevel()
    await level.open()
    const sublevel = jsonSublevel<number>(level, 'x')
    const init = {
      level: level,
      reserve: { path, bytes: 4096 },
      recoverEveryMs: 60_000
    }
    await createDisk(init).close()
    const disk = createDisk(init)
    const op = { type: 'put', sublevel, key: 'a', value: 1 } as const
    const size = (): Promise<number | undefined> =>
      stat(path).then(
        (found) => found.size,
        () => undefined
      )
    await disk.commit([op])
    expect(await size()).toBe(4096)
    level.isFull = true
    await expect(disk.commit([op])).rejects.toMatchObject({ code: 'read-only' })
    expect(await size()).toBeUndefined()
    expect(await disk.recover()).toBe(false)
    level.isFull = false
    expect(await disk.recover()).toBe(true)
    expect(await size()).toBe(4096)
    await disk.close()
  })

  test('what is left is for opening: the reserve is not taken if the database does not open then', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'reserve')
    const level = new FullLevel()
    await level.open()
    const disk = createDisk({ level, reserve: { path, bytes: 4096 }, recoverEveryMs: 60_000 })
    const op = { type: 'put', sublevel: jsonSublevel<number>(level, 'x'), key: 'a', value: 1 } as const
    level.isFull = true
    await expect(disk.commit([op])).rejects.toMatchObject({ code: 'read-only' })
    expect(level.reopened).toBe(1)
    level.needs = path
    expect(await disk.recover()).toBe(false)
    expect(level.reopened).toBe(2)
    expect(existsSync(path)).toBe(false)
    level.needs = undefined
    level.isFull = false
    expect(await Promise.all([disk.recover(), disk.recover()])).toEqual([true, true])
    expect(level.reopened).toBe(3)
    await disk.close()
  })

  test('a store on disk has its reserve when it was closed', async () => {
    await using directory = await temporaryDirectory()
    const storage = await createStorage({ directory: directory.path, now: () => nowMs, search: 'off' })
    await storage.close()
    expect((await stat(join(directory.path, 'reserve'))).size).toBe(reserveBytes)
  })
})
