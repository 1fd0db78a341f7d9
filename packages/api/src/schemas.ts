/** The shapes that the API speaks, in Zod. Each `satisfies` ties one to the node's own type: they cannot drift apart. */
import type {
  BalanceView,
  BuyRequest,
  FeedbackDraft,
  FeedbackView,
  ImageView,
  KeptLetterView,
  ListingDraft,
  ListingView,
  OrderAction,
  OrderView,
  OutgoingLetterView,
  PeerView,
  ProfileDraft,
  ProfileView,
  ReputationView,
  SearchPage,
  SettlementDraft,
  StatusView
} from '@souk/node'
import type { Did } from '@souk/records'
import * as z from 'zod'

const text = (charsMax: number) => z.string().max(charsMax)
const count = z.number().int().min(0)
const minor = z.string().regex(/^(0|[1-9][0-9]{0,38})$/, 'is not a whole number of minor units')

export const did = z.custom<Did>(
  (value) => typeof value === 'string' && /^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{40,50}$/.test(value),
  'is not a did:key'
)
export const money = z.object({ minor, currency: text(160) })

export const imageView = z.object({
  image: text(128),
  thumbnail: text(128),
  bytes: count,
  width: count,
  height: count,
  thumbhash: text(64),
  alt: text(140).optional()
}) satisfies z.ZodType<ImageView>

export const addedImage = imageView.extend({ hadLocation: z.boolean() })

const delivery = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('ship'),
    price: minor,
    to: z.array(text(2)).max(250),
    handlingDays: count,
    transitDays: count
  }),
  z.object({ kind: z.enum(['pick-up', 'digital', 'on-site']) })
])

const settlementView = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('escrow'),
    chain: text(64),
    contract: text(42),
    token: text(42),
    seller: text(42),
    price: minor
  }),
  z.object({ kind: z.literal('direct'), methods: z.array(text(32)).max(16) }),
  z.object({ kind: z.literal('none') })
])

const settlementDraft = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('escrow'),
    chain: text(64).optional(),
    token: text(64).optional(),
    price: minor.optional()
  }),
  z.strictObject({ kind: z.literal('direct'), methods: z.array(text(32)).max(16).optional() }),
  z.strictObject({ kind: z.literal('none') })
]) satisfies z.ZodType<SettlementDraft>

const place = z.object({
  country: text(2),
  region: text(64).optional(),
  locality: text(64).optional(),
  geohash: text(5).optional()
})
const businessFunction = z.enum(['Sell', 'LeaseOut', 'ProvideService', 'Lend', 'Give', 'Swap'])
const condition = z.enum(['New', 'Used', 'Refurbished', 'Damaged'])
const trade = z.enum(['fixed-price', 'classified'])
const type = z.enum(['Offer', 'Demand'])

export const listingView = z.object({
  id: text(128),
  key: text(96),
  seq: count,
  market: text(64),
  seller: did,
  nym: text(32),
  createdAtMs: count,
  expiresAtMs: count,
  type,
  businessFunction,
  trade,
  title: text(140),
  description: text(8000),
  language: text(35),
  category: text(32),
  itemCondition: condition.optional(),
  price: money.optional(),
  unit: text(3),
  quantity: count,
  images: z.array(imageView),
  delivery: z.array(delivery),
  settlements: z.array(settlementView),
  place: place.optional(),
  tags: z.array(text(32))
}) satisfies z.ZodType<ListingView>

export const listingDraft = z.strictObject({
  title: text(140).min(1),
  description: text(8000).optional(),
  category: text(32),
  type: type.optional(),
  businessFunction: businessFunction.optional(),
  trade: trade.optional(),
  language: text(35).optional(),
  itemCondition: condition.optional(),
  price: money.optional(),
  unit: text(3).optional(),
  quantity: count.max(1_000_000).optional(),
  images: z.array(imageView).max(12).optional(),
  delivery: z.array(delivery).max(8).optional(),
  settlements: z.array(settlementDraft).max(8).optional(),
  place: place.optional(),
  tags: z.array(text(32)).max(16).optional()
}) satisfies z.ZodType<ListingDraft>

export const searchPage = z.object({ hits: z.array(listingView), total: count }) satisfies z.ZodType<SearchPage>

export const profileView = z.object({
  did,
  nym: text(32),
  name: text(64),
  about: text(2000).optional(),
  avatar: text(128).optional(),
  region: text(2).optional(),
  languages: z.array(text(35)).optional(),
  peers: z.array(z.object({ id: text(256), addresses: z.array(text(256)) })),
  mailboxes: z.array(text(256)),
  createdAtMs: count,
  expiresAtMs: count
}) satisfies z.ZodType<ProfileView>

export const profileDraft = z.strictObject({
  name: text(64).min(1),
  about: text(2000).optional(),
  avatar: text(128).optional(),
  region: text(2).optional(),
  languages: z.array(text(35)).max(8).optional()
}) satisfies z.ZodType<ProfileDraft>

export const orderView = z.object({
  id: text(64),
  role: z.enum(['buyer', 'seller']),
  counterparty: did,
  listing: z.object({ id: text(128), key: text(96), title: text(140) }),
  quantity: count,
  total: money,
  delivery: text(32),
  settlement: z.enum(['escrow', 'direct', 'none']),
  phase: text(32),
  reason: text(64).optional(),
  legs: z.array(z.object({ from: text(16), to: text(16), what: text(64), state: text(32) })),
  waitingFor: z.object({ role: text(32), action: text(64), byMs: count, otherwise: text(200) }).optional(),
  allowed: z.array(text(32)),
  timeline: z.array(z.object({ atMs: count, by: text(32), what: text(200) })),
  escrow: z
    .object({
      chain: text(64),
      contract: text(42),
      id: text(66),
      token: text(42),
      symbol: text(16).optional(),
      decimals: count.optional(),
      amount: minor,
      status: text(32),
      certainty: z.enum(['none', 'seen', 'final'])
    })
    .optional(),
  pickupCode: text(64).optional(),
  shipTo: text(1000).optional(),
  tracking: z.object({ carrier: text(64).optional(), code: text(64).optional() }).optional(),
  undelivered: count,
  letters: z.enum(['sending', 'at-relay', 'delivered']),
  feedback: z.object({ given: text(128).optional(), received: text(128).optional() }),
  updatedAtMs: count
}) satisfies z.ZodType<OrderView>

export const buyRequest = z.strictObject({
  listing: text(128),
  quantity: count.min(1).max(1_000_000).optional(),
  delivery: z.enum(['ship', 'pick-up']).optional(),
  settlement: z.enum(['escrow', 'direct']).optional(),
  country: text(2).optional(),
  shipTo: text(1000).optional(),
  note: text(1000).optional(),
  requestKey: z.string().min(8).max(64).optional()
}) satisfies z.ZodType<BuyRequest>

const why = text(500).optional()

export const orderAction = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('accept') }),
  z.strictObject({ action: z.literal('decline'), why }),
  z.strictObject({ action: z.literal('cancel'), why }),
  z.strictObject({ action: z.literal('paid'), reference: text(200).optional() }),
  z.strictObject({ action: z.literal('payment-received') }),
  z.strictObject({ action: z.literal('ship'), carrier: text(64).optional(), tracking: text(64).optional() }),
  z.strictObject({ action: z.literal('handover'), code: text(64).min(1) }),
  z.strictObject({ action: z.literal('confirm') }),
  z.strictObject({ action: z.literal('refund') }),
  z.strictObject({ action: z.literal('refund-received') })
]) satisfies z.ZodType<OrderAction>

export const outgoingLetterView = z.object({
  id: text(128),
  to: did,
  order: text(64).optional(),
  state: z.enum(['sending', 'at-relay']),
  writtenAtMs: count,
  attempts: count,
  error: z.string().optional()
}) satisfies z.ZodType<OutgoingLetterView>

export const keptLetterView = z.object({
  id: text(256),
  from: did,
  code: text(64),
  message: z.string(),
  receivedAtMs: count,
  attempts: count
}) satisfies z.ZodType<KeptLetterView>

const stars = z.number().int().min(1).max(5)
const evidence = z.enum(['escrow', 'pair', 'one-sided'])

export const feedbackView = z.object({
  id: text(128),
  rater: did,
  subject: did,
  role: z.enum(['buyer', 'seller']),
  order: text(64),
  listing: text(128),
  stars,
  aspects: z.record(z.string(), z.number()),
  text: text(2000),
  createdAtMs: count,
  evidence
}) satisfies z.ZodType<FeedbackView>

export const feedbackDraft = z.strictObject({
  order: text(64).min(8),
  stars,
  aspects: z
    .strictObject({
      described: stars.optional(),
      communication: stars.optional(),
      punctuality: stars.optional(),
      care: stars.optional()
    })
    .optional(),
  text: text(2000).optional()
}) satisfies z.ZodType<FeedbackDraft>

export const reputationView = z.object({
  subject: did,
  expected: z.number(),
  confidence: z.number(),
  lowerBound: z.number(),
  ratings: count,
  evidence: z.record(evidence, count),
  completeness: z.object({ settled: count, withFeedback: count }).optional(),
  because: z.array(z.object({ path: z.array(did), text: z.string(), contribution: z.number() }))
}) satisfies z.ZodType<ReputationView>

export const peerView = z.object({
  id: text(128),
  addresses: z.array(text(256)),
  connected: z.boolean(),
  direction: z.enum(['inbound', 'outbound']).optional(),
  relayed: z.boolean().optional(),
  latencyMs: z.number().optional(),
  agent: text(256).optional(),
  score: z.number(),
  reasons: z.array(z.string()),
  bannedUntilMs: z.number().optional()
}) satisfies z.ZodType<PeerView>

export const balanceView = z.object({
  chain: text(64),
  token: text(42),
  symbol: text(16),
  decimals: count,
  available: minor.optional(),
  locked: minor.optional()
}) satisfies z.ZodType<BalanceView>

export const statusView = z.object({
  did,
  nym: text(32),
  name: text(64).optional(),
  peerId: text(128),
  addresses: z.array(text(256)),
  peers: count,
  listings: count,
  records: count,
  searchable: z.boolean(),
  sync: z.enum(['alone', 'catching-up', 'current']),
  storage: z.object({ state: z.enum(['ok', 'read-only', 'damaged']), imageBytes: count }),
  clock: z.object({ state: z.enum(['unknown', 'ok', 'off']), aheadMs: z.int().optional() }),
  chains: z.array(
    z.object({ chain: text(64), state: z.enum(['ok', 'unreachable', 'wrong-contract']), block: count.optional() })
  ),
  undelivered: count,
  startedAtMs: count,
  rssBytes: count
}) satisfies z.ZodType<StatusView>

export const category = z.object({
  id: text(32),
  name: text(80),
  children: z.array(z.object({ id: text(32), name: text(80) }))
})
