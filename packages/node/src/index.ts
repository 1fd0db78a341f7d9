/**
 * A whole Souk node as a library: listings, search, orders, feedback and reputation over libp2p, with everything that
 * it returns as plain data.
 *
 * @example
 * ```ts
 * const identity = identityFromPhrase(createPhrase())
 * await using node = await createNode({ directory: 'souk-data', identity })
 * await node.listings.publish({ title: 'A lamp', category: 'hg', price: { minor: '1500', currency: 'EUR' } })
 * const { hits } = await node.search({ text: 'lamp' })
 * const order = await until(node, async () => (await node.orders.list({ role: 'seller' }))[0])
 * ```
 *
 * @packageDocumentation
 */
export { createNode } from './create.ts'
export type { NodeInit } from './create.ts'
export type { ChainInit, NetworkInit, ReferenceRates, TokenInit, TrustInit } from './config.ts'
export { NodeError } from './errors.ts'
export type { NodeErrorCode } from './errors.ts'
export type { Feedback, FeedbackDraft, FeedbackView, ReputationView } from './feedback.ts'
export type { ImageView } from './image.ts'
export type { DeliveryView, ListingDraft, ListingView, SettlementDraft, SettlementView } from './listing.ts'
export type {
  BalanceView,
  ImageShelf,
  ImportResult,
  ListingFilter,
  Listings,
  NodeEvent,
  Peers,
  PeerView,
  SearchPage,
  SearchQuery,
  SoukNode,
  StatusView,
  Wallet
} from './node.ts'
export type { KeptLetterView, Letters, LetterState, OutgoingLetterView } from './letters.ts'
export type { BuyRequest, OrderAction, Orders, OrderView } from './order.ts'
export type { ProfileDraft, Profiles, ProfileView } from './profile.ts'
export { until } from './until.ts'
/** What an embedder needs of the packages below to make a node and to name what it gives. */
export { createPhrase, identityFromPhrase } from '@souk/records'
export type { Channel, Did, Identity, JsonLd, WireMoney } from '@souk/records'
