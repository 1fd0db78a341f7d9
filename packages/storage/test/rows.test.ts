import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { keyOf, type Part } from '../src/keys.ts'
import { Rows } from '../src/rows.ts'
import { type LevelDatabase, openTables, type StorageOp } from '../src/tables.ts'

const part: fc.Arbitrary<Part> = fc.oneof(
  fc.uint8Array({ maxLength: 90 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.nat(2 ** 31 - 1).map((value) => value * 2 ** 20)
)
const change = fc.record({
  type: fc.constantFrom('put', 'del'),
  table: fc.constantFrom('records', 'slots', 'sync', 'byAuthor'),
  // Few keys, so that changes meet.
  key: fc.array(fc.constantFrom<Part>('a', 'bé', 7, Uint8Array.of(0, 255)), { minLength: 1, maxLength: 2 }),
  value: fc.array(part, { maxLength: 4 })
})

describe('rows in one piece of memory', () => {
  test('leave a database as the same changes do one by one, however much memory was expected', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 40 }), fc.nat(200), async (changes, bytesExpected) => {
        const [level, other] = [new MemoryLevel() as LevelDatabase, new MemoryLevel() as LevelDatabase]
        const [tables, plain] = [openTables(level), openTables(other)]
        const rows = new Rows(bytesExpected)
        const ops: StorageOp[] = []
        for (const { type, table, key, value } of changes) {
          const sublevel = plain[table]
          if (type === 'put') {
            rows.put(tables[table], key, value)
            ops.push({ type, sublevel, key: keyOf(...key), value: keyOf(...value) })
          } else {
            rows.del(tables[table], key)
            ops.push({ type, sublevel, key: keyOf(...key) })
          }
        }
        expect(rows.isEmpty).toBe(changes.length === 0)
        await level.batch(rows.ops() as never)
        await other.batch(ops as never)
        expect(await everything(level)).toEqual(await everything(other))
      })
    )
  })

  test('are one piece: all keys and values share it', () => {
    const { records } = openTables(new MemoryLevel())
    const rows = new Rows(10)
    for (let number = 0; number < 100; number++) rows.put(records, [number], ['value', number])
    const memory = new Set(rows.ops().flatMap((op) => (op.type === 'put' ? [op.key.buffer, op.value.buffer] : [])))
    expect(memory.size).toBe(1)
  })
})

async function everything(level: LevelDatabase): Promise<unknown> {
  const rows = await level.iterator<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' }).all()
  return rows.map(([key, value]) => [Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex')])
}
