import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { RecordId } from '@souk/records'
import { expect, test } from 'vitest'
import { author, listing, nowMs } from '../src/compliance/samples.ts'
import { createStorage, type Storage } from '../src/index.ts'
import { batchRecords, crashOrder } from './crash.ts'
import { temporaryDirectory } from './fixtures.ts'

const rounds = Number(process.env['SOUK_CRASH_ROUNDS'] ?? 6)

interface Acknowledged {
  readonly records: RecordId[]
  readonly events: string[]
}

/** Lets a process of its own write until it has acknowledged some lines, and kills it while it goes on. */
async function writeAndKill(directory: string, round: number): Promise<Acknowledged> {
  const writer = join(import.meta.dirname, 'crash-writer.ts')
  const child = spawn(process.execPath, ['--conditions=@souk/source', writer, directory, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const exited = once(child, 'exit')
  const acknowledged: Acknowledged = { records: [], events: [] }
  let lines = 0
  for await (const line of createInterface(child.stdout)) {
    const [kind, ...names] = line.split(' ')
    if (kind === 'records') acknowledged.records.push(...(names as RecordId[]))
    else acknowledged.events.push(...names)
    // A different point of the work in every round; what comes after the signal was acknowledged before it, too.
    if (++lines === 20 + 7 * round) child.kill('SIGKILL')
  }
  expect((await exited)[1]).toBe('SIGKILL')
  return acknowledged
}

/** No batch of a round is there in part: neither records of one call, nor an event without its message. */
async function expectWhole(storage: Storage, round: number, acknowledged: Acknowledged): Promise<void> {
  const last = acknowledged.records.length / batchRecords
  for (let n = last; n < last + 2; n++) {
    const signer = author(round * 10_000 + n)
    const ids = Array.from({ length: batchRecords }, (_, at) => listing(signer, { key: `el.${round}xxxxxx${at}` }).id)
    const found = (await storage.records.getBytes(ids)).filter((bytes) => bytes !== undefined).length
    expect([0, batchRecords]).toContain(found)
  }
  const events = (await storage.orders.events(crashOrder)).map(({ id }) => id)
  expect(storage.outbox.list().map(({ id }) => id)).toEqual(events)
}

test(
  `${rounds} rounds of kill -9 under load: nothing acknowledged is lost, no batch is torn`,
  async () => {
    await using directory = await temporaryDirectory()
    const all: Acknowledged = { records: [], events: [] }
    for (let round = 0; round < rounds; round++) {
      const acknowledged = await writeAndKill(directory.path, round)
      all.records.push(...acknowledged.records)
      all.events.push(...acknowledged.events)
      await using storage = await createStorage({ directory: directory.path, now: () => nowMs, search: 'off' })
      const bytes = await storage.records.getBytes(all.records)
      expect(bytes.filter((one) => one === undefined)).toEqual([])
      const events = (await storage.orders.events(crashOrder)).map(({ id }) => id)
      expect(events).toEqual(expect.arrayContaining(all.events))
      await expectWhole(storage, round, acknowledged)
      expect((await storage.check({ depth: 'signatures' })).damaged).toEqual([])
      expect(storage.records.count() % batchRecords).toBe(0)
    }
    expect(all.records.length).toBeGreaterThan(rounds * batchRecords)
    expect(all.events.length).toBeGreaterThan(rounds)
  },
  rounds * 20_000
)
