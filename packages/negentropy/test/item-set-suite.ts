import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bound, type Item, type ItemSet, timestampMsMax } from '../src/index.ts'
import vectors from './vectors/protocol-v1.json' with { type: 'json' }
import { fromHex, itemOf, toHex } from './session.ts'
import { compare, modelOf } from './model.ts'

/** What every {@link ItemSet} must do. Runs the same checks against any way of making one. */
export function runItemSetTests(name: string, create: (items: Iterable<Item>) => ItemSet): void {
  describe(`${name} as an item set`, () => {
    it('is empty when nothing is given', () => {
      const set = create([])
      expect([set.size, set.rank({ timestampMs: 0, idPrefix: new Uint8Array(0) }), set.ids(0, 0).length]).toEqual([
        0, 0, 0
      ])
      expect(toHex(set.fingerprint(0, 0))).toBe(vectors.fingerprints[0]!.hex)
    })

    it.each(vectors.fingerprints)('has the fingerprint of the protocol: $name', ({ ids, hex }) => {
      const set = create(ids.map((id, timestampMs) => ({ timestampMs, id: fromHex(id) })))
      expect(toHex(set.fingerprint(0, ids.length))).toBe(hex)
    })

    it('counts an item once however often it is given', () => {
      expect(create([itemOf(1, 5), itemOf(1, 5), itemOf(2, 5)]).size).toBe(2)
    })

    it.each([-1, 0.5, NaN, Infinity, timestampMsMax + 1])('refuses the timestamp %s', (timestampMs) => {
      expect(() => create([{ timestampMs, id: new Uint8Array(32) }])).toThrow(
        expect.objectContaining({ code: 'bad-item' })
      )
    })

    it.each([0, 31, 33])('refuses an id of %s bytes', (length) => {
      expect(() => create([{ timestampMs: 0, id: new Uint8Array(length) }])).toThrow(
        expect.objectContaining({ code: 'bad-item' })
      )
    })

    it('gives ids that may be overwritten', () => {
      const set = create([itemOf(1, 5)])
      set.ids(0, 1).fill(0)
      expect(toHex(set.ids(0, 1))).toBe(toHex(itemOf(1, 5).id))
    })

    it('agrees with a sorted array on everything', () => {
      fc.assert(
        fc.property(
          fc.array(anyItem, { maxLength: 700 }),
          fc.array(anyBound, { maxLength: 20 }),
          fc.nat(),
          fc.nat(),
          (items, bounds, x, y) => {
            const set = create(items)
            const model = modelOf(items)
            const [begin, end] = [x % (model.items.length + 1), y % (model.items.length + 1)].toSorted(compare) as [
              number,
              number
            ]
            expect(set.size).toBe(model.items.length)
            expect(model.items.map((_, i) => set.timestampMs(i))).toEqual(model.items.map((item) => item.timestampMs))
            expect(bounds.map((bound) => set.rank(bound))).toEqual(bounds.map((bound) => model.rank(bound)))
            expect(toHex(set.ids(begin, end))).toBe(
              model.items
                .slice(begin, end)
                .map((item) => toHex(item.id))
                .join('')
            )
            const copied = new Uint8Array(32 * (end - begin))
            set.copyIds({ begin, end }, copied)
            expect(toHex(copied)).toBe(toHex(set.ids(begin, end)))
            expect(toHex(set.fingerprint(begin, end))).toBe(model.fingerprint(begin, end))
          }
        ),
        { numRuns: 60 }
      )
    })
  })
}

/** Few distinct timestamps and first bytes, so that equal ones and near ones are common. */
const anyTimestampMs = fc.oneof(
  fc.nat(3),
  fc.integer({ min: 2 ** 32 - 1, max: 2 ** 32 + 2 }),
  fc.integer({ min: 0, max: timestampMsMax })
)
const anyId = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.tuple(fc.nat(2), fc.nat(2), fc.nat(255)).map(([first, second, last]) => idOf(first, second, last)),
  fc.constant(new Uint8Array(32).fill(255))
)
export const anyItem: fc.Arbitrary<Item> = fc.record({ timestampMs: anyTimestampMs, id: anyId })
const anyBound: fc.Arbitrary<Bound> = fc.oneof(
  fc
    .tuple(anyItem, fc.nat(32))
    .map(([{ timestampMs, id }, length]) => ({ timestampMs, idPrefix: id.subarray(0, length) })),
  fc.constant({ timestampMs: Infinity, idPrefix: new Uint8Array(0) })
)

function idOf(first: number, second: number, last: number): Uint8Array {
  const id = new Uint8Array(32)
  id.set([first, second])
  id[31] = last
  return id
}
