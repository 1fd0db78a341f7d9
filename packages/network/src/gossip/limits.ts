import type { Budget } from '../guard/bucket.ts'

/** Mesh neighbours per topic: gossipsub's own values. Below `Dlo` peers everybody is everybody's neighbour. */
export const meshDegree = { D: 6, Dlo: 4, Dhi: 12, Dscore: 4, Dout: 2, Dlazy: 6 } as const

/**
 * Everybody outside the mesh is told once of each message, in the heartbeat after it came: whoever is in nobody's mesh
 * then still asks for it. gossipsub's own values tell a random quarter three times over, nearly as many bytes, and left
 * every fifth message unheard by those whose only carriers of a channel are two relays with full meshes (decision 0315).
 */
export const toldOnce = { gossipFactor: 1, mcacheGossip: 1 } as const

/** A mesh also forms when a subscription arrives, so the heartbeat only repairs; faster costs CPU per topic at idle. */
export const heartbeatMs = 1000

/** How long a message is remembered as seen. A later repetition is known to the store. */
export const seenMs = 120_000

/** Rejected messages remembered, of 32 bytes each: a second of the most that peers can have looked at. */
export const rejectionsMax = 1024

/** Peers remembered whose last message was not passed on: as many as a relay has connections. */
export const doubtsMax = 2048

/**
 * What we gossip, our own and what we pass on, under what others take from one peer (50/s, burst 500): else whoever
 * floods us has our neighbours cut us off. What is beyond goes out by catch-up, which is cheaper for bulk anyway.
 */
export const sendBudget: Budget = { perSecond: 45, burst: 450 }

/** Of {@link sendBudget}, what passing on leaves to our own: somebody else's flood does not keep us from publishing. */
export const sendReserve = 100

/**
 * Bytes that may wait for a peer that reads slower than we gossip: as much as twenty seconds of {@link sendBudget} in
 * records of common size. Fifty peers that never read take 50 MiB, not all there is.
 */
export const outboundBytesMax = 2 ** 20

/**
 * A stream to a peer that stays connected is opened again after so long; after twice as long, and so on, when it does not
 * last. A connection that closes ends its streams a moment before.
 */
export const relinkFirstMs = 250
export const relinkMaxMs = 60_000

/** A stream that lasts so long has made good: the next one is opened soon again. */
export const relinkSettledMs = 30_000

/** How long what came by gossip is worked on, from whomever, before everything else gets on: about ten messages. */
export const intakeTurnMs = 4

/** Bytes of frames that wait for their turn before nothing more is read: as much as a hundred messages. */
export const intakeWaitingBytesMax = 128 * 1024

/**
 * Units of the id of a message that is offered: it is looked up, asked for where it is new, and waited for. One that is asked for,
 * or not wanted, is a unit. Gossip offers each second what it took in the last three: whoever keeps to {@link sendBudget} offers
 * 585 ids at most, and 135 each second after that.
 */
export const offeredIdUnits = 2

/** Units of a GRAFT or PRUNE: a change of the mesh, a note of when it may change again, and often an answer. */
export const meshChangeUnits = 2

/**
 * Units of a message, known already or not: 40 to 70 µs until that is clear. With them a peer gets 900 in at once and 110 a
 * second, twice of what {@link sendBudget} has anybody send.
 */
export const messageUnits = 8

/**
 * Units of a message of a topic that we do not carry, or that came from the same peer before: an honest one sends what was under way
 * when we left a topic, and some twice of what we asked for.
 */
export const needlessMessageUnits = 64

/** Messages of one peer by which it is known that it repeats itself: about 100 bytes each. */
export const repeatsMax = 64

/** A node that carries everything in ten markets subscribes to about 300 topics, each about 1 kB of bookkeeping. */
export const topicBytesPerPeerMax = 512 * 1024

/** Of one frame, as gossipsub itself has it: larger ones are cut off at their length. */
export const rpcBytesMax = 4 * 1024 * 1024

/** {@link rpcBytesMax} takes four; the rest would be zeros. */
export const rpcLengthBytesMax = 8

/** Bounds on one RPC. Ids are what honest peers list in one heartbeat; the rest leaves room for 300 topics. */
export const rpcLimits = {
  maxSubscriptions: 512,
  maxMessages: 512,
  maxIhaveMessageIDs: 5000,
  maxIwantMessageIDs: 5000,
  maxControlMessages: 1024,
  maxIdontwantMessageIDs: 512,
  maxPeerInfos: 16
} as const

/** Below these scores a peer gets no gossip, gets none of our own messages, and is not listened to. */
export const scoreThresholds = {
  gossipThreshold: -8,
  publishThreshold: -14,
  graylistThreshold: -20,
  acceptPXThreshold: 1000,
  opportunisticGraftThreshold: 1
} as const

/** Score from one topic. Deliveries that a mesh neighbour fails to make are not counted: quiet topics have none. */
export const topicScore = {
  topicWeight: 0.5,
  timeInMeshWeight: 0.02,
  timeInMeshQuantum: 10_000,
  timeInMeshCap: 100,
  firstMessageDeliveriesWeight: 0.1,
  firstMessageDeliveriesDecay: 0.99,
  firstMessageDeliveriesCap: 20,
  meshMessageDeliveriesWeight: 0,
  meshFailurePenaltyWeight: 0,
  // The square of the count: 2 invalid messages are -2, 6 are -18.
  invalidMessageDeliveriesWeight: -1,
  invalidMessageDeliveriesDecay: 0.99
} as const
