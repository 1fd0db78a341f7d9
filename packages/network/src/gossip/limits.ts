import type { Budget } from '../guard/bucket.ts'

/** Mesh neighbours per topic: gossipsub's own values. Below `Dlo` peers everybody is everybody's neighbour. */
export const meshDegree = { D: 6, Dlo: 4, Dhi: 12, Dscore: 4, Dout: 2, Dlazy: 6 } as const

/** A mesh also forms when a subscription arrives, so the heartbeat only repairs; faster costs CPU per topic at idle. */
export const heartbeatMs = 1000

/** How long a message is remembered as seen. A later repetition is known to the store. */
export const seenMs = 120_000

/**
 * What we gossip of our own, under what others take from one peer (50/s, burst 500), so that a bulk of listings does
 * not get us disconnected. What is beyond goes out by catch-up, which is cheaper for bulk anyway.
 */
export const publishBudget: Budget = { perSecond: 40, burst: 400 }

/** A node that carries everything in ten markets subscribes to about 300 topics, each about 1 kB of bookkeeping. */
export const topicBytesPerPeerMax = 512 * 1024

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
