import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recordDigest, recordIdOfDigest } from '@souk/records'
import { Level } from 'level'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import { type CheckReport, createStorage } from '../src/index.ts'
import { binarySublevel } from '../src/tables.ts'
import { temporaryDirectory } from './fixtures.ts'

const now = (): number => nowMs
const records = Array.from({ length: 60 }, (_, n) => listing(author(n)))

async function filled(directory: string): Promise<void> {
  await using storage = await createStorage({ directory, now, search: 'off' })
  for (const record of records) await storage.records.put(record)
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
    expect(await storage.check({ deep: true })).toEqual({ records: 60, damaged: [] })
  })

  test('a signature that changed is found on every read, though an id says nothing of it, and by a deep check', async () => {
    const level = new MemoryLevel()
    await using storage = await createStorage({ level, now, search: 'off' })
    await storage.records.put(records)
    const victim = records[7]!
    const table = binarySublevel(level, 'records')
    const changed = new Uint8Array((await table.get(recordDigest(victim.id)))!)
    changed[40] = (changed[40] ?? 0) ^ 1
    await table.put(recordDigest(victim.id), changed)
    expect(await storage.records.getBytes([victim.id])).toEqual([undefined])
    await expect(storage.records.get(victim.id)).rejects.toMatchObject({ code: 'damaged' })
    expect((await storage.check({ deep: true })).damaged).toMatchObject([{ written: 60, found: 59 }])
    expect(await storage.records.put(victim)).toEqual(['stored'])
    expect(await storage.records.get(victim.id, { verify: true })).toEqual(victim)
  })

  test('a record whose bytes changed is refused on read, found by a deep check and healed', async () => {
    const level = new MemoryLevel()
    await using storage = await createStorage({ level, now, search: 'off' })
    await storage.records.put(records)
    const victim = records[7]!
    const table = binarySublevel(level, 'records')
    const stored = (await table.get(recordDigest(victim.id)))!
    const changed = new Uint8Array(stored)
    changed[changed.length - 80] = (changed[changed.length - 80] ?? 0) ^ 1
    await table.put(recordDigest(victim.id), changed)
    await expect(storage.records.get(victim.id)).rejects.toMatchObject({ code: 'damaged' })
    expect(await storage.check({ deep: false })).toMatchObject({ damaged: [] })

    const heard: CheckReport[] = []
    storage.on('damaged', (report) => heard.push(report))
    const report = await storage.check({ deep: true })
    expect(report.damaged).toMatchObject([{ written: 60, found: 59 }])
    expect(heard).toEqual([report])
    expect(await storage.records.put(victim)).toEqual(['stored'])
    expect(await storage.records.get(victim.id)).toEqual(victim)
    expect(await storage.check({ deep: true })).toMatchObject({ damaged: [] })
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
