import { describe, expect, it } from 'vitest'
import { honestMarket, honestSale, Market, names, nowMs, plainAverage } from './market.ts'

const reader = { roots: ['reader'], nowMs }
const seeds = [1, 2, 3, 4, 5]

describe('a ring of 200 identities that cheats 30 buyers', () => {
  it.each(seeds)('stands at 0.95 by plain average and at most at 0.15 here, seed %s', (seed) => {
    const market = honestMarket(seed)
    const ring = addRing(market)
    expect(plainAverage(market, ring)).toBeGreaterThan(0.94)
    const graph = market.graph()
    expect(graph.score('ring0', reader).expected).toBeLessThanOrEqual(0.15)
    expect(graph.score('ring0', reader).lowerBound).toBeLessThanOrEqual(0.05)
  })

  it.each(seeds)('gains nothing at all as long as nobody honest praised it, seed %s', (seed) => {
    const market = honestMarket(seed)
    addRing(market, { cheats: 0 })
    expect(market.graph().score('ring0', reader)).toMatchObject({ expected: 0.5, confidence: 0, lowerBound: 0 })
  })

  it.each(seeds)('gains little by honest deals first with three people, seed %s', (seed) => {
    const market = honestMarket(seed)
    addRing(market)
    for (const n of [1, 2, 3]) market.sale(`buyer${n}`, 'ring1', { stars: 5, valueUnits: 60, daysAgo: 50 })
    expect(market.graph().score('ring0', reader).expected).toBeLessThanOrEqual(0.2)
  })

  it.each(seeds)('stays below every honest seller when it buys its way in with 20 small purchases, seed %s', (seed) => {
    const market = honestMarket(seed)
    const ring = addRing(market)
    for (let n = 1; n <= 20; n++) market.sale(ring[n]!, `seller${n}`, { stars: 5, valueUnits: 20, daysAgo: 10 })
    const graph = market.graph()
    const honest = names('seller', 60).map((seller) => graph.score(seller, reader).expected)
    expect(graph.score('ring0', reader).expected).toBeLessThanOrEqual(0.3)
    expect(graph.score('ring0', reader).expected).toBeLessThan(Math.min(...honest))
  })
})

describe('somebody who builds a name and then cheats', () => {
  it.each(seeds)('falls behind an honest newcomer, seed %s', (seed) => {
    const market = honestMarket(seed)
    for (const buyer of names('buyer', 60))
      market.sale(buyer, 'sleeper', { stars: 5, valueUnits: 15, daysAgo: market.between(40, 120) })
    const before = market.graph().score('sleeper', reader)
    for (const buyer of names('buyer', 90).slice(60))
      market.sale(buyer, 'sleeper', { stars: 1, valueUnits: 400, daysAgo: 2 })
    addNewcomer(market)
    const graph = market.graph()
    const [after, newcomer] = [graph.score('sleeper', reader), graph.score('newcomer', reader)]
    expect(before.expected).toBeGreaterThan(0.8)
    expect(after.expected).toBeLessThan(0.35)
    expect(after.lowerBound).toBeLessThan(newcomer.lowerBound)
  })
})

describe('honest people', () => {
  it.each(seeds)('a newcomer with 40 small sales stands at 0.7 or more, seed %s', (seed) => {
    const market = honestMarket(seed)
    addNewcomer(market)
    expect(market.graph().score('newcomer', reader).expected).toBeGreaterThanOrEqual(0.7)
  })

  it.each(seeds)('sellers stand above 0.6 on the average, seed %s', (seed) => {
    const graph = honestMarket(seed).graph()
    const expected = names('seller', 60).map((seller) => graph.score(seller, reader).expected)
    expect(expected.reduce((a, b) => a + b, 0) / expected.length).toBeGreaterThan(0.6)
  })

  it.each(seeds)('are seen by somebody without trades through the curators of the market, seed %s', (seed) => {
    const market = honestMarket(seed)
    addNewcomer(market)
    const curators = ['buyer10', 'buyer20', 'seller30']
    expect(market.graph().score('newcomer', { roots: curators, nowMs }).expected).toBeGreaterThanOrEqual(0.7)
  })

  it('are not sunk by a rival whose bought accounts the reader never reaches', () => {
    const market = honestMarket(1)
    const before = market.graph().score('seller7', reader)
    for (const attacker of names('attacker', 300))
      market.sale(attacker, 'seller7', { stars: 1, valueUnits: 100, daysAgo: 1 })
    for (const attacker of names('silent', 300))
      market.sale(attacker, 'seller7', { stars: 0, valueUnits: 100, daysAgo: 20 })
    expect(market.graph().score('seller7', reader)).toMatchObject({
      expected: before.expected,
      lowerBound: before.lowerBound
    })
  })
})

/** 200 identities praise each other in 3 dear trades each; one of them then cheats 30 honest buyers. */
function addRing(market: Market, { cheats = 30 } = {}): string[] {
  const ring = names('ring', 200)
  for (const [n, member] of ring.entries()) {
    for (let k = 1; k <= 3; k++)
      market.sale(ring[(n * 7 + k * 31) % 200]!, member === ring[(n * 7 + k * 31) % 200] ? 'ring0' : member, {
        stars: 5,
        valueUnits: 500,
        daysAgo: 30
      })
    if (n > 0) market.sale(member, 'ring0', { stars: 5, valueUnits: 500, daysAgo: 10 })
  }
  for (const buyer of names('buyer', cheats)) market.sale(buyer, 'ring0', { stars: 1, valueUnits: 80, daysAgo: 5 })
  return ring
}

/** Forty sales of 10 to 30 units in two months to forty different people, under the same habits as everybody's. */
function addNewcomer(market: Market): void {
  for (let n = 0; n < 40; n++) {
    const stars = market.random() < 0.3 ? 0 : market.pick([4, 5, 5, 5])
    market.sale(market.pick(names('buyer', 400)), 'newcomer', {
      stars,
      valueUnits: market.between(10, 30),
      daysAgo: market.between(0, 60)
    })
  }
  honestSale(market, 'newcomer', 'seller3')
}
