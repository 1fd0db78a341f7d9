import { randomBytes } from 'node:crypto'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recordDigest, recordIdOfDigest, type SoukRecord } from '@souk/records'
import { Level } from 'level'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test, vi } from 'vitest'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import { type CheckReport, createStorage, type Storage } from '../src/index.ts'
import { binarySublevel } from '../src/tables.ts'
import { temporaryDirectory } from './fixtures.ts'

const now = (): number => nowMs
const records = Array.from({ length: 60 }, (_, n) => listing(author(n)))

async function filled(directory: string): Promise<void> {
  await using storage = await createStorage({ directory, now, search: 'off' })
  for (const record of records) await storage.records.put(record)
}

/** Flips a bit of a stored value. @param at - Index from the begin, or from the end when negative. */
async function damage(level: MemoryLevel, { id }: SoukRecord<'listing'>, at: number): Promise<void> {
  const table = binarySublevel(level, 'records')
  const bytes = new Uint8Array((await table.get(recordDigest(id)))!)
  const index = at < 0 ? bytes.length + at : at
  bytes[index] = (bytes[index] ?? 0) ^ 1
  await table.put(recordDigest(id), bytes)
}

/** A file's bytes; undefined when Level has removed it since its name was read. */
async function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return undefined
  })
}

/** Flips a bit of these bytes in the files of a store, in place, once Level has moved them from its log into a table. */
async function flipInTable(level: string, bytes: Uint8Array): Promise<boolean> {
  const names = (await readdir(level)).filter((name) => /\.(ldb|log)$/.test(name))
  const files = await Promise.all(names.map((name) => readIfThere(join(level, name))))
  const having = names.filter((_, index) => files[index]?.includes(Buffer.from(bytes)))
  const [name, ...others] = having
  if (name === undefined || others.length > 0 || name.endsWith('.log')) return false
  await using file = await open(join(level, name), 'r+')
  await file.write(Uint8Array.of((bytes[0] ?? 0) ^ 1), 0, 1, files[names.indexOf(name)]?.indexOf(Buffer.from(bytes)))
  return true
}

function nextDamage(storage: Storage): Promise<CheckReport> {
  return new Promise((resolve) => storage.on('damaged', resolve))
}

describe('silent damage', () => {
  test('a byte flipped in the log is found at the next start, and what peers send heals it', async () => {
    await using directory = await temporaryDirectory()
    await filled(directory.path)
    const level = join(directory.path, 'level')
    const log = (await readdir(level)).find((name) => name.endsWith('.log')) ?? ''
    const bytes = await readFile(join(level, log))
    const middle = Math.floor(bytes.length / 2)
    bytes[middle] = (bytes[middle] ?? 0) ^ 0xff
    await writeFile(join(level, log), bytes)

    await using storage = await createStorage({ directory: directory.path, now, search: 'off' })
    const report = await storage.checked
    expect(report.damaged).toHaveLength(1)
    const [damaged] = report.damaged
    expect(damaged).toMatchObject({ market: 'main', channel: 'listings/el', written: 60 })
    expect(damaged?.found).toBe(storage.records.count())
    expect(storage.records.count()).toBeLessThan(60)

    const lost = await storage.sync.wanted(records.map(({ id }) => recordDigest(id)))
    expect(lost).toHaveLength(60 - storage.records.count())
    const ids = new Set(lost.map((digest) => recordIdOfDigest(digest)))
    const outcomes = await storage.records.put(records.filter(({ id }) => ids.has(id)))
    expect(new Set(outcomes)).toEqual(new Set(['stored']))
    expect(storage.records.count()).toBe(60)
    expect(await storage.check({ depth: 'signatures' })).toEqual({ records: 60, damaged: [] })
  })

  test.each([
    ['signature', 40],
    ['body', -80]
  ])(
    'a %s that changed while the store is open is refused on read, and what is damaged is taken out',
    async (_, at) => {
      const level = new MemoryLevel()
      await using storage = await createStorage({ level, now, search: 'off' })
      await storage.records.put(records)
      const victim = records[7]!
      await damage(level, victim, at)
      expect(await storage.check({ depth: 'ids' })).toMatchObject({ damaged: [] })

      const healing = nextDamage(storage)
      await expect(storage.records.get(victim.id)).rejects.toMatchObject({ code: 'damaged' })
      expect((await healing).damaged).toMatchObject([{ written: 60, found: 59 }])
      expect(await storage.records.get(victim.id)).toBeUndefined()
      expect(await storage.sync.wanted([recordDigest(victim.id)])).toHaveLength(1)
      expect(await storage.records.put(victim)).toEqual(['stored'])
      expect(await storage.records.get(victim.id, { verify: true })).toEqual(victim)
      expect(await storage.check({ depth: 'signatures' })).toEqual({ records: 60, damaged: [] })
    }
  )

  test('a peer that asks for what is damaged gets nothing, and sets off the mend', async () => {
    const level = new MemoryLevel()
    await using storage = await createStorage({ level, now, search: 'off' })
    await storage.records.put(records)
    await damage(level, records[7]!, -80)
    const healing = nextDamage(storage)
    expect(await storage.records.getBytes([records[7]!.id])).toEqual([undefined])
    expect((await healing).damaged).toHaveLength(1)
  })

  test('what nobody reads is looked at once a day', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const level = new MemoryLevel()
    await using storage = await createStorage({ level, now, search: 'off' })
    await storage.records.put(records)
    await damage(level, records[7]!, -80)
    const healing = nextDamage(storage)
    vi.advanceTimersByTime(24 * 3_600_000)
    vi.useRealTimers()
    expect((await healing).damaged).toMatchObject([{ written: 60, found: 59 }])
  })

  test('a file that changes below an open store: one’s own record comes back from the second copy', async () => {
    await using directory = await temporaryDirectory()
    await using storage = await createStorage({ directory: directory.path, now, search: 'off' })
    const own = records[7]!
    await storage.records.put(own, { own: true })
    const signature = own.bytes.subarray(-24, -8)
    // Level writes its log into a table when it has 4 MiB.
    const filler = storage.sublevel('filler', { values: 'bytes' })
    do await filler.put('more', new Uint8Array(randomBytes(2 ** 20)))
    while (!(await flipInTable(join(directory.path, 'level'), signature)))
    const healing = nextDamage(storage)
    await expect(storage.records.get(own.id)).rejects.toMatchObject({ code: 'damaged' })
    await healing
    expect(await storage.records.get(own.id, { verify: true })).toEqual(own)
  })

  test('a broken table of contents is repaired, and everything checked', async () => {
    await using directory = await temporaryDirectory()
    await filled(directory.path)
    const level = join(directory.path, 'level')
    const manifest = (await readdir(level)).find((name) => name.startsWith('MANIFEST')) ?? ''
    await writeFile(join(level, manifest), 'not a manifest')
    await expect(new Level(level).open()).rejects.toThrow('Database failed to open')
    await using storage = await createStorage({ directory: directory.path, now, search: 'off' })
    await storage.checked
    expect(storage.records.count()).toBe(60)
    expect(await storage.records.get(records[3]!.id)).toEqual(records[3])
  })
})
