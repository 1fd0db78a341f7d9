import type { Budget } from './guard/bucket.ts'

/** Bounds of the host and the record gate. Guard, gossip, keeper and catch-up have their own beside their code. */

/**
 * A record that expired no longer ago than this is ignored, not held against its sender: clocks differ by up to five
 * minutes, and stores sweep their expired records every few minutes.
 */
export const expiredGraceMs = 15 * 60_000

/**
 * A record that gossip brings, and that we hold already, is passed on all the same while it is so young: catch-up may
 * have brought it a moment before, and a mesh in which it stopped there would not hear of it for an hour.
 */
export const freshMs = 10 * 60_000

/** Records read before others get a turn: 32 take about 2 ms, and make one message to the thread that verifies. */
export const verifiedAtOnceMax = 32

/** Peers remembered that have brought something good by gossip: more than a relay has connections. */
export const provenMax = 2048

/** Strangers' records that gossip may bring before more work is asked: what a market of a million listings a day sends. */
export const strangersPerSecondFree = 10

/** Over how long that is counted: an hour's worth at once is no flood, and one is forgotten within minutes. */
export const strangersWindowMs = 60_000

/** How full a room may be before more work is asked, and how much fuller it gets for each bit more. */
export const fullFrom = 0.7
export const fullStep = 0.05

/** The last bit that fullness asks: 64 times the work. Beyond it, the least worth has to go anyway. */
export const fullBitsMax = 6

/**
 * Own records that are gossiped: what a person publishes. A message costs each node on its way about 1.3 ms and is one
 * of the 50 a second that neighbours take from us; a bulk goes by one hint and catch-up, at a quarter of that.
 */
export const gossipedBudget: Budget = { perSecond: 20, burst: 32 }

/** Connections of a node. Each costs about 150 kB. */
export const connectionsMax = { node: 150, relay: 1200 } as const

/** How often each connection is pinged. One failed ping ends it, so not more often than a busy home line hiccups. */
export const pingIntervalMs = 30_000

/** What a ping may take before its connection counts as dead. */
export const pingTimeoutMs = 10_000

/** A peer's address is believed for two days and a peer remembered for seven: one lapsed address fails a look-up. */
export const peerStoreAges = { maxAddressAge: 48 * 3_600_000, maxPeerAge: 7 * 24 * 3_600_000 } as const

/** Peers of which it is remembered what they speak: more than a relay has connections. About 1 kB each. */
export const spokenPeersMax = 2048

/** Peers known to be stored without a look: identities cost nothing, and eight bytes each. Beyond it the database is asked. */
export const storedPeersMax = 200_000

/** What one stream may have in flight: with 1 MiB a link of 50 ms carries 20 MiB/s. */
export const streamWindowBytes = 1 << 20

/** Streams that one connection may have open at a time. */
export const streamsPerConnectionDefault = 128

/** What a relay does for peers that cannot be reached. */
export interface RelayLimits {
  /** Peers that may be reached through it at a time. */
  readonly reservationsMax: number
  /** How long a reservation lasts unless it is renewed. */
  readonly reservationMs: number
  /** How long one relayed connection lasts. */
  readonly connectionMs: number
  /** Bytes that one relayed connection carries, each way. */
  readonly connectionBytes: bigint
}

/** A relay's own service to peers behind NAT. Defaults of libp2p are 15, 2 minutes and 128 KiB. */
export const relayLimits: RelayLimits = {
  reservationsMax: 512,
  reservationMs: 3_600_000,
  connectionMs: 10 * 60_000,
  connectionBytes: 16n * 1024n * 1024n
}

/**
 * A clock that differs by more is wrong, and its owner told: records from five minutes ahead are refused, and nobody
 * wants to learn of it only then. Phones and computers that ask a time server differ by well under a second.
 */
export const clockOffMs = 2 * 60_000

/** A clock that went on so much other than the steady one has been set. */
export const clockJumpMs = 30_000

/** How often that is looked at. */
export const clockLookMs = 5_000

/** How often peers are asked again what time it is; a clock drifts by a second a day. */
export const clocksAskedEveryMs = 10 * 60_000

/** Peers whose observations of our outer address are compared: two that differ show a router that holes cannot be punched in. */
export const observersMax = 16

/** How often a connection that somebody asks for by hand is opened when it breaks off meanwhile. */
export const openingsMax = 4

/** About how long after it has broken off: the other side, or the relay, is just finding out that it was gone. */
export const reopenAfterMs = 1000

/** Who has not said who they are by then is asked; again after twice as long each time. libp2p waits five seconds itself. */
export const introducedAfterMs = 6_000
export const introducedMaxMs = 60_000

/** How long a peer has to introduce itself again. */
export const introductionMs = 10_000

/** A peer that has not said what time it is, as on a machine that is busy, is asked again after so long, so many times. */
export const clockAskedAgainMs = 3_000
export const clockAsksMax = 4

/** What an answer to a request for a place at a relay may take: a relay that has just been started answers within ten. */
export const placeTimeoutMs = 15_000

/** A relay that gave no place is asked again after so long, then after twice as long each time. */
export const placeAskedAgainMs = 2_000
export const placeAskedAgainMaxMs = 10 * 60_000
