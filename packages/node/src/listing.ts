import {
  type ContentOf,
  cleanText,
  currencyDecimals,
  type Did,
  didFromKey,
  nymFromKey,
  type SoukRecord,
  topCategory,
  type WireMoney
} from '@souk/records'
import type { ChainInit } from './config.ts'
import { NodeError } from './errors.ts'
import { type ImageView, imageToContent, imageToView } from './image.ts'

/** A listing as plain data: survives JSON, so that the API, the CLI and an embedder see the same. */
export interface ListingView {
  /** Id of this revision. */
  readonly id: string
  /** Names the listing through all its revisions. */
  readonly key: string
  readonly seq: number
  readonly market: string
  readonly seller: Did
  /** Two words that everybody derives alike from the seller's key. */
  readonly nym: string
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly type: 'Offer' | 'Demand'
  readonly businessFunction: ListingContent['businessFunction']
  readonly trade: ListingContent['trade']
  readonly title: string
  readonly description: string
  readonly language: string
  readonly category: string
  readonly itemCondition?: ListingContent['itemCondition']
  readonly price?: WireMoney | undefined
  readonly unit: string
  readonly quantity: number
  readonly images: readonly ImageView[]
  readonly delivery: readonly DeliveryView[]
  readonly settlements: readonly SettlementView[]
  readonly place?: ListingContent['place']
  readonly tags: readonly string[]
}

export type DeliveryView =
  | {
      readonly kind: 'ship'
      /** In minor units of the listing's currency. */
      readonly price: string
      /** ISO 3166 countries. */
      readonly to: readonly string[]
      readonly handlingDays: number
      readonly transitDays: number
    }
  | { readonly kind: 'pick-up' | 'digital' | 'on-site' }

export type SettlementView =
  | {
      readonly kind: 'escrow'
      readonly chain: string
      readonly contract: string
      readonly token: string
      readonly seller: string
      readonly price: string
    }
  | { readonly kind: 'direct'; readonly methods: readonly string[] }
  | { readonly kind: 'none' }

/** What a seller says; the node adds the rest. */
export interface ListingDraft {
  readonly title: string
  readonly description?: string | undefined
  readonly category: string
  readonly type?: 'Offer' | 'Demand' | undefined
  readonly businessFunction?: ListingContent['businessFunction'] | undefined
  readonly trade?: ListingContent['trade'] | undefined
  readonly language?: string | undefined
  readonly itemCondition?: ListingContent['itemCondition']
  readonly price?: WireMoney | undefined
  readonly unit?: string | undefined
  readonly quantity?: number | undefined
  readonly images?: readonly ImageView[] | undefined
  readonly delivery?: readonly DeliveryView[] | undefined
  readonly settlements?: readonly SettlementDraft[] | undefined
  readonly place?: ListingContent['place']
  readonly tags?: readonly string[] | undefined
}

/** How the seller wants to be paid; addresses and contracts come from the node's own configuration. */
export type SettlementDraft =
  | {
      readonly kind: 'escrow'
      readonly chain?: string | undefined
      /** Symbol or address of an allowed token. */
      readonly token?: string | undefined
      /** Of one unit, in the token's minor units; derived from the listing's price when the token pegs its currency. */
      readonly price?: string | undefined
    }
  | { readonly kind: 'direct'; readonly methods?: readonly string[] | undefined }
  | { readonly kind: 'none' }

type ListingContent = ContentOf<'listing'>

/** What a draft is completed from. */
export interface DraftContext {
  readonly chains: readonly ChainInit[]
  /** The seller's own wallet, lower case. */
  readonly wallet: string
}

/** Completes a draft: cleans its text, fills defaults, and turns "by escrow" into addresses of local configuration. */
export function draftToContent(draft: ListingDraft, context: DraftContext): ListingContent {
  const content: ListingContent = {
    type: draft.type ?? 'Offer',
    businessFunction: draft.businessFunction ?? 'Sell',
    trade: draft.trade ?? (draft.price === undefined ? 'classified' : 'fixed-price'),
    title: cleanText(draft.title).replace(/\s+/g, ' '),
    description: cleanText(draft.description ?? ''),
    language: draft.language ?? 'en',
    category: draft.category,
    unit: draft.unit ?? 'C62',
    quantity: draft.quantity ?? 1,
    images: (draft.images ?? []).map(imageToContent),
    delivery: structuredClone(draft.delivery ?? [{ kind: 'pick-up' }]) as ListingContent['delivery'],
    settlements: (draft.settlements ?? [{ kind: 'direct' }]).map((settlement) => settle(settlement, draft, context)),
    tags: (draft.tags ?? []).map(cleanText)
  }
  return withoutUndefined({ ...content, itemCondition: draft.itemCondition, price: draft.price, place: draft.place })
}

/** A draft that says again what a listing says, for changing some of it. */
export function viewToDraft(view: ListingView): ListingDraft {
  const settlements = view.settlements.map((settlement) => {
    if (settlement.kind !== 'escrow') return settlement
    const { chain, token, price } = settlement
    return { kind: 'escrow' as const, chain, token, price }
  })
  return { ...view, settlements }
}

/** @returns What people see of a record; the record must not be a tombstone. */
export function listingView(record: SoukRecord<'listing'>): ListingView {
  const { content } = record
  if (content === null) throw new NodeError('not-found', `the listing ${record.key} was deleted`)
  return {
    ...(content as unknown as Omit<ListingView, 'images'>),
    id: record.id,
    key: record.key,
    seq: record.seq,
    market: record.market,
    seller: didFromKey(record.author),
    nym: nymFromKey(record.author),
    createdAtMs: record.createdAtMs,
    expiresAtMs: record.expiresAtMs,
    images: content.images.map(imageToView)
  }
}

/** A new listing key: the top category, so that the channel follows from it, and 80 random bits. */
export function createListingKey(category: string, random: Uint8Array): string {
  const tail = Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${topCategory(category)}.${tail}`
}

function settle(
  settlement: SettlementDraft,
  draft: ListingDraft,
  context: DraftContext
): SettlementView & ListingContent['settlements'][number] {
  switch (settlement.kind) {
    case 'none':
      return { kind: 'none' }
    case 'direct':
      return { kind: 'direct', methods: (settlement.methods ?? ['cash']).map(cleanText) }
    case 'escrow': {
      const chain = context.chains.find(({ chain }) => settlement.chain === undefined || chain === settlement.chain)
      if (chain === undefined)
        throw new NodeError('no-chain', `this node has no chain ${settlement.chain ?? 'configured'}`)
      const token = findToken(chain, settlement.token, draft.price?.currency)
      const price = settlement.price ?? convert(draft.price, token)
      return {
        kind: 'escrow',
        chain: chain.chain,
        contract: chain.contract,
        token: token.address,
        seller: context.wallet,
        price
      }
    }
  }
}

function findToken(
  chain: ChainInit,
  name: string | undefined,
  currency: string | undefined
): ChainInit['tokens'][number] {
  const wanted = name?.toLowerCase()
  const token = chain.tokens.find(({ symbol, address, pegs }) =>
    wanted === undefined
      ? pegs !== undefined && pegs === currency
      : symbol.toLowerCase() === wanted || address === wanted
  )
  if (token !== undefined) return token
  const known = chain.tokens.map(({ symbol }) => symbol).join(', ')
  throw new NodeError(
    'no-escrow-price',
    `name a token of ${chain.chain} for the escrow: one of ${known || 'none configured'}`
  )
}

/** The price in a token that stands for the listing's currency. */
function convert(price: WireMoney | undefined, token: ChainInit['tokens'][number]): string {
  if (price === undefined || token.pegs !== price.currency) {
    throw new NodeError(
      'no-escrow-price',
      `say what one unit costs in ${token.symbol}: it stands for no price in this listing`
    )
  }
  const shift = token.decimals - currencyDecimals(price.currency)
  if (shift < 0) throw new NodeError('no-escrow-price', `${token.symbol} is coarser than ${price.currency}`)
  return (BigInt(price.minor) * 10n ** BigInt(shift)).toString()
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as T
}
