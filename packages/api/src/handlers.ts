import type { SoukNode } from '@souk/node'
import { categories, type Did, keyFromDid } from '@souk/records'
import type { RequestOf, ResponseOf, RouteName } from './contract.ts'
import { ApiError } from './errors.ts'

/** A request whose parts have passed the contract's schemas, with query values as they come out of them. */
export type Handled<N extends RouteName> = RequestOf<N> & { readonly query?: unknown; readonly signal: AbortSignal }

/** One function a route: nothing but calls into the node. */
export type Handlers = { [N in RouteName]: (request: Handled<N>) => Promise<ResponseOf<N>> }

/** What each route does. */
export function createHandlers(node: SoukNode): Handlers {
  return {
    'GET /v1/status': () => mutable(node.status()),
    'GET /v1/profile': () => profileOf(node, node.did),
    'PUT /v1/profile': ({ body }) => mutable(node.profiles.publish(body)),
    'GET /v1/profiles/:did': ({ params }) => profileOf(node, didOf(params.did)),
    'POST /v1/images': ({ body, signal }) => mutable(node.images.add(body, { signal })),
    'GET /v1/images/:cid': ({ params, signal }) => node.images.get(params.cid, { signal }),
    'GET /v1/categories': () => mutable(Promise.resolve(categories)),
    'GET /v1/listings': ({ query }) =>
      mutable(node.listings.list(query as Parameters<SoukNode['listings']['list']>[0])),
    'POST /v1/listings': ({ body }) => mutable(node.listings.publish(body)),
    'GET /v1/listings/:id': ({ params }) => mutable(node.listings.get(params.id)),
    'PATCH /v1/listings/:id': ({ params, body }) => mutable(node.listings.update(params.id, body)),
    'DELETE /v1/listings/:id': ({ params }) => node.listings.delete(params.id).then(() => undefined),
    'GET /v1/search': ({ query }) => mutable(node.search(searchOf((query ?? {}) as SearchParams))),
    'GET /v1/orders': ({ query }) => mutable(node.orders.list(query as Parameters<SoukNode['orders']['list']>[0])),
    'POST /v1/orders': ({ body }) => mutable(node.orders.buy(body)),
    'GET /v1/orders/:id': ({ params }) => mutable(node.orders.get(params.id)),
    'POST /v1/orders/:id/actions': ({ params, body }) => mutable(node.orders.act(params.id, body)),
    'GET /v1/letters': async () => ({
      outgoing: await mutable(node.letters.outgoing()),
      kept: await mutable(node.letters.kept())
    }),
    'POST /v1/letters/:id/replay': async ({ params }) => ({ kept: await mutable(node.letters.replay(params.id)) }),
    'DELETE /v1/letters/:id': ({ params }) => node.letters.discard(params.id).then(() => undefined),
    'POST /v1/feedback': ({ body }) => mutable(node.feedback.give(body)),
    'GET /v1/ratings/:id': ({ params, query, signal }) =>
      mutable(node.feedback.get(params.id, { ...(query as object), signal })),
    'GET /v1/feedback/:did': ({ params, query, signal }) =>
      mutable(node.feedback.about(didOf(params.did), { ...(query as object), signal })),
    'GET /v1/reputation/:did': ({ params, query, signal }) =>
      mutable(node.feedback.reputation(didOf(params.did), { ...(query as object), signal })),
    'GET /v1/peers': () => mutable(node.peers.list()),
    'POST /v1/peers': ({ body, signal }) => mutable(node.peers.connect(body.address, { signal })),
    'GET /v1/wallet': async () => ({ address: node.wallet.address, balances: await mutable(node.wallet.balances()) })
  }
}

type SearchParams = NonNullable<RequestOf<'GET /v1/search'>['query']> & {
  lat?: number
  lon?: number
  km?: number
  limit?: number
  offset?: number
}

/** Flat query parameters to the node's nested ones. */
function searchOf({ currency, min, max, lat, lon, km, ...rest }: SearchParams): Parameters<SoukNode['search']>[0] {
  const price = currency === undefined ? {} : { price: { currency, minMinor: min, maxMinor: max } }
  if (currency === undefined && (min !== undefined || max !== undefined)) {
    throw new ApiError('bad-request', 'min and max need a currency beside them')
  }
  if ((lat === undefined) !== (lon === undefined) || (lat === undefined && km !== undefined)) {
    throw new ApiError('bad-request', 'a place is both lat and lon, and km is around one')
  }
  const near = lat === undefined || lon === undefined ? {} : { near: { lat, lon, km: km ?? 50 } }
  return { ...(rest as Parameters<SoukNode['search']>[0]), ...price, ...near }
}

async function profileOf(node: SoukNode, did: Did): Promise<ResponseOf<'GET /v1/profile'>> {
  const profile = await node.profiles.get(did)
  if (profile === undefined) throw new ApiError('not-found', `no profile of ${did} has reached this node`)
  return mutable(Promise.resolve(profile))
}

function didOf(text: string): Did {
  keyFromDid(text)
  return text as Did
}

/** The node's views are deeply read-only; the contract's are not. They are written out as JSON at once. */
type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T

function mutable<T>(value: Promise<T>): Promise<Mutable<T>> {
  return value as Promise<Mutable<T>>
}
