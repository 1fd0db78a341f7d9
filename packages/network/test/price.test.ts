import { kindLimits, type Priced, type RecordKind, workBitsAskedMax, workFloor } from '@souk/records'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPrice, type PriceInit } from '../src/price.ts'

const day = 86_400_000
const listing: Priced = { kind: 'listing', bytes: 1100, lifeMs: 30 * day }
const feedback: Priced = { kind: 'feedback', bytes: 1100, lifeMs: 700 * day }
const ana = new Uint8Array(32).fill(1)
const bo = new Uint8Array(32).fill(2)

describe('the price of a record', () => {
  it('is the floor for strangers at an idle node, for ratings too, and nothing for those who are trusted', () => {
    const { price } = setUp({ trusts: (author) => author === bo })
    expect(price.asks({ ...listing, author: ana })).toBe(12)
    expect(price.asks({ ...listing, bytes: 16_384, author: ana })).toBe(15)
    expect(price.asks({ ...listing, author: bo })).toBe(0)
    expect(price.asks({ ...feedback, author: ana })).toBe(12)
    expect(price.asks({ ...feedback, bytes: 8192, lifeMs: 730 * day, author: ana })).toBe(12)
    expect(price.asks({ ...feedback, author: bo })).toBe(0)
    expect(price.asksAnybody(feedback)).toBe(12)
  })

  it.each([
    [0.7, 12],
    [0.71, 13],
    [0.74, 13],
    [0.76, 14],
    [0.95, 17],
    [0.96, 18],
    [1, 18],
    [1.2, 18]
  ])('at %d full is %d bits', (shared, bits) => {
    expect(setUp({ fullness: () => ({ shared, receipts: 0 }) }).price.asksStrangers(listing)).toBe(bits)
  })

  it('of receipt-bound records follows their own room, and of others the room that all share', () => {
    const full = setUp({ fullness: () => ({ shared: 0, receipts: 1 }) }).price
    expect([full.asksStrangers(listing), full.asksStrangers(feedback)]).toEqual([12, 18])
    const crowded = setUp({ fullness: () => ({ shared: 1, receipts: 0.7 }) }).price
    expect([crowded.asksStrangers(listing), crowded.asksStrangers(feedback)]).toEqual([18, 12])
  })

  it('rises by one bit for each doubling of what comes, and falls again', () => {
    const { price, clock } = setUp()
    const bitsAt = (perSecond: number): number => {
      for (let second = 0; second < 300; second++) {
        clock.nowMs += 1000
        for (let n = 0; n < perSecond; n++) price.arrived({ kind: 'listing', author: ana })
      }
      return price.asksStrangers(listing)
    }
    expect([10, 25, 50, 100, 200].map(bitsAt)).toEqual([12, 13, 14, 15, 16])
    clock.nowMs += 5 * 60_000
    expect(price.asksStrangers(listing)).toBe(12)
  })

  it('does not rise by an hour of an ordinary market at once, by trusted authors, or by receipts', () => {
    const { price } = setUp({ trusts: (author) => author === bo })
    for (let n = 0; n < 1000; n++) price.arrived({ kind: 'listing', author: ana })
    for (let n = 0; n < 10_000; n++) price.arrived({ kind: 'listing', author: bo })
    for (let n = 0; n < 10_000; n++) price.arrived({ kind: 'feedback', author: ana })
    expect(price.asksStrangers(listing)).toBe(12)
  })

  it('of what takes the place of something held is that of an idle node', () => {
    const { price } = setUp({ fullness: () => ({ shared: 1, receipts: 1 }), extraBits: 2 })
    expect(price.asksStrangers(listing)).toBe(20)
    expect(price.asksSuccessors(listing)).toBe(14)
    expect([price.asksStrangers(feedback), price.asksSuccessors(feedback)]).toEqual([18, 12])
  })

  it('never passes 22 bits nor an operator’s own bound, and is never below the floor under it', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<RecordKind>('profile', 'listing', 'feedback'),
        fc.double({ min: 0, max: 2, noNaN: true }),
        fc.nat({ max: 100_000 }),
        fc.nat({ max: 22 }),
        (kind, full, arrivals, bitsMax) => {
          const { bytesMax: bytes, lifeMsMax: lifeMs } = kindLimits[kind]
          const { price } = setUp({ fullness: () => ({ shared: full, receipts: full }), bitsMax, extraBits: 1 })
          for (let n = 0; n < arrivals; n++) price.arrived({ kind: 'listing', author: ana })
          const bits = price.asksStrangers({ kind, bytes, lifeMs })
          expect(bits).toBeLessThanOrEqual(Math.min(bitsMax, workBitsAskedMax))
          expect(bits).toBeGreaterThanOrEqual(Math.min(bitsMax, workFloor({ kind, bytes, lifeMs })))
        }
      ),
      { numRuns: 50 }
    )
  })

  it('stays what it is when the clock is set back', () => {
    const { price, clock } = setUp()
    for (let n = 0; n < 1300; n++) price.arrived({ kind: 'listing', author: ana })
    clock.nowMs -= 3_600_000
    expect(price.asksStrangers(listing)).toBe(13)
  })
})

function setUp(init: Partial<PriceInit> = {}) {
  const clock = { nowMs: 1_800_000_000_000 }
  return { clock, price: createPrice({ ...init, now: () => clock.nowMs }) }
}
