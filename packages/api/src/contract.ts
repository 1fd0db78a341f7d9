import type { NodeErrorCode } from '@souk/node'
import * as z from 'zod'
import {
  addedImage,
  balanceView,
  buyRequest,
  category,
  did,
  feedbackDraft,
  feedbackView,
  keptLetterView,
  listingDraft,
  listingView,
  orderAction,
  orderView,
  outgoingLetterView,
  peerView,
  profileDraft,
  profileView,
  reputationView,
  searchPage,
  statusView
} from './schemas.ts'

/** What a token may do. `wallet:spend` is asked for beside `orders:write` where money may move. */
export type Scope = 'read' | 'listings:write' | 'orders:write' | 'wallet:spend' | 'node:admin'

export const scopes: readonly Scope[] = ['read', 'listings:write', 'orders:write', 'wallet:spend', 'node:admin']

/** One route. What a field leaves out, the route does not take. */
export interface Route {
  readonly summary: string
  readonly scope: Scope
  readonly query?: z.ZodObject
  /** JSON of this shape, or `bytes` for a file. */
  readonly body?: z.ZodType | 'bytes'
  /** JSON of this shape, `webp` for a picture, `nothing` for 204. */
  readonly response: z.ZodType | 'webp' | 'nothing'
  /** True for bodies that move money: the token then needs `wallet:spend` too. */
  readonly spends?: (body: never) => boolean
  /** Codes of the node's own that it can answer; those of every route and of the packages below the node come on top. */
  readonly errors?: readonly NodeErrorCode[]
}

const limit = z.coerce.number().int().min(1).max(500).optional()
const flag = z
  .enum(['true', 'false'])
  .transform((value) => value === 'true')
  .optional()
const number = z.coerce.number()
const condition = z.enum(['New', 'Used', 'Refurbished', 'Damaged']).optional()
const businessFunction = z.enum(['Sell', 'LeaseOut', 'ProvideService', 'Lend', 'Give', 'Swap']).optional()

/**
 * The whole surface, once: server, typed client and OpenAPI are made from it. Keys are method and path, so that the
 * client needs nothing of this at run time.
 */
export const contract = {
  'GET /v1/status': { summary: 'How the node is', scope: 'read', response: statusView },
  'GET /v1/profile': { summary: "One's own profile", scope: 'read', response: profileView },
  'PUT /v1/profile': {
    summary: "Publish one's own profile",
    scope: 'listings:write',
    body: profileDraft,
    response: profileView,
    errors: ['bad-draft']
  },
  'GET /v1/profiles/:did': { summary: 'The profile of an identity', scope: 'read', response: profileView },
  'POST /v1/images': {
    summary: 'Add a picture; place and camera are dropped',
    scope: 'listings:write',
    body: 'bytes',
    response: addedImage
  },
  'GET /v1/images/:cid': {
    summary: 'A picture, as safe WebP',
    scope: 'read',
    response: 'webp',
    errors: ['not-found', 'bad-draft']
  },
  'GET /v1/categories': { summary: 'The taxonomy', scope: 'read', response: z.array(category) },
  'GET /v1/listings': {
    summary: 'Listings, newest first',
    scope: 'read',
    query: z.strictObject({
      seller: did.optional(),
      category: z.string().max(32).optional(),
      after: z.string().max(128).optional(),
      limit
    }),
    response: z.array(listingView)
  },
  'POST /v1/listings': {
    summary: 'Publish a listing',
    scope: 'listings:write',
    body: listingDraft,
    response: listingView,
    errors: ['bad-draft', 'no-chain', 'no-escrow-price']
  },
  'GET /v1/listings/:id': {
    summary: 'A listing, by id or key',
    scope: 'read',
    response: listingView,
    errors: ['not-found']
  },
  'PATCH /v1/listings/:id': {
    summary: "Change one's own listing",
    scope: 'listings:write',
    body: listingDraft.partial(),
    response: listingView,
    errors: ['not-found', 'not-yours', 'bad-draft', 'no-chain', 'no-escrow-price']
  },
  'DELETE /v1/listings/:id': {
    summary: "Delete one's own listing",
    scope: 'listings:write',
    response: 'nothing',
    errors: ['not-found', 'not-yours']
  },
  'GET /v1/search': {
    summary: 'Search what this node holds',
    scope: 'read',
    query: z.strictObject({
      text: z.string().max(200).optional(),
      category: z.string().max(32).optional(),
      seller: did.optional(),
      country: z.string().length(2).optional(),
      businessFunction,
      condition,
      currency: z.string().max(160).optional(),
      min: z.string().max(39).optional(),
      max: z.string().max(39).optional(),
      lat: number.min(-90).max(90).optional(),
      lon: number.min(-180).max(180).optional(),
      km: number.min(0).max(20_040).optional(),
      sort: z.enum(['best', 'newest', 'cheapest', 'nearest']).optional(),
      limit,
      offset: z.coerce.number().int().min(0).max(100_000).optional()
    }),
    response: searchPage
  },
  'GET /v1/orders': {
    summary: 'Orders, newest first',
    scope: 'read',
    query: z.strictObject({
      role: z.enum(['buyer', 'seller']).optional(),
      open: flag,
      after: z.string().max(64).optional(),
      limit
    }),
    response: z.array(orderView),
    errors: ['not-found']
  },
  'POST /v1/orders': {
    summary: 'Buy; with escrow, this is the consent to pay',
    scope: 'orders:write',
    body: buyRequest,
    response: orderView,
    spends: ({ settlement }: z.output<typeof buyRequest>) => settlement !== 'direct',
    errors: ['not-found', 'own-listing', 'out-of-stock', 'no-profile', 'no-chain', 'refused', 'key-used']
  },
  'GET /v1/orders/:id': { summary: 'An order', scope: 'read', response: orderView, errors: ['not-found'] },
  'POST /v1/orders/:id/actions': {
    summary: 'Act on an order',
    scope: 'orders:write',
    body: orderAction,
    response: orderView,
    spends: ({ action }: z.output<typeof orderAction>) => action === 'confirm' || action === 'refund',
    errors: ['not-found', 'not-allowed-now', 'refused', 'early']
  },
  'GET /v1/letters': {
    summary: 'Letters on their way, and those that came and could not be processed',
    scope: 'read',
    response: z.object({ outgoing: z.array(outgoingLetterView), kept: z.array(keptLetterView) })
  },
  'POST /v1/letters/:id/replay': {
    summary: 'Process a kept letter once more; answers with the letter where it is still kept',
    scope: 'orders:write',
    response: z.object({ kept: keptLetterView.optional() }),
    errors: ['not-found']
  },
  'DELETE /v1/letters/:id': {
    summary: 'Throw a kept letter away',
    scope: 'orders:write',
    response: 'nothing',
    errors: ['not-found']
  },
  'POST /v1/feedback': {
    summary: 'Rate the other party of an order',
    scope: 'orders:write',
    body: feedbackDraft,
    response: feedbackView,
    errors: ['not-found', 'not-allowed-now', 'already-given']
  },
  'GET /v1/feedback/:did': {
    summary: 'Ratings of an identity; with search, asks the network too',
    scope: 'read',
    query: z.strictObject({ search: flag }),
    response: z.array(feedbackView)
  },
  'GET /v1/ratings/:id': {
    summary: 'One rating by its id; with search, from the DHT when it is not here',
    scope: 'read',
    query: z.strictObject({ search: flag }),
    response: feedbackView
  },
  'GET /v1/reputation/:did': {
    summary: 'How far trust in an identity reaches, and why',
    scope: 'read',
    query: z.strictObject({ search: flag }),
    response: reputationView
  },
  'GET /v1/peers': { summary: 'Connected and known peers', scope: 'read', response: z.array(peerView) },
  'POST /v1/peers': {
    summary: 'Connect to an address',
    scope: 'node:admin',
    body: z.strictObject({ address: z.string().max(512) }),
    response: peerView,
    errors: ['unreachable']
  },
  'GET /v1/wallet': {
    summary: 'Address and balances',
    scope: 'read',
    response: z.object({ address: z.string(), balances: z.array(balanceView) })
  }
} as const satisfies Record<string, Route>

/** Method and path of a route. */
export type RouteName = keyof typeof contract

type Field<N extends RouteName, F extends string> = (typeof contract)[N] extends Record<F, infer T> ? T : never
type PathParams<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Name | PathParams<Rest>
  : P extends `${string}:${infer Name}`
    ? Name
    : never

/** What a route is called with. */
export type RequestOf<N extends RouteName> = ([PathParams<N>] extends [never]
  ? unknown
  : { readonly params: Record<PathParams<N>, string> }) &
  (Field<N, 'query'> extends z.ZodType ? { readonly query?: z.input<Field<N, 'query'>> } : unknown) &
  ([Field<N, 'body'>] extends [never]
    ? unknown
    : Field<N, 'body'> extends 'bytes'
      ? { readonly body: Uint8Array }
      : Field<N, 'body'> extends z.ZodType
        ? { readonly body: z.input<Field<N, 'body'>> }
        : unknown)

/** What it answers. */
export type ResponseOf<N extends RouteName> =
  Field<N, 'response'> extends 'webp'
    ? Uint8Array
    : Field<N, 'response'> extends 'nothing'
      ? undefined
      : Field<N, 'response'> extends z.ZodType
        ? z.output<Field<N, 'response'>>
        : never
