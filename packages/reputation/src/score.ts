import { dayOf, tradeWeight, verdictOf, type Evidence, type FeedbackEdge, type Role, type Verdict } from './feedback.ts'
import { statements, type Ledger } from './ledger.ts'
import { badFactor, explanationsMax, silentAfterDays, silentFactor, voicePerShare, wilsonZ } from './limits.ts'
import type { Walks } from './walk.ts'

/** What a reader can know of a subject. */
export interface Score {
  /** Expected share of good trades, above 0 and below 1; 0.5 when the reader's people know nothing. To be shown. */
  expected: number
  /** How many full voices stand behind it: positive plus negative. 0 says "unknown to you", not "bad". */
  confidence: number
  /** A cautious estimate, from 0 to below 1. To sort by. */
  lowerBound: number
  positive: number
  negative: number
  silent: number
  /** The raters that moved the score most, at most five, most first. */
  explanation: Explanation[]
  counts: Counts
  /** Settled escrows of the subject that are known, and how many have feedback here; absent when there are none. */
  completeness?: { settled: number; withFeedback: number }
}

/** One rater's part, and how the reader comes to hear them. */
export interface Explanation {
  /** From a root over people who traded with each other to the rater, then the subject. */
  path: string[]
  /** What each on the path said about the next; one fewer than `path`. */
  edges: Hop[]
  /** What the rater added to `positive` less what they added to `negative`. */
  contribution: number
}

/** What one person said about the next on a path: "bought 3 times, rated 5 stars". */
export interface Hop {
  from: string
  to: string
  /** Orders rated as buyer. */
  bought: number
  /** Orders rated as seller. */
  sold: number
  /** Mean over these orders, 1 to 5. */
  stars: number
}

/** What is known of a subject in the role asked for, whoever said it and whether or not the reader hears them. */
export interface Counts {
  /** Distinct orders, rated or silent. */
  trades: number
  raters: number
  /** Rated orders by what proves them. */
  byEvidence: Record<Evidence, number>
}

/** What to weigh: who is asked about, in which role, and when. */
export interface Question {
  subject: string
  role: Role
  /** A UTC day. */
  today: number
}

/** The voice of everybody the walks came by, and the way to them. */
export interface Audience {
  walks: Walks
  /** The number of an id, or -1 for one no walk can have come by. */
  numberOf: (id: string) => number
  idOf: (number: number) => string
}

/** One rater's part in a score. */
interface Part {
  rater: string
  positive: number
  negative: number
  silent: number
}

/** Weighs everything known about a subject by who is heard. Pure: the same arguments give the same score. */
export function scoreOf(ledger: Ledger, question: Question, audience: Audience): Score {
  const raters = ledger.about(question.subject)
  const silentBy = silentOrders(ledger, question)
  const parts = [...new Set([...raters.keys(), ...silentBy.keys()])]
    .toSorted()
    .map((rater) =>
      partOf(rater, { ledger, question, silent: silentBy.get(rater) ?? 0, voice: voice(audience, rater) })
    )
    .filter((part) => part.positive + part.negative + part.silent > 0)
  const [positive, negative, silent] = [total(parts, 'positive'), total(parts, 'negative'), total(parts, 'silent')]
  const against = badFactor * negative + silentFactor * silent
  return {
    expected: (positive + 1) / (positive + against + 2),
    confidence: positive + negative,
    lowerBound: wilsonLowerBound(positive, positive + against),
    positive,
    negative,
    silent,
    explanation: explain(parts, { ledger, question, audience }),
    ...countsOf(ledger, question)
  }
}

/**
 * Lower end of the Wilson score interval at z = 1.28 for `positive` out of `weight`, which need not be whole.
 * Never rises with `weight` alone; 0 when nothing is positive.
 */
export function wilsonLowerBound(positive: number, weight: number): number {
  if (positive <= 0) return 0
  const z2 = wilsonZ * wilsonZ
  const spread = wilsonZ * Math.sqrt((positive * (weight - positive)) / weight + z2 / 4)
  return Math.max(0, (positive + z2 / 2 - spread) / (weight + z2))
}

/** How much a rater is heard, 0 to 1: 1 − e^(−300 h), h the share of walks that came by. */
function voice({ walks, numberOf }: Audience, rater: string): number {
  const share = (walks.visits.get(numberOf(rater)) ?? 0) / walks.count
  return 1 - Math.exp(-voicePerShare * share)
}

/** Nobody counts for more than one full voice; silence fills only what their words leave of it. */
function partOf(
  rater: string,
  { ledger, question, silent, voice }: { ledger: Ledger; question: Question; silent: number; voice: number }
): Part {
  const { good, bad } = said(ledger, rater, question)
  const spoken = good + bad
  const factor = voice * Math.min(1, 1 / spoken)
  return {
    rater,
    positive: spoken > 0 ? factor * good : 0,
    negative: spoken > 0 ? factor * bad : 0,
    silent: voice * (Math.min(1, spoken + silent) - Math.min(1, spoken))
  }
}

function said(ledger: Ledger, rater: string, { subject, role, today }: Question): Verdict {
  const dealings = ledger.about(subject).get(rater)
  let [good, bad] = [0, 0]
  for (const edge of dealings ? statements(dealings, otherRole(role)) : []) {
    const verdict = verdictOf(edge.stars, tradeWeight(edge, today))
    good += verdict.good
    bad += verdict.bad
  }
  return { good, bad }
}

/** Weight of the orders that the other side of each left without a word, by that side. */
function silentOrders(ledger: Ledger, { subject, role, today }: Question): Map<string, number> {
  const weights = new Map<string, number>()
  const orders = ledger.ordersAs(subject, role).toSorted((a, b) => (a.order < b.order ? -1 : 1))
  for (const order of orders) {
    if (today - dayOf(order.atMs) < silentAfterDays) continue
    const other = order[otherRole(role)]
    if (isRated(ledger, { rater: other, subject, order: order.order })) continue
    weights.set(other, (weights.get(other) ?? 0) + tradeWeight(order, today))
  }
  return weights
}

function isRated(
  ledger: Ledger,
  { rater, subject, order }: { rater: string; subject: string; order: string }
): boolean {
  return ledger.about(subject).get(rater)?.has(order) ?? false
}

function explain(
  parts: readonly Part[],
  { ledger, question, audience }: { ledger: Ledger; question: Question; audience: Audience }
): Explanation[] {
  return parts
    .filter((part) => part.positive + part.negative > 0)
    .toSorted((a, b) => b.positive + b.negative - a.positive - a.negative)
    .slice(0, explanationsMax)
    .map(({ rater, positive, negative }) => {
      const path = [...audience.walks.pathTo(audience.numberOf(rater)).map(audience.idOf), question.subject]
      return { path, edges: hopsAlong(ledger, path, question), contribution: positive - negative }
    })
}

function hopsAlong(ledger: Ledger, path: readonly string[], { role }: Question): Hop[] {
  return path.slice(1).map((to, i) => {
    const dealings = ledger.about(to).get(path[i] as string) ?? new Map()
    const last = i === path.length - 2
    return hop({ from: path[i] as string, to }, statements(dealings, last ? otherRole(role) : undefined))
  })
}

function hop(ends: { from: string; to: string }, edges: readonly FeedbackEdge[]): Hop {
  const bought = edges.filter((edge) => edge.raterRole === 'buyer').length
  const stars = edges.reduce((sum, edge) => sum + edge.stars, 0) / edges.length
  return { ...ends, bought, sold: edges.length - bought, stars }
}

function countsOf(ledger: Ledger, { subject, role }: Question): Pick<Score, 'counts' | 'completeness'> {
  const rated = [...ledger.about(subject)].flatMap(([, dealings]) => statements(dealings, otherRole(role)))
  const keys = new Map(rated.map((edge) => [tradeKey(edge.order, edge.rater), edge.evidence]))
  const orders = ledger.ordersAs(subject, role)
  const all = new Map([
    ...orders.map((order) => [tradeKey(order.order, order[otherRole(role)]), order.evidence] as const),
    ...keys
  ])
  const settled = [...all].filter(([, evidence]) => evidence === 'escrow')
  const byEvidence = { escrow: 0, pair: 0, 'one-sided': 0 }
  for (const edge of rated) byEvidence[edge.evidence]++
  const counts = { trades: all.size, raters: new Set(rated.map((edge) => edge.rater)).size, byEvidence }
  if (settled.length === 0) return { counts }
  const withFeedback = settled.filter(([key]) => keys.has(key)).length
  return { counts, completeness: { settled: settled.length, withFeedback } }
}

function tradeKey(order: string, other: string): string {
  return JSON.stringify([order, other])
}

function otherRole(role: Role): Role {
  return role === 'seller' ? 'buyer' : 'seller'
}

function total(parts: readonly Part[], key: 'positive' | 'negative' | 'silent'): number {
  return parts.reduce((sum, part) => sum + part[key], 0)
}
