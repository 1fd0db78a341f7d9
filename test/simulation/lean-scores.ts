/**
 * gossipsub's peer scores, computed as it computes them but without making lists of each peer's topics and looking each
 * of them up: a thousand nodes refresh theirs every simulated second, which was a third of a run. The same numbers to
 * the last bit; the test compares them.
 */
import type { GossipSub } from '@libp2p/gossipsub'
import type { PeerScoreParams } from '@libp2p/gossipsub/score'

type TopicParams = PeerScoreParams['topics'][string]

/** What gossipsub remembers of a peer in one topic. */
export interface TopicStats {
  inMesh: boolean
  graftTime: number
  meshTime: number
  firstMessageDeliveries: number
  meshMessageDeliveries: number
  meshMessageDeliveriesActive: boolean
  meshFailurePenalty: number
  invalidMessageDeliveries: number
}

/** What gossipsub remembers of a peer. */
export interface PeerStats {
  readonly connected: boolean
  readonly expire: number
  readonly topics: Readonly<Record<string, TopicStats>>
  readonly knownIPs: Set<string>
  behaviourPenalty: number
  /** What is in `topics`, in its order, with the parameters. */
  listed?: Listed[]
}

interface Listed {
  readonly stats: TopicStats
  readonly params: TopicParams
}

/** The part of gossipsub's `PeerScore` that is replaced, and what that stands on. */
export interface PeerScores {
  readonly params: PeerScoreParams
  readonly peerStats: Map<string, PeerStats>
  readonly scoreCache: Map<string, unknown>
  computeScore: (peer: string, stats: PeerStats, params: PeerScoreParams, peerIPs: Map<string, Set<string>>) => number
  refreshScores(): void
  addPeer(peer: string): void
  getPtopicStats(stats: PeerStats, topic: string): TopicStats | null
  removeIPsForPeer(peer: string, addresses: Set<string>): void
}

/** Has a gossipsub that knows nobody yet compute its scores in this way. */
export function leanScores(pubsub: GossipSub): void {
  leanPeerScores((pubsub as unknown as { score: PeerScores }).score)
}

export function leanPeerScores(score: PeerScores): void {
  const addPeer = score.addPeer.bind(score)
  const getPtopicStats = score.getPtopicStats.bind(score)
  score.addPeer = (peer) => {
    addPeer(peer)
    const added = score.peerStats.get(peer)
    if (added !== undefined) added.listed = []
  }
  score.getPtopicStats = (stats, topic) => {
    const known = stats.topics[topic]
    if (known !== undefined) return known
    const added = getPtopicStats(stats, topic)
    const params = score.params.topics[topic]
    if (added !== null && params !== undefined) stats.listed?.push({ stats: added, params })
    return added
  }
  score.computeScore = computeScore
  score.refreshScores = () => refreshScores(score, Date.now())
}

const none: readonly Listed[] = []

const computeScore: PeerScores['computeScore'] = (peer, stats, params, peerIPs) => {
  let score = 0
  for (const listed of stats.listed ?? none) score += topicScore(listed)
  if (params.topicScoreCap > 0 && score > params.topicScoreCap) score = params.topicScoreCap
  score += params.appSpecificScore(peer) * params.appSpecificWeight
  for (const address of stats.knownIPs) {
    if (params.IPColocationFactorWhitelist.has(address)) continue
    const surplus = (peerIPs.get(address)?.size ?? 0) - params.IPColocationFactorThreshold
    if (surplus > 0) score += surplus * surplus * params.IPColocationFactorWeight
  }
  if (stats.behaviourPenalty > params.behaviourPenaltyThreshold) {
    const excess = stats.behaviourPenalty - params.behaviourPenaltyThreshold
    score += excess * excess * params.behaviourPenaltyWeight
  }
  return score
}

function topicScore({ stats, params }: Listed): number {
  let score = 0
  if (stats.inMesh) {
    score += Math.min(stats.meshTime / params.timeInMeshQuantum, params.timeInMeshCap) * params.timeInMeshWeight
  }
  const first = Math.min(stats.firstMessageDeliveries, params.firstMessageDeliveriesCap)
  score += first * params.firstMessageDeliveriesWeight
  if (stats.meshMessageDeliveriesActive && stats.meshMessageDeliveries < params.meshMessageDeliveriesThreshold) {
    const deficit = params.meshMessageDeliveriesThreshold - stats.meshMessageDeliveries
    score += deficit * deficit * params.meshMessageDeliveriesWeight
  }
  score += stats.meshFailurePenalty * params.meshFailurePenaltyWeight
  score += stats.invalidMessageDeliveries * stats.invalidMessageDeliveries * params.invalidMessageDeliveriesWeight
  return score * params.topicWeight
}

function refreshScores(scores: PeerScores, nowMs: number): void {
  const { params } = scores
  for (const [peer, stats] of scores.peerStats) {
    if (stats.connected) {
      for (const listed of stats.listed ?? none) refresh(listed, params.decayToZero, nowMs)
      stats.behaviourPenalty = decayed(stats.behaviourPenalty, params.behaviourPenaltyDecay, params.decayToZero)
    } else if (nowMs > stats.expire) {
      scores.removeIPsForPeer(peer, stats.knownIPs)
      scores.peerStats.delete(peer)
      scores.scoreCache.delete(peer)
    }
  }
}

function refresh({ stats, params }: Listed, decayToZero: number, nowMs: number): void {
  if (stats.firstMessageDeliveries !== 0) {
    stats.firstMessageDeliveries = decayed(
      stats.firstMessageDeliveries,
      params.firstMessageDeliveriesDecay,
      decayToZero
    )
  }
  if (stats.meshMessageDeliveries !== 0) {
    stats.meshMessageDeliveries = decayed(stats.meshMessageDeliveries, params.meshMessageDeliveriesDecay, decayToZero)
  }
  if (stats.meshFailurePenalty !== 0) {
    stats.meshFailurePenalty = decayed(stats.meshFailurePenalty, params.meshFailurePenaltyDecay, decayToZero)
  }
  if (stats.invalidMessageDeliveries !== 0) {
    const { invalidMessageDeliveriesDecay } = params
    stats.invalidMessageDeliveries = decayed(stats.invalidMessageDeliveries, invalidMessageDeliveriesDecay, decayToZero)
  }
  if (!stats.inMesh) return
  stats.meshTime = nowMs - stats.graftTime
  if (stats.meshTime > params.meshMessageDeliveriesActivation) stats.meshMessageDeliveriesActive = true
}

function decayed(value: number, decay: number, decayToZero: number): number {
  const left = value * decay
  return left < decayToZero ? 0 : left
}
