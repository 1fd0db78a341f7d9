import { expect, test } from 'vitest'
import {
  type AnyEvent,
  checkRoom,
  conflictingAcceptances,
  createEvent,
  createRequest,
  fold,
  nextUnit,
  type OrderState,
  reservedUnits,
  sealEvent,
  TradingError
} from '../src/index.ts'
import { buyer, day, listingWith, seller, start, tell, termsOf } from './world.ts'

/** An order of its own: another salt, accepted from the given slot on. */
function accepted(salt: number, unit: number, quantity = 1): readonly AnyEvent[] {
  const terms = termsOf('direct', { salt: new Uint8Array(32).fill(salt), quantity })
  const request = createRequest({ terms, atMs: start }, buyer)
  const state = fold([request], [], start) as OrderState
  return [request, createEvent(state, { type: 'accept', atMs: start, payload: { unit } }, seller)]
}

const states = (...orders: (readonly AnyEvent[])[]): OrderState[] =>
  orders.map((events) => fold(events, [], start) as OrderState)

test('two acceptances of one slot prove that it was sold twice', () => {
  const rows: readonly [readonly AnyEvent[], readonly AnyEvent[], boolean][] = [
    [accepted(1, 0), accepted(2, 0), true],
    [accepted(1, 0), accepted(2, 1), false],
    [accepted(1, 0, 2), accepted(2, 1), true],
    [accepted(1, 1), accepted(2, 0, 2), true],
    [accepted(1, 0), accepted(1, 0), false],
    [accepted(1, 0), accepted(2, 0).slice(0, 1), false]
  ]
  for (const [a, b, proven] of rows) {
    expect(conflictingAcceptances(a, b)).toBe(proven)
    expect(conflictingAcceptances(b, a)).toBe(proven)
  }
})

test('accepted orders hold units, ended ones sell them, void ones give them back', () => {
  const done = tell('direct')
    .says('seller', 'accept')
    .says('buyer', 'paid')
    .says('seller', 'payment-received')
    .says('seller', 'ship')
    .after(15 * day)
  const off = tell('direct').says('seller', 'accept').says('buyer', 'cancel')
  const all = [...states(accepted(1, 0), accepted(2, 1, 2)), done.state(), off.state(), tell('direct').state()]
  expect([...reservedUnits(all)]).toEqual([['el.4f7c09a1', { reserved: 3, sold: 1 }]])
})

test('slots are burned once', () => {
  const all = states(accepted(1, 0), accepted(2, 1, 2))
  const takings = all.map(({ terms, units }) => ({ listing: terms.listing, units }))
  expect(nextUnit(takings, listingWith().id)).toBe(3)
  expect(nextUnit(takings, listingWith({ title: 'Another revision' }).id)).toBe(0)
})

test('nobody fills a disk: two differing events in one place are enough', () => {
  const state = tell('direct').state()
  const declines = ['a', 'b', 'c'].map((reason) => {
    return sealEvent(
      { order: state.order, type: 'decline', prev: state.heads, atMs: start, payload: { reason } },
      seller
    )
  })
  const [first, second, third] = declines as [AnyEvent, AnyEvent, AnyEvent]
  expect(() => checkRoom([first], second)).not.toThrow()
  expect(() => checkRoom([first, second], second)).not.toThrow()
  expect(() => checkRoom([first, second], third)).toThrow(TradingError)
})
