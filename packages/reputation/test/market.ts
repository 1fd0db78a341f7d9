import { createGraph, type CompletedOrder, type FeedbackEdge, type ReputationGraph } from '../src/index.ts'
import { createRandom } from '../src/random.ts'

export const nowMs = 1_790_000_000_000
const dayMs = 86_400_000

/** What a buyer thought of a purchase; 0 stars when they did not say. */
export interface Sale {
  stars: number
  valueUnits: number
  daysAgo: number
}

/** Edges under construction: orders number themselves. */
export class Market {
  readonly edges: FeedbackEdge[] = []
  readonly orders: CompletedOrder[] = []
  readonly random: () => number

  constructor(seed: number) {
    this.random = createRandom(seed)
  }

  /**
   * One settled escrow and the buyer's word on it, `stars: 0` for none. The seller praises the buyer in four cases of
   * five: without that no walk ever comes to somebody who only buys.
   */
  sale(buyer: string, seller: string, { stars, valueUnits, daysAgo }: Sale): void {
    const order = `o${this.orders.length}`
    const trade = { order, valueUnits, evidence: 'escrow' as const, atMs: nowMs - Math.floor(daysAgo * dayMs) }
    this.orders.push({ ...trade, buyer, seller })
    if (stars > 0) this.edges.push({ ...trade, rater: buyer, subject: seller, raterRole: 'buyer', stars: stars as 5 })
    if (this.random() < 0.8) this.edges.push({ ...trade, rater: seller, subject: buyer, raterRole: 'seller', stars: 5 })
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)] as T
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low)
  }

  graph(seed = 1): ReputationGraph {
    const graph = createGraph({ seed })
    for (const edge of this.edges) graph.add(edge)
    for (const order of this.orders) graph.addOrder(order)
    return graph
  }
}

/**
 * A market of honest people: each buys a few times from sellers of their neighbourhood, seven in ten leave feedback,
 * and one trade in thirty goes wrong. The reader is `reader`, who bought from five sellers.
 */
export function honestMarket(seed: number, { buyers = 400, sellers = 60 } = {}): Market {
  const market = new Market(seed)
  const shops = names('seller', sellers)
  const people = [...names('buyer', buyers), ...shops]
  for (const person of people) {
    for (let n = 0; n < 6; n++) honestSale(market, person, market.pick(shops.filter((shop) => shop !== person)))
  }
  for (const shop of shops.slice(0, 5)) market.sale('reader', shop, { stars: 5, valueUnits: 60, daysAgo: 20 })
  return market
}

export function honestSale(market: Market, buyer: string, seller: string): void {
  const stars =
    market.random() < 0.3 ? 0 : market.random() < 1 / 30 ? market.pick([1, 2, 3]) : market.pick([4, 5, 5, 5])
  market.sale(buyer, seller, { stars, valueUnits: market.between(5, 150), daysAgo: market.between(0, 300) })
}

export function names(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${kind}${n}`)
}

/** What a plain star average would say of somebody: the share of 4 and 5 stars. */
export function plainAverage(market: Market, subjects: readonly string[]): number {
  const about = market.edges.filter((edge) => subjects.includes(edge.subject) && edge.raterRole === 'buyer')
  return about.filter((edge) => edge.stars >= 4).length / about.length
}
