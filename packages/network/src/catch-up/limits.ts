import type { Budget } from '../guard/bucket.ts'

/** The protocol of catch-up; docs/protocol/catch-up.md. */
export const syncProtocol = '/souk/sync/1'

/** One frame, either way. */
export const frameBytesMax = 1 << 20

/** What a frame has besides a reconciliation message: op, names, day. */
export const frameHeaderBytesMax = 1024

/** Records in one answer: what one read brings, and what verification does in about 20 ms. */
export const answerBytesMax = 256 * 1024

/** Ids in one request for records. */
export const wantedPerRequestMax = 256

/** Rows of the change log behind one answer to news; where their records do not fit, a quarter of them. */
export const newsRowsMax = 256
export const newsRowsMin = 16
export const newsBytesMax = 512 * 1024

/** Pages of news followed before the sets are compared instead. */
export const newsPagesMax = 80

/**
 * Records stored since we last asked a peer, from elsewhere: up to so many, news are asked for as records and not as ids,
 * for no more than these can come twice.
 */
export const newsTwiceMax = 64

/** Requests for records under way at once: hides a round trip without piling up more than a MiB unread. */
export const requestsAhead = 4

/** Partitions whose tails are asked for at once: answers of a quarter MiB each. */
export const tailsAhead = 4

/** Answers in verification or on their way to the disk while the next ones come in. */
export const writesAhead = 2

/** Channels in one request. */
export const channelsMax = 128

/** Partitions in one answer: 100 channels over 730 days would not fit a frame; this does. */
export const partitionsMax = 30_000

/** Partitions that one session reconciles at once. */
export const reconcilersMax = 64

/**
 * Ranges in one reconciliation message, either way. Each costs the reader and the answerer about 5 µs: the worst message
 * holds a node up for 20 ms instead of 190, and 10,000 scattered differences in 100,000 still take 30 rounds of the 64
 * (docs/decisions/0175).
 */
export const rangesPerMessageMax = 2048

/**
 * Ranges that a client may send for each fingerprint that we sent last, and to begin with. One is cut into 16 at most, with
 * a skip before and after: who sends more has made it up, and is told so before anything is compared.
 */
export const rangesPerRangeMax = 18

/** Expected bytes of answers to reconciliations under way at once; the stream's buffer takes 4 MiB. */
export const reconcileBytesAhead = 2 << 20

/** Sessions that a node serves at once, and one peer's share of them: each holds reconcilers and a buffer. */
export const catchUpsMax = { node: 4, relay: 32 } as const
export const sessionsPerPeerMax = 1

/** A session may keep its place this long when others wait: what it brought stays, and it goes on when it is free. */
export const turnMs = 10_000

/**
 * Milliseconds of comparing sets that a node does for all peers together, bombs included: a tenth of a core. What one
 * peer may take of it is the guard's row `sync-work`.
 */
export const workBudget: Budget = { perSecond: 100, burst: 300 }

/**
 * How long is compared in one round of the event loop, before everybody else has theirs. Half of what gossip has: a round
 * has a turn of each, and newcomers besides.
 */
export const workTurnMs = 2

/**
 * Answers kept in memory until the store changes: a quarter of a second's sending. Fifty who come back from one partition
 * ask the same, and whoever asks for the same records without end costs no more than sending them.
 */
export const answersBytesMax = 4 * 2 ** 20

/** Markets, or lists of channels, that one session may ask about: a client has one of each market that it carries. */
export const scopesPerSessionMax = 64

/** Records read from the store at a time: an answer of large ones is full after one such read, not after sixteen. */
export const recordsPerRead = 32

/** Ids that one session may make us look up. A market of 200,000 live listings in one go. */
export const idsPerSessionMax = 200_000

/** Pages of a change log followed before the sets are compared instead. */
export const changePagesMax = 20

/** How long either side waits for the other's next frame. */
export const frameTimeoutMs = 15_000

/** How long the other side has to end a stream that we have ended. */
export const endGraceMs = 2000

/** How long a session may take in all. What it brought stays; the next one goes on from there. */
export const sessionMsMax = 3 * 60_000

/**
 * A session that brings less than this, while others wait, holds nobody up: the next one begins beside it. What both bring
 * meanwhile comes twice, so a slow line at home, 128 kbit/s, still takes one after the other.
 */
export const slowBytesPerSecond = 16 * 1024
export const slowMs = 2000

/** Slow sessions that go on beside the one whose turn it is. */
export const slowMax = 8

/** A peer that lists at least so many records and serves none of them lists what it does not have. */
export const withheldMin = 16

/**
 * After so many records with too little work a session fetches on only where one in ten had enough: honest publishers work
 * more than an idle node asks, so few but a spammer's lack it, and a megabyte a session is enough to find out.
 */
export const unworkedMin = 1000
export const workedShareMin = 0.1

/** Every so often some peers are asked, whatever happened in between: about 340 bytes each where nothing is missing. */
export const roundEveryMs = 3_600_000
export const peersPerRound = 3

/**
 * Of each channel so many carriers are asked besides. Three at random of a dozen neighbours who carry two of 26 channels
 * each often had none among them, and what gossip had missed stayed missing (simulation, 300 nodes).
 */
export const carriersPerRound = 3

/** One after the other, most of them equal: a minute's work of an hour at the most. */
export const peersPerRoundMax = 24

/** A peer that is busy is asked again after about this long, so many times. */
export const busyRetryMs = 5000
export const busyRetries = 5

/**
 * So long after a peer has connected it is asked once more for its news, 40 bytes when there are none. Between the first
 * answer and the moment when both have heard what the other subscribes to, gossip tells nobody of what is published, and
 * nobody would ask for an hour. Gossip takes a heartbeat or two, and several seconds on a busy machine.
 */
export const newsAfterMs = 8_000

/** Hints wait so long for others to join them. */
export const hintDelayMs = 50

/** Peers told of news that gossip does not carry. They tell theirs. */
export const hintPeersMax = 8

/** Hints sent, a little under what a peer hears from one (the guard's `sync-hint`: 4 a second, burst 40). */
export const hintBudget: Budget = { perSecond: 3, burst: 30 }
