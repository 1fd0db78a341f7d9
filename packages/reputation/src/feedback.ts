import { ReputationError } from './error.ts'
import { badFactor, evidenceWeights, halfLifeDays, tradeWeightMax, unitValueUnits } from './limits.ts'

export type Role = 'buyer' | 'seller'

/** What proves the trade: a settled escrow, both parties' signatures over the closing, or only the rater's word. */
export type Evidence = keyof typeof evidenceWeights

/** One feedback record whose signature and receipt were checked before. */
export interface FeedbackEdge {
  readonly rater: string
  readonly subject: string
  /** The order's id. One order has one value and one evidence. */
  readonly order: string
  /** What the rater was in this order. */
  readonly raterRole: Role
  readonly stars: 1 | 2 | 3 | 4 | 5
  /** Value of the order in whole units of the reference currency; may be a fraction. */
  readonly valueUnits: number
  readonly evidence: Evidence
  /** When the order closed: the chain's clock for an escrow, else the rater's. */
  readonly atMs: number
}

/** An order that closed well or badly, whether or not anybody spoke about it. */
export interface CompletedOrder {
  readonly order: string
  readonly buyer: string
  readonly seller: string
  readonly valueUnits: number
  readonly evidence: Evidence
  readonly atMs: number
}

/** Weight of what was said, split. */
export interface Verdict {
  readonly good: number
  readonly bad: number
}

const dayMs = 86_400_000

/** The UTC day of a time. Ages are counted in whole days, so that scores stay the same, and cached, for a day. */
export function dayOf(atMs: number): number {
  return Math.floor(atMs / dayMs)
}

/**
 * How much a trade weighs: w = min(1.5, log2(1 + v / 50)) · k · 2^(−days / 180). A time ahead of `today` counts as now.
 *
 * @param today - A UTC day, see {@link dayOf}.
 */
export function tradeWeight(
  { valueUnits, evidence, atMs }: Pick<FeedbackEdge, 'valueUnits' | 'evidence' | 'atMs'>,
  today: number
): number {
  const size = Math.min(tradeWeightMax, Math.log2(1 + valueUnits / unitValueUnits))
  return size * evidenceWeights[evidence] * 2 ** (-Math.max(0, today - dayOf(atMs)) / halfLifeDays)
}

/**
 * Splits stars into good and bad: 4 and 5 are good, 1 and 2 bad, 3 is half of each. Bad counts double in a score, so
 * three stars lower it: where five is what people give by habit, three says that something was wrong.
 */
export function verdictOf(stars: FeedbackEdge['stars'], weight: number): Verdict {
  if (stars === 3) return { good: weight / 2, bad: weight / 2 }
  return stars > 3 ? { good: weight, bad: 0 } : { good: 0, bad: weight }
}

/**
 * Of several statements of one rater about one order, the one that lowers the score the most. Whoever says two
 * things of one order is heard once, and never to the gain of the other.
 */
export function harshest(edges: readonly FeedbackEdge[]): FeedbackEdge {
  return edges.reduce((worst, edge) => (compareHarshness(edge, worst) < 0 ? edge : worst))
}

/** @throws {@link ReputationError} `bad-edge`. */
export function checkEdge(edge: FeedbackEdge): void {
  const { rater, subject, stars, raterRole } = edge
  if (rater === subject) throw new ReputationError('bad-edge', `${rater} rates itself`)
  if (![1, 2, 3, 4, 5].includes(stars)) throw new ReputationError('bad-edge', `${stars} stars; 1 to 5 are possible`)
  if (raterRole !== 'buyer' && raterRole !== 'seller')
    throw new ReputationError('bad-edge', `role ${raterRole as string}`)
  checkTrade(edge)
}

/** @throws {@link ReputationError} `bad-edge`. */
export function checkOrder(order: CompletedOrder): void {
  if (order.buyer === order.seller) throw new ReputationError('bad-edge', `${order.buyer} buys from itself`)
  checkTrade(order)
}

function checkTrade({ valueUnits, evidence, atMs }: Pick<FeedbackEdge, 'valueUnits' | 'evidence' | 'atMs'>): void {
  if (!Number.isFinite(valueUnits) || valueUnits < 0) {
    throw new ReputationError('bad-edge', `a value of ${valueUnits}; it is a number of units, 0 or more`)
  }
  if (!Object.hasOwn(evidenceWeights, evidence)) throw new ReputationError('bad-edge', `evidence ${evidence as string}`)
  if (!Number.isSafeInteger(atMs) || atMs < 0) throw new ReputationError('bad-edge', `a time of ${atMs} ms`)
}

/** Smaller is harsher. What comes after the effect only makes the order total, so that arrival does not matter. */
function compareHarshness(a: FeedbackEdge, b: FeedbackEdge): number {
  return effect(a) - effect(b) || a.stars - b.stars || (fixedForm(a) < fixedForm(b) ? -1 : 1)
}

function fixedForm({ atMs, valueUnits, evidence, raterRole }: FeedbackEdge): string {
  return JSON.stringify([atMs, valueUnits, evidence, raterRole])
}

/** What a statement does to a score, up to a factor that all share on a given day. */
function effect(edge: FeedbackEdge): number {
  const { good, bad } = verdictOf(edge.stars, tradeWeight(edge, 0) * 2 ** (dayOf(edge.atMs) / halfLifeDays))
  return good - badFactor * bad
}
