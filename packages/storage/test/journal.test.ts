import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assert, asyncProperty, integer } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type JournalRow, openJournal, readJournal } from '../src/journal.ts'
import { mapKey } from '../src/keys.ts'
import { temporaryDirectory } from './fixtures.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const row = (key: string, value: string | null): JournalRow => ({
  key: bytes(key),
  value: value === null ? null : bytes(value)
})
const valueOf = (rows: ReadonlyMap<string, Uint8Array | null>, key: string): string | null | undefined => {
  const value = rows.get(mapKey(bytes(key)))
  return value === undefined || value === null ? value : new TextDecoder().decode(value)
}

/** Ten batches, each of which counts up one row and takes out another. */
async function written(path: string): Promise<number[]> {
  const journal = await openJournal(path, await readJournal(path))
  const ends: number[] = []
  for (let n = 1; n <= 10; n++) {
    await journal.append(n, [row('count', `${n}`), row(`row ${n}`, 'here'), row(`row ${n - 1}`, null)])
    ends.push(journal.bytes)
  }
  await journal.close()
  return ends
}

describe('a journal', () => {
  test('says the newest of each row, and what was taken out', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'private.log')
    await written(path)
    const { rows, last, damaged } = await readJournal(path)
    expect({ last, damaged }).toEqual({ last: 10, damaged: 0 })
    expect(valueOf(rows, 'count')).toBe('10')
    expect(valueOf(rows, 'row 10')).toBe('here')
    expect(valueOf(rows, 'row 3')).toBeNull()
  })

  test('torn anywhere by a crash, it has every batch that was whole, and goes on behind them', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'private.log')
    const ends = await written(path)
    const whole = await readFile(path)
    await assert(
      asyncProperty(integer({ min: 0, max: whole.length }), async (length) => {
        await writeFile(path, whole)
        await truncate(path, length)
        const kept = ends.filter((end) => end <= length).length
        const content = await readJournal(path)
        expect(content).toMatchObject({ last: kept, damaged: 0 })
        const journal = await openJournal(path, content)
        await journal.append(11, [row('count', 'eleven')])
        await journal.close()
        const again = await readJournal(path)
        expect(again).toMatchObject({ last: 11, damaged: 0 })
        expect(valueOf(again.rows, 'count')).toBe('eleven')
      }),
      { numRuns: 40 }
    )
  })

  test('a byte flipped anywhere costs the batch that it hit, and no other', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'private.log')
    const ends = await written(path)
    const whole = await readFile(path)
    await assert(
      asyncProperty(integer({ min: 0, max: whole.length - 1 }), async (at) => {
        const flipped = new Uint8Array(whole)
        flipped[at] = (flipped[at] ?? 0) ^ 0x10
        await writeFile(path, flipped)
        const hit = ends.findIndex((end) => at < end) + 1
        const { rows, last, damaged } = await readJournal(path)
        // The last one looks torn.
        expect({ last, damaged }).toEqual(hit === 10 ? { last: 9, damaged: 0 } : { last: 10, damaged: 1 })
        expect(valueOf(rows, `row ${hit}`)).toBe(hit === 10 ? undefined : null)
      }),
      { numRuns: 60 }
    )
  })

  test('written anew it says the same in less', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, 'private.log')
    await written(path)
    const before = await readJournal(path)
    const journal = await openJournal(path, before)
    await journal.rewrite(10, [row('count', '10'), row('row 10', 'here')])
    await journal.append(11, [row('count', '11')])
    await journal.close()
    const after = await readJournal(path)
    expect(after).toMatchObject({ last: 11, damaged: 0 })
    expect(after.bytes).toBeLessThan(before.bytes)
    expect(valueOf(after.rows, 'count')).toBe('11')
    expect(valueOf(after.rows, 'row 10')).toBe('here')
  })
})
