import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Key } from 'interface-datastore'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import { createStorage } from '../src/index.ts'
import { openSchema, schemaVersion } from '../src/schema.ts'
import { openTables } from '../src/tables.ts'
import { temporaryDirectory } from './fixtures.ts'

const now = (): number => nowMs

describe('opening', () => {
  test('a store that is open is locked, here and in other processes', async () => {
    await using directory = await temporaryDirectory()
    const init = { directory: directory.path, now, search: 'off' } as const
    {
      await using _ = await createStorage(init)
      await expect(createStorage(init)).rejects.toMatchObject({ code: 'locked' })
    }
    await using _ = await createStorage(init)
  })

  test('a directory that is none is said to be none', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'file')
    await writeFile(path, '')
    await expect(createStorage({ directory: path, now })).rejects.toMatchObject({ code: 'open-failed' })
    await expect(createStorage({ now })).rejects.toMatchObject({ code: 'bad-argument' })
  })

  test('an ended signal ends it, and leaves nothing locked', async () => {
    await using directory = await temporaryDirectory()
    const init = { directory: directory.path, now, search: 'off' } as const
    await expect(createStorage(init, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/)
    await using _ = await createStorage(init)
  })

  test('a closed store writes no more and says so', async () => {
    const storage = await createStorage({ level: new MemoryLevel(), now, search: 'off' })
    await storage.close()
    await storage.close()
    await expect(storage.records.put(listing(author(1)))).rejects.toMatchObject({ code: 'closed' })
  })

  test('a store of later software is refused', async () => {
    const level = new MemoryLevel()
    await openSchema(level, openTables(level), { version: schemaVersion + 1 })
    await expect(createStorage({ level, now, search: 'off' })).rejects.toMatchObject({ code: 'newer-schema' })
  })

  test('migrations run in order, each once, each in one batch with its version', async () => {
    const level = new MemoryLevel()
    const tables = openTables(level)
    const epoch = await openSchema(level, tables, { version: 1 })
    const ran: number[] = []
    const step = (to: number) => ({
      to,
      ops: async () => {
        ran.push(to)
        return [{ type: 'put', sublevel: tables.cursors, key: `at ${to}`, value: to } as const]
      }
    })
    const failing = { to: 3, ops: () => Promise.reject(new Error('power cut')) }
    await expect(openSchema(level, tables, { version: 3, steps: [step(2), failing] })).rejects.toThrow('power cut')
    expect(await tables.meta.get('schema')).toBe(2)
    expect(await openSchema(level, tables, { version: 3, steps: [step(2), step(3), step(4)] })).toBe(epoch)
    expect(ran).toEqual([2, 3])
    expect(await tables.cursors.get('at 3')).toBe(3)
  })
})

describe('parts for others', () => {
  test('sublevels of several packages change in one batch', async () => {
    await using storage = await createStorage({ level: new MemoryLevel(), now, search: 'off' })
    const facts = storage.sublevel<{ amount: string }>('facts', { values: 'json' })
    const blocks = storage.sublevel('blocks', { values: 'bytes' })
    await storage.batch(
      [
        { type: 'put', sublevel: facts, key: 'a', value: { amount: '1' } },
        { type: 'put', sublevel: blocks, key: 'b', value: Uint8Array.of(1) }
      ],
      { sync: true }
    )
    expect(await facts.get('a')).toEqual({ amount: '1' })
    expect(new Uint8Array((await blocks.get('b'))!)).toEqual(Uint8Array.of(1))
    expect(storage.sublevel('facts', { values: 'json' })).toBe(facts)
    expect(() => storage.sublevel('No!', { values: 'json' })).toThrow(expect.objectContaining({ code: 'bad-argument' }))
  })

  test('a datastore keeps what libp2p puts, apart from all others', async () => {
    await using directory = await temporaryDirectory()
    const init = { directory: directory.path, now, search: 'off' } as const
    {
      await using storage = await createStorage(init)
      const datastore = storage.datastore('libp2p')
      await datastore.put(new Key('/peers/a'), Uint8Array.of(1, 2))
      await datastore.put(new Key('/keys/b'), Uint8Array.of(3))
      await storage.datastore('helia').put(new Key('/peers/c'), Uint8Array.of(4))
    }
    await using storage = await createStorage(init)
    const datastore = storage.datastore('libp2p')
    const found: string[] = []
    for await (const { key } of datastore.query({ prefix: '/peers' })) found.push(key.toString())
    expect(found).toEqual(['/peers/a'])
    expect(new Uint8Array(await datastore.get(new Key('/peers/a')))).toEqual(Uint8Array.of(1, 2))
    await expect((async () => datastore.get(new Key('/peers/c')))()).rejects.toMatchObject({ name: 'NotFoundError' })
  })
})
