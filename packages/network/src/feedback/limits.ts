import { kindLimits } from '@souk/records'
import type { ExchangeLimits } from '../exchange.ts'
import type { Budget } from '../guard/bucket.ts'

/** Every bound of feedback's network side, with its reason. */

const minute = 60 * 1000
const hour = 60 * minute

/** One feedback as it travels. */
export const feedbackBytesMax: number = kindLimits.feedback.bytesMax

/** Peers that keep the set of one subject: with half of them gone or lying, several honest ones remain. */
export const keepersMax = 8

/** Peers near a subject that are tried until {@link keepersMax} answer; the DHT's k. */
export const candidatesMax = 20

/** A look-up that takes longer than this is cut off from its slowest peers. */
export const lookupTimeoutMs = 8 * 1000

/** How long the peers near a subject are remembered: they change with churn, not with every question. */
export const closestCacheMs = 2 * minute

/** Subjects whose nearest peers are remembered; 20 peer ids each, about 2 kB. */
export const closestCacheMax = 256

/** What one keeper holds. An operator may set each otherwise. */
export const shelfLimits = {
  /** Feedback of one author on one subject: fifty orders between the same two say no more than fewer do. */
  recordsPerAuthorMax: 50,
  /** Feedback on one subject: 2,000 sales at 1.2 kB are 2.4 MB. */
  recordsPerSubjectMax: 2000,
  /** Feedback in all: about 24 MB, at most 160 MB. */
  recordsMax: 20_000
}

/** Records whose bytes a shelf remembers, for those who bring them again; 300 bytes each. */
export const familiarMax = 4096

/**
 * How long records are checked in one round of the event loop, 1.5 ms each: what fifty bring together would keep everybody
 * else waiting for 75.
 */
export const checkTurnMs = 4

/** Digests in one answer to LIST: 16 kB, small enough for a relayed connection. */
export const idsPerPageMax = 512

/** Records asked for in one GET; an answer stops at {@link locatedSetLimits}`.answerBytesMax` anyway. */
export const idsPerGetMax = 64

/** DHT values that one `find` fetches when no keeper delivers them: what a liar can make a reader do. */
export const dhtFetchesPerFindMax = 32

/** Value look-ups in flight. */
export const dhtConcurrencyMax = 4

/** Values lapse after 48 h (kad-dht); twenty hours leave room for a missed day. */
export const republishAfterMs: number = 20 * hour

/** Records that nobody takes, one after the other: it is for want of somebody then, not for what is in them. */
export const missedMax = 5

/** How often it is looked for what is due. */
export const republishCheckMs = hour

/**
 * Turns of one node's own: a record that it puts, a subject that it compares, and each question that follows where two sets
 * differ. A turn asks one neighbour at most three questions of the DHT, two values and seven units of a located
 * set, so that together with what people look for it stays within what the guard grants a peer. A keeper's 20,000
 * records are put again in less than two hours.
 */
export const pace: Budget = { perSecond: 3, burst: 10 }

/** Subjects compared with their other keepers in one run: bounds the traffic of a keeper of many. */
export const subjectsPerRunMax = 500

/**
 * Records of one subject that its nearest keepers put again in one run, and that one keeper adds to another: within
 * what a guard grants a peer at once.
 */
export const recordsPerRunMax = 64

/** Of the keepers of a subject, as many put its DHT values again: one, and one more should it fail. */
export const republishersPerSubject = 2

/** Once half of the keepers have answered, the others get this much longer: a silent one must not cost its time-out. */
export const patienceMs = 3000

/**
 * Units that one keeper is asked for, a little below what its guard grants (`/souk/located-set/1`: 30 a second, burst 60). A
 * set of 2,000 takes 190: of one keeper, where there is no other, it comes in six seconds; of eight at once.
 */
export const questionPace: Budget = { perSecond: 25, burst: 40 }

/** `/souk/located-set/1`. */
export const locatedSetLimits: ExchangeLimits = {
  questionBytesMax: 16 * 1024,
  answerBytesMax: 64 * 1024,
  timeoutMs: 6 * 1000,
  streamsPerConnectionMax: 16,
  concurrencyMax: 64
}
