/**
 * What one person can know about another from signed feedback: a score that depends on who asks, comes with its
 * confidence, and says whose word it rests on. Pure: no clock, no network, no randomness but a seed.
 *
 * Short random walks start at the reader and follow good trades from person to person. Whoever they come by often is
 * heard; whoever they never reach, such as a ring of invented buyers, is not. Nobody is heard as more than one voice.
 *
 * ```ts
 * const graph = createGraph({ seed })
 * graph.add({ rater: me, subject: bo, order, raterRole: 'buyer', stars: 5, valueUnits: 40, evidence: 'escrow', atMs })
 * const { expected, confidence, explanation } = graph.score(cleo, { roots: [me], nowMs: Date.now() })
 * ```
 *
 * docs/protocol/reputation.md has the formula and the reasons.
 *
 * @module
 */
export { ReputationError, type ReputationErrorCode } from './error.ts'
export type { CompletedOrder, Evidence, FeedbackEdge, Role } from './feedback.ts'
export { createGraph, type GraphInit, type Reader, type ReputationGraph } from './graph.ts'
export { edgesMaxDefault, explanationsMax, rootsMax, walksDefault } from './limits.ts'
export type { Counts, Explanation, Hop, Score } from './score.ts'
