import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { assert, integer, property } from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCrc32c } from '../src/crc32c.ts'
import { isWholeTable } from '../src/table-file.ts'
import { temporaryDirectory } from './fixtures.ts'

/** RFC 3720, appendix B.4. */
const vectors: { name: string; bytes: Uint8Array; crc: number }[] = [
  { name: '32 zeros', bytes: new Uint8Array(32), crc: 0x8a9136aa },
  { name: '32 bytes of ones', bytes: new Uint8Array(32).fill(0xff), crc: 0x62a8ab43 },
  { name: '0 to 31', bytes: Uint8Array.from({ length: 32 }, (_, n) => n), crc: 0x46dd794e },
  { name: '31 to 0', bytes: Uint8Array.from({ length: 32 }, (_, n) => 31 - n), crc: 0x113fdb5c },
  { name: 'nine digits', bytes: new TextEncoder().encode('123456789'), crc: 0xe3069283 }
]

test.each(vectors)('CRC-32C of $name', ({ bytes, crc }) => {
  expect(createCrc32c()(bytes)).toBe(crc)
})

describe('a table that Level wrote', () => {
  let folder: Awaited<ReturnType<typeof temporaryDirectory>>
  let table: Uint8Array

  beforeAll(async () => {
    folder = await temporaryDirectory()
    const level = new Level<string>(folder.path)
    // Some that compress and some that do not.
    for (let n = 0; n < 500; n++) await level.put(`key ${n}`, n % 2 === 0 ? 'x'.repeat(300) : Math.sin(n).toString(36))
    await level.close()
    // The log becomes a table when the database is opened again.
    const again = new Level<string>(folder.path)
    await again.open()
    await again.close()
    const name = (await readdir(folder.path)).find((file) => file.endsWith('.ldb')) ?? ''
    table = new Uint8Array(await readFile(join(folder.path, name)))
  })

  afterAll(async () => folder[Symbol.asyncDispose]())

  test('is whole', () => {
    expect(isWholeTable(table)).toBe(true)
  })

  test('is not when any bit is another, or any part of its end is gone', () => {
    // Between the handles of the last 48 bytes and the number that ends them are zeros that nobody reads.
    const read = table.length - 48
    assert(
      property(integer({ min: 0, max: read - 1 }), integer({ min: 0, max: 7 }), (at, bit) => {
        const flipped = table.slice()
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit)
        return !isWholeTable(flipped)
      })
    )
    assert(property(integer({ min: 0, max: table.length - 1 }), (length) => !isWholeTable(table.slice(0, length))))
  })

  test('is not what begins with something else', () => {
    expect(isWholeTable(new Uint8Array(0))).toBe(false)
    expect(isWholeTable(new Uint8Array(4096).fill(0xff))).toBe(false)
  })
})
