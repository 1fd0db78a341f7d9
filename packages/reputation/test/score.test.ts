import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createGraph, ReputationError, type CompletedOrder, type FeedbackEdge, type Score } from '../src/index.ts'
import { dayOf, tradeWeight } from '../src/feedback.ts'
import { Ledger } from '../src/ledger.ts'
import { createRandom } from '../src/random.ts'
import { wilsonLowerBound } from '../src/score.ts'
import { trust } from '../src/trust.ts'
import { nowMs } from './market.ts'
import vectors from './vectors/scores.json' with { type: 'json' }

const dayMs = 86_400_000

describe('vectors', () => {
  it.each(vectors.random)('random, seed $seed', ({ seed, first }) => {
    const random = createRandom(seed)
    expect(first.map(() => random())).toEqual(first)
  })

  it.each(vectors.weights)(
    'weight of $valueUnits by $evidence after $days days',
    ({ valueUnits, evidence, days, weight }) => {
      const trade = { valueUnits, evidence: evidence as FeedbackEdge['evidence'], atMs: nowMs - days * dayMs }
      expect(tradeWeight(trade, dayOf(nowMs))).toBeCloseTo(weight, 9)
    }
  )

  it.each(vectors.trust)('trust: $name', (vector) => {
    const ledger = new Ledger()
    for (const edge of vector.edges) ledger.add(edge as FeedbackEdge)
    expect(trust(ledger.about('b').get('a')!, dayOf(vector.nowMs))).toBeCloseTo(vector.trust, 9)
  })

  it.each(vectors.scores)('score: $name', (vector) => {
    const score = ask(vector.edges as FeedbackEdge[], vector)
    for (const [key, value] of Object.entries(vector.score)) expect(score[key as 'expected']).toBeCloseTo(value, 9)
    expect('path' in vector ? score.explanation[0]!.path : undefined).toEqual(vector.path)
  })
})

describe('score', () => {
  it('explains itself as a person would', () => {
    const { explanation } = score([
      buy('me', 'ana', 'a1', 5),
      buy('me', 'ana', 'a2', 4),
      buy('ana', 'bo', 'b1', 5),
      buy('ana', 'bo', 'b2', 5),
      buy('ana', 'bo', 'b3', 5),
      buy('bo', 'cleo', 's1', 5)
    ])
    expect(explanation).toEqual([
      {
        path: ['me', 'ana', 'bo', 'cleo'],
        edges: [
          { from: 'me', to: 'ana', bought: 2, sold: 0, stars: 4.5 },
          { from: 'ana', to: 'bo', bought: 3, sold: 0, stars: 5 },
          { from: 'bo', to: 'cleo', bought: 1, sold: 0, stars: 5 }
        ],
        contribution: expect.closeTo(1, 6)
      }
    ])
  })

  it('names at most five raters, the weightiest first', () => {
    const raters = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const { explanation } = score([
      ...raters.map((rater, n) => buy('me', rater, `m${n}`, 5)),
      ...raters.map((rater, n) => ({ ...buy(rater, 'cleo', `c${n}`, n % 2 ? 1 : 5), valueUnits: 5 + 5 * n }))
    ])
    expect(explanation.map(({ path }) => path[1])).toEqual(['g', 'f', 'e', 'd', 'c'])
    expect(explanation.map(({ contribution }) => contribution > 0)).toEqual([true, false, true, false, true])
  })

  it('counts what there is, heard or not, and what is settled without feedback', () => {
    const edges = [
      buy('x', 'cleo', 'o1', 5),
      buy('x', 'cleo', 'o1', 1),
      { ...buy('y', 'cleo', 'o2', 4), evidence: 'pair' as const },
      { ...buy('cleo', 'x', 'o1', 5), raterRole: 'seller' as const }
    ]
    const orders = [order('o1', 'x', 'cleo'), order('o3', 'z', 'cleo'), order('o4', 'cleo', 'x')]
    const { counts, completeness } = ask(edges, { ...question, subject: 'cleo', orders })
    expect(counts).toEqual({ trades: 3, raters: 2, byEvidence: { escrow: 1, pair: 1, 'one-sided': 0 } })
    expect(completeness).toEqual({ settled: 2, withFeedback: 1 })
    expect(score([])).not.toHaveProperty('completeness')
  })

  it('is a different one for another reader, and the same for the same', () => {
    const edges = [
      buy('me', 'ana', 'a1', 5),
      buy('ana', 'cleo', 'c1', 5),
      buy('you', 'bo', 'b1', 5),
      buy('bo', 'cleo', 'c2', 1)
    ]
    const graph = graphOf(edges)
    expect(graph.score('cleo', { roots: ['me'], nowMs }).expected).toBeGreaterThan(0.6)
    expect(graph.score('cleo', { roots: ['you'], nowMs }).expected).toBeLessThan(0.3)
    expect(graphOf(edges).score('cleo', { roots: ['me'], nowMs })).toEqual(
      graph.score('cleo', { roots: ['me'], nowMs })
    )
  })

  it('follows every change, and keeps its answer from the caller', () => {
    const graph = graphOf([buy('me', 'cleo', 'o1', 5)])
    const ask = (): number => graph.score('cleo', { roots: ['me'], nowMs }).expected
    const [first, bad] = [ask(), buy('me', 'cleo', 'o2', 1)]
    graph.score('cleo', { roots: ['me'], nowMs }).expected = 0
    expect(ask()).toBe(first)
    expect([graph.add(bad), graph.add(bad), graph.size]).toEqual([true, false, 2])
    expect(ask()).toBeLessThan(first)
    expect([graph.remove(bad), graph.remove(bad), graph.size]).toEqual([true, false, 1])
    expect(ask()).toBe(first)
    const silent = order('o3', 'ana', 'cleo')
    graph.add(buy('me', 'ana', 'a1', 5))
    expect([graph.addOrder(silent), graph.addOrder(silent)]).toEqual([true, false])
    expect(ask()).toBeLessThan(first)
    expect([graph.removeOrder(silent), graph.removeOrder(silent)]).toEqual([true, false])
    expect(ask()).toBe(first)
  })

  it('does not hear more praise of somebody because a heard one spoke badly of them', () => {
    const friends = ['c1', 'c2', 'c3', 'c4', 'c5']
    const edges = [
      buy('me', 'ana', 'a1', 5),
      ...['o1', 'o2', 'o3'].map((id) => buy('ana', 'cleo', id, 5)),
      ...friends.map((id) => ({ ...buy('ana', id, `f${id}`, 5), raterRole: 'seller' as const, valueUnits: 1 })),
      ...friends.map((id) => buy(id, 'cleo', `p${id}`, 5))
    ]
    expect(score([...edges, buy('ana', 'cleo', 'o4', 1)]).expected).toBeLessThan(score(edges).expected)
  })

  it('ages by the day', () => {
    const graph = graphOf([buy('me', 'cleo', 'o1', 5)].map((edge) => ({ ...edge, valueUnits: 50 })))
    const at = (days: number): number => graph.score('cleo', { roots: ['me'], nowMs: nowMs + days * dayMs }).positive
    expect([at(0), at(180), at(360), at(0)]).toEqual([1, 0.5, 0.25, 1])
  })

  it('tells a market of 100 sellers apart in less than a second', () => {
    const edges = Array.from({ length: 3_000 }, (_, n) => buy(`b${n % 300}`, `s${(n * 7) % 100}`, `o${n}`, 5))
    const graph = graphOf([...edges, ...Array.from({ length: 10 }, (_, n) => buy('me', `b${n}`, `m${n}`, 5))])
    const expected = Array.from({ length: 100 }, (_, n) => graph.score(`s${n}`, { roots: ['me'], nowMs }).confidence)
    expect(expected.filter((confidence) => confidence > 0).length).toBeGreaterThan(5)
  })
})

describe('properties', () => {
  it('the order in which edges arrive does not matter', () => {
    fc.assert(
      fc.property(anyMarket, fc.infiniteStream(fc.nat()), ({ edges, orders }, keys) => {
        const shuffled = edges.map((edge) => ({ edge, key: keys.next().value })).toSorted((a, b) => a.key - b.key)
        expect(
          ask(
            shuffled.map(({ edge }) => edge),
            { ...question, orders: orders.toReversed() }
          )
        ).toEqual(ask(edges, { ...question, orders }))
      }),
      { numRuns: 100 }
    )
  })

  it('nor does it within the dealings of two people, to the last bit', () => {
    const edges = Array.from({ length: 9 }, (_, n) => ({
      ...buy('me', 'cleo', `o${n}`, 5),
      valueUnits: 3 + n ** 2 / 7
    }))
    const sums = edges.map((_, n) => score([...edges.slice(n), ...edges.slice(0, n)].map(cheap)).positive)
    expect(new Set(sums).size).toBe(1)
  })

  it('what was added and removed leaves no trace', () => {
    fc.assert(
      fc.property(anyMarket, anyMarket, ({ edges, orders }, passing) => {
        const graph = graphOf(edges, orders)
        const before = graph.score('p0', reader)
        const added = passing.edges.filter((edge) => graph.add(edge))
        graph.score('p0', reader)
        for (const edge of added) graph.remove(edge)
        expect(graph.score('p0', reader)).toEqual(before)
      }),
      { numRuns: 100 }
    )
  })

  it('a bad rating never raises a score, and a good one never lowers it', () => {
    fc.assert(
      fc.property(anyMarket, anyEdge, fc.constantFrom(1, 2, 4, 5), ({ edges, orders }, drawn, stars) => {
        const edge = {
          ...drawn,
          subject: 'p0',
          rater: drawn.rater === 'p0' ? 'p1' : drawn.rater,
          raterRole: 'buyer',
          stars,
          order: 'new'
        } as const
        const with_ = ask([...edges, edge], { ...question, orders })
        const without = ask(edges, { ...question, orders })
        const [low, high] = stars < 3 ? [with_, without] : [without, with_]
        expect(low.expected).toBeLessThanOrEqual(high.expected + 1e-12)
        expect(low.lowerBound).toBeLessThanOrEqual(high.lowerBound + 1e-12)
      }),
      { numRuns: 400 }
    )
  })

  it('speaking badly of an order is never kinder than silence about it', () => {
    fc.assert(
      fc.property(anyMarket, fc.constantFrom(1, 2), fc.nat(), ({ edges, orders }, stars, which) => {
        const quiet = orders.filter(
          ({ seller, order }) => seller === 'p0' && !edges.some((edge) => edge.order === order)
        )
        const chosen = quiet[which % Math.max(1, quiet.length)]
        fc.pre(chosen !== undefined)
        const { buyer, seller, ...trade } = chosen
        const edge: FeedbackEdge = {
          ...trade,
          rater: buyer,
          subject: seller,
          raterRole: 'buyer',
          stars
        }
        expect(ask([...edges, edge], { ...question, orders }).expected).toBeLessThanOrEqual(
          ask(edges, { ...question, orders }).expected + 1e-12
        )
      }),
      { numRuns: 300 }
    )
  })

  it('a second statement about one order never raises a score', () => {
    fc.assert(
      fc.property(anyMarket, fc.nat(), fc.constantFrom(1, 2, 3, 4, 5), ({ edges, orders }, which, stars) => {
        const about = edges.filter((edge) => edge.subject === 'p0' && edge.raterRole === 'buyer')
        const said = about[which % Math.max(1, about.length)]
        fc.pre(said !== undefined)
        const again = ask([...edges, { ...said, stars }], { ...question, orders })
        expect(again.expected).toBeLessThanOrEqual(ask(edges, { ...question, orders }).expected + 1e-12)
      }),
      { numRuns: 300 }
    )
  })

  it('people the reader does not reach change nothing, whatever they say', () => {
    fc.assert(
      fc.property(anyMarket, anyMarket, ({ edges, orders }, strangers) => {
        const ring = strangers.edges.map((edge) => ({
          ...edge,
          rater: `x${edge.rater}`,
          subject: edge.subject === 'p0' ? 'p0' : `x${edge.subject}`
        }))
        const { counts: _, completeness: __, ...with_ } = ask([...edges, ...ring], { ...question, orders })
        expect(ask(edges, { ...question, orders })).toMatchObject(with_)
      }),
      { numRuns: 100 }
    )
  })

  it('stays within its ranges, and nobody is more than one voice', () => {
    fc.assert(
      fc.property(anyMarket, ({ edges, orders }) => {
        const { expected, lowerBound, confidence, silent, explanation } = ask(edges, { ...question, orders })
        const voices = new Set([...edges.map((edge) => edge.rater), ...orders.map((order) => order.buyer)]).size
        expect(expected > 0 && expected < 1 && lowerBound >= 0 && lowerBound < 1).toBe(true)
        expect(lowerBound).toBeLessThanOrEqual(Math.max(expected, 0.5))
        expect(confidence + silent).toBeLessThanOrEqual(voices + 1e-12)
        for (const { path, edges: hops } of explanation) {
          expect([path[0], path.at(-1), hops.length]).toEqual(['p1', 'p0', path.length - 1])
          expect(new Set(path).size).toBe(path.length)
        }
      }),
      { numRuns: 200 }
    )
  })

  it('the lower bound falls with every doubt', () => {
    const weight = fc.double({ min: 0, max: 50, noNaN: true })
    fc.assert(
      fc.property(weight, weight, fc.double({ min: 0.01, max: 5, noNaN: true }), (positive, against, more) => {
        const bound = wilsonLowerBound(positive, positive + against)
        expect(wilsonLowerBound(positive, positive + against + more)).toBeLessThanOrEqual(bound + 1e-12)
        expect(wilsonLowerBound(positive + more, positive + more + against)).toBeGreaterThanOrEqual(bound - 1e-12)
      })
    )
  })
})

describe('refusals', () => {
  it.each([
    ['bad-edge', () => graphOf([buy('me', 'me', 'o', 5)])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), stars: 0 as 1 }])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), stars: 4.5 as 5 }])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), valueUnits: -1 }])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), valueUnits: Infinity }])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), valueUnits: NaN }])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), atMs: 0.5 }])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), evidence: 'toString' as 'pair' }])],
    ['bad-edge', () => graphOf([{ ...buy('me', 'bo', 'o', 5), raterRole: 'judge' as 'buyer' }])],
    ['bad-edge', () => graphOf([], [order('o', 'me', 'me')])],
    ['bad-edge', () => graphOf([], [{ ...order('o', 'me', 'bo'), valueUnits: NaN }])],
    ['bad-init', () => createGraph({ seed: -1 })],
    ['bad-init', () => createGraph({ seed: 2 ** 32 })],
    ['bad-init', () => createGraph({ seed: 1, walks: 0 })],
    ['bad-init', () => createGraph({ seed: 1, edgesMax: NaN })],
    ['bad-request', () => graphOf([]).score('bo', { roots: [], nowMs })],
    ['bad-request', () => graphOf([]).score('bo', { roots: Array.from({ length: 65 }, String), nowMs })],
    ['bad-request', () => graphOf([]).score('bo', { roots: ['me'], nowMs: NaN })],
    ['full', () => createGraph({ seed: 1, edgesMax: 1 })]
  ] as const)('%s: %s', (code, run) => {
    expect(
      codeOf(() => {
        const graph = run()
        if (graph && 'add' in graph) for (const id of ['o1', 'o2']) graph.add(buy('me', 'bo', id, 5))
      })
    ).toBe(code)
  })
})

const question = {
  subject: 'p0',
  roots: ['p1'],
  nowMs,
  seed: 3,
  walks: 500,
  as: 'seller',
  orders: [] as CompletedOrder[]
}
const reader = { roots: ['p1'], nowMs }

/** Eight people who trade so densely that most hear most. */
const anyPerson = fc.nat(7).map((n) => `p${n}`)
const anyTrade = fc.record({
  order: fc.nat(40).map((n) => `o${n}`),
  valueUnits: fc.constantFrom(0, 1, 20, 50, 200),
  evidence: fc.constantFrom('escrow', 'escrow', 'pair', 'one-sided' as const),
  atMs: fc.nat(400).map((days) => nowMs - days * dayMs)
})
const anyEdge: fc.Arbitrary<FeedbackEdge> = fc
  .record({
    trade: anyTrade,
    parties: fc.tuple(anyPerson, anyPerson).filter(([a, b]) => a !== b),
    raterRole: fc.constantFrom('buyer', 'buyer', 'buyer', 'seller' as const),
    stars: fc.constantFrom(1, 2, 3, 4, 5, 5, 5 as const)
  })
  .map(({ trade, parties: [rater, subject], raterRole, stars }) => ({ ...trade, rater, subject, raterRole, stars }))
const anyOrder: fc.Arbitrary<CompletedOrder> = fc
  .record({ trade: anyTrade, parties: fc.tuple(anyPerson, anyPerson).filter(([a, b]) => a !== b) })
  .map(({ trade, parties: [buyer, seller] }) => ({ ...trade, order: `s${trade.order}`, buyer, seller }))
const anyMarket = fc.record({
  edges: fc.array(anyEdge, { maxLength: 60 }),
  orders: fc.uniqueArray(anyOrder, {
    maxLength: 20,
    selector: ({ order, buyer, seller }) => `${order} ${buyer} ${seller}`
  })
})

interface Asked {
  subject: string
  roots: string[]
  nowMs: number
  seed: number
  walks: number
  as: string
  orders: unknown[]
}

function ask(edges: readonly FeedbackEdge[], { subject, roots, nowMs, seed, walks, as, orders }: Asked): Score {
  const graph = createGraph({ seed, walks })
  for (const edge of edges) graph.add(edge)
  for (const order of orders) graph.addOrder(order as CompletedOrder)
  return graph.score(subject, { roots, nowMs, as: as as 'seller' })
}

function score(edges: readonly FeedbackEdge[]): Score {
  return graphOf(edges).score('cleo', { roots: ['me'], nowMs })
}

function graphOf(
  edges: readonly FeedbackEdge[],
  orders: readonly CompletedOrder[] = []
): ReturnType<typeof createGraph> {
  const graph = createGraph({ seed: 1 })
  for (const edge of edges) graph.add(edge)
  for (const order of orders) graph.addOrder(order)
  return graph
}

function buy(rater: string, subject: string, order: string, stars: number): FeedbackEdge {
  return {
    rater,
    subject,
    order,
    raterRole: 'buyer',
    stars: stars as 5,
    valueUnits: 100,
    evidence: 'escrow',
    atMs: nowMs
  }
}

function cheap(edge: FeedbackEdge): FeedbackEdge {
  return { ...edge, evidence: 'pair' }
}

function order(order: string, buyer: string, seller: string): CompletedOrder {
  return { order, buyer, seller, valueUnits: 100, evidence: 'escrow', atMs: nowMs - 20 * dayMs }
}

function codeOf(run: () => void): string {
  try {
    run()
  } catch (error) {
    if (error instanceof ReputationError) return error.code
    throw error
  }
  return 'nothing thrown'
}
