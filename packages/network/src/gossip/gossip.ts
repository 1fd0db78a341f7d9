import assert from 'node:assert'
import type { PeerId } from '@libp2p/interface'
import {
  type GossipSub,
  type GossipsubOpts,
  type Message,
  StrictNoSign,
  type TopicValidatorFn,
  TopicValidatorResult
} from '@libp2p/gossipsub'
import { createTopicScoreParams, type PeerScoreParams } from '@libp2p/gossipsub/score'
import { categories, type Channel, type SoukRecord, topicOf } from '@souk/records'
import { TokenBucket } from '../guard/bucket.ts'
import type { Guard } from '../guard/guard.ts'
import type { RecordGate, Verdict } from '../gate.ts'
import {
  heartbeatMs,
  meshDegree,
  outboundBytesMax,
  rpcLimits,
  scoreThresholds,
  seenMs,
  sendBudget,
  sendReserve,
  toldOnce,
  topicBytesPerPeerMax,
  topicScore
} from './limits.ts'
import { guardIntake } from './intake.ts'
import { createMessageIds, messageIdKey, type Named } from './message-id.ts'
import { tellNewcomers } from './newcomers.ts'
import { createRejections } from './rejections.ts'
import { holdBackTelling } from './reticence.ts'

/** Signed records over gossipsub topics: a node hears of what is published while it is connected. */
export interface Gossip {
  /** Carries a channel from now on, or from the host's start: hears it, checks it, passes it on. */
  subscribe(market: string, channel: Channel): void
  unsubscribe(market: string, channel: Channel): void
  /** The host has started. */
  start(): void
  /**
   * Sends to every peer that is known to carry the channel. Never fails for want of peers.
   *
   * @returns How many peers it went to; 0 too when our own budget is used up.
   */
  publish(record: Pick<SoukRecord, 'market' | 'channel' | 'bytes'>): Promise<number>
  /** Peers that say that they carry a channel. */
  carriersOf(market: string, channel: Channel): PeerId[]
}

/** How the gossipsub service is set up; the topics come later, by {@link Gossip.subscribe}. */
export function gossipOptions(guard: Guard): Partial<GossipsubOpts> {
  const ids = createMessageIds()
  return {
    ...meshDegree,
    ...toldOnce,
    heartbeatInterval: heartbeatMs,
    seenTTL: seenMs,
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: ids.of,
    fastMsgIdFn: ids.keyOf,
    msgIdToStrFn: messageIdKey,
    // A peer's next message waits for the verdict on the one before: nobody gets more than one check at a time.
    awaitRpcHandler: true,
    awaitRpcMessageHandler: true,
    fallbackToFloodsub: false,
    floodPublish: true,
    // Encoded once for all that it goes to.
    batchPublish: true,
    doPX: false,
    emitSelf: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    allowedTopics: [],
    // A write to the datastore for each change of the mesh; who stays when a node is full is the guard's affair.
    tagMeshPeers: false,
    maxOutboundBufferSize: outboundBytesMax,
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxTopicBytesPerPeer: topicBytesPerPeerMax,
    decodeRpcLimits: rpcLimits,
    scoreThresholds,
    scoreParams: {
      topicScoreCap: 20,
      appSpecificScore: (peer) => guard.score(peer),
      appSpecificWeight: 1,
      // Above ten peers an address it empties the mesh, and all relayed peers have their relay's address.
      IPColocationFactorWeight: 0,
      // A node that comes back after a crash grafts all its topics at once, having forgotten who asked it to wait: dozens
      // of penalties, squared, and nobody listens to it for minutes. Floods of GRAFT and IHAVE are paid for at intake.
      behaviourPenaltyWeight: 0
    }
  }
}

/** What gossip is told. */
export interface GossipInit {
  readonly now: () => number
  /** A record is in the store, but not passed on: our neighbours have had from us what they take from one peer. */
  readonly onKeptBack: () => void
}

/**
 * Joins gossip to the gate that checks and stores records.
 *
 * @param components.pubsub - A gossipsub service made with {@link gossipOptions}.
 */
export function createGossip(
  components: { pubsub: GossipSub; gate: RecordGate; guard: Guard },
  init: GossipInit
): Gossip {
  const { pubsub, gate, guard } = components
  const { allowedTopics, topicScores, subscriptions, keyOf } = openTables(pubsub)
  const sending = new TokenBucket(sendBudget, init.now())
  const rejections = createRejections(keyOf)
  guardIntake(pubsub, { guard, rejections, keyOf })
  tellNewcomers(pubsub)
  const reticence = holdBackTelling(pubsub)
  let hasStarted = false

  /** True when our neighbours will not hold one more against us. */
  const maySend = (reserve: number): boolean => {
    const nowMs = init.now()
    return sending.waitMs(1 + reserve, nowMs) === 0 && sending.take(1, nowMs)
  }

  const judge = async (from: PeerId, message: Message): Promise<TopicValidatorResult> => {
    if (!guard.allow(from, 'gossip')) {
      guard.punish(from, 'too-many-messages')
      return TopicValidatorResult.Ignore
    }
    if (!guard.allowAddress(from, 'gossip')) return TopicValidatorResult.Ignore
    const { topic, data } = message
    if (!pubsub.topicValidators.has(topic)) return TopicValidatorResult.Ignore
    const { verdict, code } = await gate.accept(data, { from, via: 'gossip', topic })
    if (verdict === 'reject' && code !== undefined) rejections.note(message, code)
    if (verdict !== 'accept' || maySend(sendReserve)) return results[verdict]
    init.onKeptBack()
    return TopicValidatorResult.Ignore
  }
  const validate = async (from: PeerId, message: Message): Promise<TopicValidatorResult> => {
    const result = await judge(from, message)
    reticence.judged(from, result === TopicValidatorResult.Accept)
    return result
  }
  pubsub.topicValidators = new ValidatorMap(validate)

  return {
    subscribe: (market, channel) => {
      for (const any of everyChannel) allowedTopics.add(topicOf(market, any))
      const topic = topicOf(market, channel)
      topicScores[topic] = createTopicScoreParams(topicScore)
      pubsub.topicValidators.set(topic, validate)
      // Said to all who connect from the start on; what they say of themselves is heard then, and only once.
      if (hasStarted) pubsub.subscribe(topic)
      else subscriptions.add(topic)
    },
    start: () => {
      hasStarted = true
      for (const topic of subscriptions) pubsub.subscribe(topic)
    },
    unsubscribe: (market, channel) => {
      const topic = topicOf(market, channel)
      pubsub.unsubscribe(topic)
      pubsub.topicValidators.delete(topic)
    },
    carriersOf: (market, channel) => pubsub.getSubscribers(topicOf(market, channel)),
    publish: async ({ market, channel, bytes }) => {
      if (!maySend(0)) return 0
      const { recipients } = await pubsub.publish(topicOf(market, channel), bytes)
      return recipients.length
    }
  }
}

/** Every channel that a market has. */
const everyChannel: readonly Channel[] = [
  'people',
  'feedback',
  ...categories.map(({ id }): Channel => `listings/${id}`)
]

/**
 * Has a validator for topics that are not carried too. gossipsub takes in, keeps and passes on any message of an
 * allowed topic that no validator stands before, and the topics of a market are allowed as soon as one is carried:
 * a peer's subscriptions are heard once only, at the start, when we may not carry yet what we will carry later.
 */
class ValidatorMap extends Map<string, TopicValidatorFn> {
  readonly #fallback: TopicValidatorFn

  constructor(fallback: TopicValidatorFn) {
    super()
    this.#fallback = fallback
  }

  override get(topic: string): TopicValidatorFn {
    return super.get(topic) ?? this.#fallback
  }
}

const results: Record<Verdict, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject
}

interface GossipTables {
  readonly allowedTopics: Set<string>
  readonly topicScores: PeerScoreParams['topics']
  /** What every new peer is told that we carry. */
  readonly subscriptions: Set<string>
  /** The same for messages that are the same. */
  readonly keyOf: (message: Named) => string
}

/**
 * Which topics are allowed, and how they score, is fixed in gossipsub's options, but a node joins markets while it
 * runs; and subscribing is for those who run. All are tables that gossipsub reads at each use; this opens them, and fails
 * at start if a version moves them.
 */
function openTables(pubsub: GossipSub): GossipTables {
  const { allowedTopics, subscriptions, fastMsgIdFn, opts } = pubsub as unknown as {
    allowedTopics?: unknown
    subscriptions?: unknown
    fastMsgIdFn?: GossipTables['keyOf']
    opts?: { scoreParams?: Partial<PeerScoreParams> }
  }
  assert(allowedTopics instanceof Set, 'gossipsub keeps its allowed topics elsewhere')
  assert(subscriptions instanceof Set, 'gossipsub keeps its subscriptions elsewhere')
  const topicScores = opts?.scoreParams?.topics
  assert(topicScores !== undefined, 'gossipsub keeps its topic scores elsewhere')
  assert(fastMsgIdFn !== undefined, 'gossipsub tells messages apart elsewhere')
  return { allowedTopics, topicScores, subscriptions, keyOf: fastMsgIdFn }
}
