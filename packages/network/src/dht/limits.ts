import type { Budget } from '../guard/bucket.ts'

/** The protocol of our DHT: its own, so that it never mixes with IPFS's. */
export const dhtProtocol = '/souk/kad/1.0.0'

/** What a node keeps of the DHT for others. */
export const replicaLimits = {
  /** Of one peer's values: 800 feedbacks of 1.2 kB, a busy seller's two years. PROTOCOL section 3 asks for a bound. */
  bytesPerPeerMax: 1_000_000,
  /** Of one /24 or /48: identities are free, addresses are not. */
  bytesPerBlockMax: 4_000_000,
  /** Of all values together; those of the block that has most give way. */
  bytesMax: 64_000_000
}

/** The bounds of one node's part of the DHT; see {@link replicaLimits} for the defaults. */
export type ReplicaLimits = Readonly<typeof replicaLimits>

/** Values lapse after 48 h (kad-dht, and its RFC): who wants one kept puts it again daily. */
export const valueLifeMs = 48 * 3_600_000

/** How often it is looked for what has lapsed; kad-dht itself deletes only what somebody asks for. */
export const lapseCheckMs = 3_600_000

/** How long the addresses of peers in the table stay in memory when nobody says that they have changed, and of how many. */
export const knownPeersMs = 30_000
export const knownPeersMax = 1024

/** A value that the peer whose it is puts again so soon is not written again: it lives no hour longer for it. */
export const rewriteAfterMs = 3_600_000

/** How many of those nearest to a key a walk asks before it is at its end: Kademlia's k, as kad-dht's table has it. */
export const nearestMax = 20

/**
 * Questions to one peer, a little below what its guard grants (`/souk/kad/1.0.0`: 25 a second, burst 60): those of letters to
 * two hundred people who are away are under way for nine seconds more.
 */
export const questionPace: Budget = { perSecond: 20, burst: 30 }

/** How many an answer may name: one who answers as kad-dht does names {@link nearestMax}. */
export const namedPerAnswerMax = 20

/** How many are asked at once at the end of a walk, as kad-dht does before. */
export const questionsAtOnceMax = 10

/** How many are asked at the end of a walk: all of the nearest, and as many who are gone, or were never there. */
export const walkOnMax = 40

/** How long the end of a walk may take that nobody has bounded: kad-dht refreshes its table by such ones. */
export const walkOnMs = 30_000

/** A stream on which nothing has been asked for so long is ended, as kad-dht has it. */
export const silentMs = 10_000

/** Answers that are written in one piece; an answer more than that waits until the other side reads. */
export const answersBytesMax = 64 * 1024

/** How long questions are answered in one round of the event loop: two thousand that come together would take 100 ms. */
export const answeringTurnMs = 4
