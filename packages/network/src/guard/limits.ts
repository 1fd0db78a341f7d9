import type { Budget } from './bucket.ts'

/** Below this a peer is disconnected and refused until its score has risen again (lodestar's constant). */
const disconnectScore = -20

/** Below this a peer is banned for {@link banMs}, however fast its score recovers (lodestar's constant). */
const banScore = -50

/** No score falls lower: a worse one would only mean a longer memory of a peer that is banned anyway. */
export const scoreMin = -100

/** A score halves in this time (lodestar's constant). */
const scoreHalfLifeMs = 10 * 60_000

/** What a disconnected peer waits at least: its score alone would let it back in after a millisecond. */
const disconnectMs = 60_000

/** What a banned peer waits at least. */
const banMs = 30 * 60_000

/** What follows from a score. */
export interface Sanctions {
  readonly disconnectScore: number
  readonly banScore: number
  readonly scoreHalfLifeMs: number
  readonly disconnectMs: number
  readonly banMs: number
}

/** {@link Sanctions} by default. */
export const sanctions: Sanctions = { disconnectScore, banScore, scoreHalfLifeMs, disconnectMs, banMs }

/**
 * Peers remembered, connected or not, and as many addresses; the ones unseen for longest are forgotten first. About
 * 1 kB each.
 */
export const standingsMax = 4096

/** Reasons kept for one peer: what `souk peer list` shows. */
export const reasonsMax = 16

/**
 * What an offence costs. A node that checks a record before it passes it on never commits one, so four or five are
 * enough: 20 points disconnect.
 */
export const costDefault = 5

/** Offences that weigh other than {@link costDefault}. */
export const costs: Readonly<Record<string, number>> = {
  // Cannot happen by accident, and costs us a signature check.
  'bad-signature': 10,
  'receipt-bad-signature': 10,
  'bad-work': 10,
  // Clocks differ; a peer that is always wrong still gets there.
  expired: 1,
  'not-yet-valid': 1,
  // Each message beyond the budget, once the burst is used up.
  'too-many-messages': 1,
  'too-many-from-address': 1,
  // No gossipsub writes it; once may be a version that we do not know.
  'malformed-rpc': 10,
  'malformed-length': 25,
  // What no honest program sends, or at a rate at which none does: enough to disconnect at once.
  'oversize-rpc': 25,
  'too-many-rpcs': 25,
  'too-many-bytes': 25,
  'too-many-frames': 25,
  'too-many-streams': 25,
  'never-reads': 25,
  // What catch-up has answered in the same session: no client needs it twice, and it is up to 30 ms of work.
  'asked-again': 25
}

/** Messages that are new to us from one peer: a market of 4 million listings a day brings 50 a second. */
export const gossipBudget: Budget = { perSecond: 50, burst: 500 }

/**
 * Units of gossip RPCs, as `unitsOf` counts them: repetitions, control messages and all. A peer that carries 300 topics
 * subscribes and grafts with 900 at once; after that one sends a few for each message. A unit takes up to 10 µs.
 */
export const gossipControlBudget: Budget = { perSecond: 1000, burst: 8000 }

/** What {@link Guard.allow} grants per peer and protocol when the protocol has no row of its own. */
export const requestBudgetDefault: Budget = { perSecond: 20, burst: 200 }

/** Rows of {@link Guard.allow} by protocol. */
export const requestBudgets: Readonly<Record<string, Budget>> = {
  gossip: gossipBudget,
  'gossip-control': gossipControlBudget,
  // One unit a request and one a record served: a joining node fetches 10,000 listings at once, then little.
  '/souk/sync/1': { perSecond: 2000, burst: 100_000 },
  // Milliseconds of this node's time for comparing sets: an honest session takes 5 to 50, a bomb 20 a message.
  'sync-work': { perSecond: 20, burst: 100 },
  // Refusals that a peer may run into: an honest one waits five seconds after each.
  'sync-refusal': { perSecond: 0.5, burst: 10 },
  // Look-ups of a small network all pass by each of its peers: one neighbour of two or three is asked three times a
  // second (counted, 0332), and once more for each person who is away when many letters are due. Who puts and compares
  // much does so at a pace of its own (feedback/limits.ts), nine a second; and nobody asks more than 30 at once and 20
  // a second (dht/limits.ts).
  '/souk/kad/1.0.0': { perSecond: 25, burst: 60 },
  // Values that it puts, into the DHT or a located set, and that have to be checked: 1.5 ms each, so that one peer has
  // 1.5 % of a core and 0.15 s at once. The same pace puts twenty at once and six a second; a comparison brings up to 64.
  // More are refused, and forgiven: a keeper of many puts them in good faith.
  value: { perSecond: 10, burst: 100 },
  // A question is one unit, each KiB of it another, and 32 KiB of answer: nobody asks for more than 40 at once and 25 a
  // second, however much it reads or compares (feedback/limits.ts).
  '/souk/located-set/1': { perSecond: 30, burst: 60 },
  // A question is one unit, each KiB of it another: the largest letter is 66. Honest peers bring 75 at once and 18 a second.
  '/souk/message/1': { perSecond: 20, burst: 100 },
  // Questions beyond a budget that are only refused: an honest outbox runs into a few.
  refusal: { perSecond: 1, burst: 20 },
  'sync-hint': { perSecond: 4, burst: 40 }
}

/**
 * Bytes that may come in over one connection, asked for or not. Wide, since what we fetch counts too; what stands
 * against floods are the bytes of streams that the peer opened.
 */
const connectionBytes: Budget = { perSecond: 128 * 2 ** 20, burst: 256 * 2 ** 20 }

/** What one connection brings in one round of the event loop, before others have theirs: one read of a socket. */
export const roundBytesMax = 64 * 1024

/** Bytes that come in over all connections of one peer without having been asked for: what all the rows below add up to. */
const unaskedBytes: Budget = { perSecond: 12 * 2 ** 20, burst: 64 * 2 ** 20 }

/**
 * Bytes for streams that there are not, or on whose protocol the two sides have not agreed: what was under way when we
 * ended a stream.
 */
const strayBytes: Budget = { perSecond: 2 ** 20, burst: 4 * 2 ** 20 }

/** Bytes on streams that the peer opened for gossip: 50 messages a second of 16 kB, and control messages. One RPC has 4 MiB. */
const gossipBytes: Budget = { perSecond: 2 ** 20, burst: 4 * 2 ** 20 }

/** Bytes of questions to the DHT. */
const dhtBytes: Budget = { perSecond: 256 * 1024, burst: 2 * 2 ** 20 }

/** Bytes of catch-up: requests are small; reconciliation frames go up to 1 MiB. */
const catchUpBytes: Budget = { perSecond: 2 * 2 ** 20, burst: 8 * 2 ** 20 }

/** Bytes of circuits: a relayed connection carries up to 16 MiB each way, and a relay brings those of all who come over it. */
const circuitBytes: Budget = { perSecond: 8 * 2 ** 20, burst: 48 * 2 ** 20 }

/** Bytes of every other protocol: identify, ping, messages, located sets, image requests. */
const otherBytes: Budget = { perSecond: 256 * 1024, burst: 4 * 2 ** 20 }

/** Frames on streams that the peer opened, all protocols together: what a flood of tiny ones costs is their number. */
const streamFrames: Budget = { perSecond: 4000, burst: 20_000 }

/** Pings of libp2p's own protocol, each of which is sent back: a peer pings twice a minute, who measures a hundred a second. */
const pingFrames: Budget = { perSecond: 200, burst: 100 }

/** One of them: longer frames are sent back too, and count as many. */
export const pingBytes = 32

/** What one peer, or connection, may send below what is asked of any protocol: bytes, frames and streams. */
export interface TrafficBudgets {
  readonly connectionBytes: Budget
  readonly unaskedBytes: Budget
  readonly strayBytes: Budget
  readonly gossipBytes: Budget
  readonly dhtBytes: Budget
  readonly catchUpBytes: Budget
  readonly circuitBytes: Budget
  readonly otherBytes: Budget
  readonly streamFrames: Budget
  readonly pingFrames: Budget
  readonly smallFrames: Budget
  readonly muxerPings: Budget
  readonly streamOpenings: Budget
  readonly unusedStreams: Budget
}

/** One message of a protocol of libp2p that has no bound of its own: twenty peers with ten addresses each, and a value. */
export const unboundedMessageBytesMax = 128 * 1024

/** Bytes in which the length of a message is written: eight make all that a number holds exactly. */
export const lengthBytesMax = 8

/** The name of a protocol while two sides agree on one, as in multistream-select. */
export const negotiationBytesMax = 1024

/** How long the two may take to agree on the protocol of a stream, as libp2p has it; looked at once a second. */
export const agreementMs = 10_000

/** Proposals for one: ours make one. */
export const negotiationMessagesMax = 16

/**
 * Pieces that OpenSSL encrypts and decrypts: 6 and 4 µs up to 1.2 kB, where the WebAssembly of Noise takes 1 and 0.5 for 32
 * bytes, 5 for 512 and 9 for 1,200 (Node 24).
 */
export const nativeCipherBytesMin = 640

/** A frame of the multiplexer with less in it counts as small: what it costs is itself. */
export const smallFrameBytes = 256

/** A window that is opened by less than that counts as so many small frames: who reads opens it by more. */
export const trifleWeight = 4

/**
 * Small frames of one connection, asked for or not: a stream takes about six to open, {@link streamOpenings} at once, and
 * a window one for 64 KiB.
 */
const smallFrames: Budget = { perSecond: 4000, burst: 8000 }

/** Pings of the multiplexer, each of which is answered. Ours sends none, others one in half a minute. */
const muxerPings: Budget = { perSecond: 1, burst: 50 }

/**
 * Streams that a peer opens: a page of pictures takes sixty, saying all of one’s ratings again a few hundred. Each costs
 * about 1 ms.
 */
const streamOpenings: Budget = { perSecond: 100, burst: 1000 }

/**
 * Streams that a peer opens and that come to nothing: they end before the two have agreed on a protocol, as questions given
 * up at once and those that only a newer program answers, or are more than one connection may have of theirs. Opening and
 * taking back takes twenty-four bytes and costs us 0.1 ms; to be told that nobody speaks a protocol, or that it is one
 * stream too many, costs both sides 0.3 to 0.5 ms.
 */
const unusedStreams: Budget = { perSecond: 5, burst: 25 }

/**
 * Bytes that wait for one stream, and for one connection, because the other side does not read. Whoever answers waits
 * for the stream between frames of at most 1 MiB.
 */
export const unsentBytesDefault = 4 * 2 ** 20

/**
 * A stream's window is opened again when so much of it has been used. Of 256 KiB that is every 64th message of gossip, and
 * each frame of a bulk; the sender always has three quarters of the window, less what is on its way.
 */
export const windowShare = 0.25

/** How often it is looked who does not read. Twice in a row too much unsent is no hiccup. */
export const unreadLookMs = 1000

/** What all who come from one place may do together, as a multiple of what one peer may. */
export interface Shares {
  /** Of one address. */
  readonly host: number
  /** Of one /24 or /48. */
  readonly block: number
}

/** A household's nodes, and those of a village. */
export const sharesDefault: Shares = { host: 2, block: 8 }

/**
 * What it costs an address, and its block, that somebody who came from there was cut off: the third within minutes
 * shuts the address, the tenth the block. Connections that are open stay.
 */
export const cutOffCost = { host: 7, block: 2 } as const

/** Handshakes at once from one address, and from one block: what leaves room for others among all that may be pending. */
export const pendingPerHostMax = 8

/** As {@link pendingPerHostMax}, for a /24 or /48. */
export const pendingPerBlockMax = 32

/** Attempts to connect from one /24 or /48. A handshake costs 2 to 4 ms, whoever turns out to be there. */
export const attemptsPerBlock: Budget = { perSecond: 64, burst: 256 }

/** Connections beyond the bound while one of them is being chosen to end; then libp2p refuses. */
export const crowdSpare = 32

/** Inbound connections from one address: a household or an office behind one router. */
export const connectionsPerHostMax = 16

/** Inbound connections from one /24 or /48. */
export const connectionsPerBlockMax = 64

/** Relay reservations that one address, and one /24, may hold. */
export const reservationsPerBlockMax = 4

/** Handshakes in progress: forty addresses with idle sockets do not shut others out (measured: 10 of 10 dials succeed). */
const pendingConnectionsMax = 500

/**
 * Newcomers let in to shake hands. Each is about 15 ms of work with all that follows, so that half a core is left to those
 * who are in; a relay that has restarted has its five hundred back within seventeen seconds, and could not have them
 * in less than eight.
 */
export const entranceBudget: Budget = { perSecond: 30, burst: 4 }

/** Sockets that wait for that. */
export const entranceWaitingMax = 500

/** How newcomers are let in; see {@link entranceBudget} and {@link entranceWaitingMax}. */
export interface EntranceLimits extends Budget {
  readonly waitingMax: number
}

/** A handshake takes three round trips. */
const inboundUpgradeTimeoutMs = 3000

/** Connections a second from one address before libp2p refuses it unheard; several nodes may share a machine. */
const connectionsPerHostPerSecond = 32

/** How handshakes are bounded before it is known who comes. */
export interface HandshakeLimits {
  /** In progress. */
  readonly max: number
  /** For one. */
  readonly timeoutMs: number
  readonly perHostPerSecond: number
}

/** {@link HandshakeLimits} by default. */
export const handshakeLimits: HandshakeLimits = {
  max: pendingConnectionsMax,
  timeoutMs: inboundUpgradeTimeoutMs,
  perHostPerSecond: connectionsPerHostPerSecond
}

/** All of {@link TrafficBudgets} by default. */
export const trafficBudgets: TrafficBudgets = {
  connectionBytes,
  unaskedBytes,
  strayBytes,
  gossipBytes,
  dhtBytes,
  catchUpBytes,
  circuitBytes,
  otherBytes,
  streamFrames,
  pingFrames,
  smallFrames,
  muxerPings,
  streamOpenings,
  unusedStreams
}
