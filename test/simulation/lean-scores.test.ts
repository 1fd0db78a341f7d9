import { createPeerScoreParams, createTopicScoreParams, PeerScore } from '@libp2p/gossipsub/score'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { leanPeerScores, type PeerScores } from './lean-scores.ts'

const topics = ['a', 'b', 'c', 'not scored']
const peers = ['p', 'q', 'r']

/** Every part of a score counts, and each other than the next. */
const params = createPeerScoreParams({
  topicScoreCap: 40,
  appSpecificScore: (peer) => peer.charCodeAt(0) / 100,
  appSpecificWeight: 1,
  IPColocationFactorWeight: -3,
  IPColocationFactorThreshold: 1,
  IPColocationFactorWhitelist: new Set(['10.0.0.2']),
  behaviourPenaltyWeight: -2,
  behaviourPenaltyThreshold: 1,
  behaviourPenaltyDecay: 0.7,
  decayInterval: 1000,
  decayToZero: 0.1,
  retainScore: 5000,
  topics: Object.fromEntries(
    topics.slice(0, 3).map((topic, index) => [
      topic,
      createTopicScoreParams({
        topicWeight: 0.5 + index,
        timeInMeshQuantum: 1000,
        timeInMeshCap: 4,
        firstMessageDeliveriesCap: 1.4,
        meshMessageDeliveriesActivation: 2000,
        meshMessageDeliveriesThreshold: 3,
        invalidMessageDeliveriesWeight: -1
      })
    ])
  )
})

const log = Object.assign(() => {}, { enabled: false, error: () => {}, trace: () => {} })

function newScores(): PeerScore {
  return new PeerScore(params, null, { forComponent: () => log } as never, { scoreCacheValidityMs: 1000 })
}

const peer = fc.constantFrom(...peers)
const topic = fc.constantFrom(...topics)

/** What happens between a node and its peers, as gossipsub tells its scores of it. */
const happening: fc.Arbitrary<(scores: PeerScore) => void> = fc.oneof(
  peer.map((id) => (scores: PeerScore) => scores.addPeer(id)),
  peer.map((id) => (scores: PeerScore) => scores.removePeer(id)),
  fc.tuple(peer, fc.constantFrom('10.0.0.1', '10.0.0.2')).map(
    ([id, ip]) =>
      (scores: PeerScore) =>
        scores.addIP(id, ip)
  ),
  fc.tuple(peer, topic).map(
    ([id, name]) =>
      (scores: PeerScore) =>
        scores.graft(id, name)
  ),
  fc.tuple(peer, topic).map(
    ([id, name]) =>
      (scores: PeerScore) =>
        scores.prune(id, name)
  ),
  fc.tuple(peer, topic).map(
    ([id, name]) =>
      (scores: PeerScore) =>
        scores.rejectInvalidMessage(id, name)
  ),
  fc.tuple(peer, topic, fc.string({ maxLength: 2 })).map(
    ([id, name, message]) =>
      (scores: PeerScore) =>
        scores.deliverMessage(id, message, name)
  ),
  fc.tuple(peer, topic, fc.string({ maxLength: 2 })).map(
    ([id, name, message]) =>
      (scores: PeerScore) =>
        scores.duplicateMessage(id, message, name)
  ),
  peer.map((id) => (scores: PeerScore) => scores.addPenalty(id, 1.5, 'graft_backoff' as never)),
  // They are refreshed every second, and there are changes in between.
  { arbitrary: fc.constant((scores: PeerScore) => scores.refreshScores()), weight: 4 }
)

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 }))
afterEach(() => void vi.useRealTimers())

test('are the numbers that gossipsub computes, whatever happens', () => {
  const happenings = fc.array(fc.record({ happens: happening, afterMs: fc.nat(1500) }), {
    minLength: 60,
    maxLength: 200
  })
  fc.assert(
    fc.property(happenings, (given) => {
      const [plain, lean] = [newScores(), newScores()]
      leanPeerScores(lean as unknown as PeerScores)
      for (const scores of [plain, lean]) for (const id of peers) scores.addPeer(id)
      for (const { happens, afterMs } of given) {
        vi.setSystemTime(Date.now() + afterMs)
        happens(plain)
        happens(lean)
        expect(peers.map((id) => lean.score(id))).toEqual(peers.map((id) => plain.score(id)))
      }
    }),
    { numRuns: 200 }
  )
})
