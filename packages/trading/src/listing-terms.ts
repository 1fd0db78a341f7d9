/** Terms from a listing, and the check that terms are what the listing says. docs/protocol/orders.md section 1. */
import { type ContentOf, encodeCanonical, sameBytes, type SoukRecord, type WireMoney } from '@souk/records'
import { CID } from 'multiformats/cid'
import { TradingError, type TermsErrorCode } from './errors.ts'
import { type DeliveryOffer, tradeKindFor, tradeKindOf } from './kinds.ts'
import { defaultTimers, escrowDefaults } from './limits.ts'
import { encodeTerms, type EscrowFields, type Terms } from './terms.ts'

export type Listing = SoukRecord<'listing'>
type ListingContent = ContentOf<'listing'>
type EscrowOffer = Extract<ListingContent['settlements'][number], { kind: 'escrow' }>

/** What a buyer chooses; all else follows from the listing. */
export interface Choice {
  /** 32-byte public key. */
  readonly buyer: Uint8Array
  readonly quantity: number
  readonly delivery: { readonly kind: 'ship'; readonly country: string } | { readonly kind: 'pick-up' }
  readonly settlement: SettlementChoice
  /** 32 random bytes. */
  readonly salt: Uint8Array
  /** The buyer's clock. */
  readonly nowMs: number
  /** SHA-256 of a 16-byte secret that stays with the buyer; for `pick-up` only. */
  readonly pickupHash?: Uint8Array
}

export type SettlementChoice =
  | { readonly kind: 'direct' }
  | { readonly kind: 'none' }
  | {
      readonly kind: 'escrow'
      readonly chain: string
      readonly token: string
      /** The buyer's wallet, lower case. */
      readonly buyerAddress: `0x${string}`
      /** One of the listing's arbitrators by address; left out: none. */
      readonly arbiter?: string
    }

/** What a node is set up to trade with. */
export interface LocalConfig {
  readonly nowMs: number
  readonly chains: readonly {
    readonly chain: string
    readonly contract: string
    /** Tokens by address; the zero address is the chain's own coin. `amountMax` caps one order. */
    readonly tokens: readonly { readonly address: string; readonly amountMax?: bigint }[]
  }[]
  /** Units that other orders have left; the listing's own quantity when left out. */
  readonly available?: number
  /** The reader's own wallet where the reader buys: the terms must name it. */
  readonly buyerAddress?: string
}

const zeroAddress = `0x${'0'.repeat(40)}` as const
const second = 1000

/**
 * Terms for what a buyer chose.
 *
 * @throws {@link TradingError} `wrong-listing`, `unsupported-delivery`, `unsupported-settlement`, `out-of-stock`,
 *   `wrong-amount`, or `bad-terms` when the choice is malformed.
 */
export function termsFromListing(listing: Listing, choice: Choice): Terms {
  const content = contentOf(listing)
  refuse(choice.quantity > content.quantity, 'out-of-stock', `${choice.quantity} of ${content.quantity}`)
  const offer = deliveryOffer(content, choice)
  const trade = tradeKindFor(choice.delivery.kind)
  if (trade === undefined)
    throw new TradingError('unsupported-trade', `no trade is delivered by ${choice.delivery.kind}`)
  const windows = tradeKindOf(trade).windows(offer)
  const prices = pricesOf(content, { choice, offer })
  const acceptByMs = wholeSeconds(choice.nowMs + defaultTimers.acceptMs)
  const { payMs, acknowledgeMs, graceMs, closeMs, disputeMs, returnMs } = defaultTimers
  const terms: Terms = {
    v: 1,
    trade,
    listing: CID.parse(listing.id),
    listingKey: listing.key,
    buyer: choice.buyer,
    seller: listing.author,
    quantity: choice.quantity,
    unit: content.unit,
    price: prices.price,
    total: prices.total,
    delivery:
      choice.delivery.kind === 'ship' ? { ...choice.delivery, price: prices.delivery } : { kind: choice.delivery.kind },
    settlement: settlementTerms(content, { choice, windows, acceptByMs, total: prices.total }),
    legs: [{ from: 'seller', to: 'buyer', what: 'goods', amount: prices.total.minor, ...windows, onTimeout: 'accept' }],
    timers: { acceptByMs, payMs, acknowledgeMs, graceMs, closeMs, disputeMs, returnMs },
    ...(choice.pickupHash && { pickupHash: choice.pickupHash }),
    salt: choice.salt,
    createdAtMs: choice.nowMs
  }
  encodeTerms(terms)
  return terms
}

/**
 * Checks terms against the listing that they name and against this node's own configuration. Both sides call it before
 * they sign, accept or pay anything. Nothing in the terms is believed: all but the buyer's choice is computed again.
 *
 * @throws {@link TradingError} with the first code of {@link TermsErrorCode} that applies.
 */
export function checkTerms(terms: Terms, listing: Listing, config: LocalConfig): void {
  checkListing(terms, listing, config)
  const content = contentOf(listing)
  refuse(terms.trade !== tradeKindFor(terms.delivery.kind), 'unsupported-trade', `${terms.trade} is not known here`)
  checkSettlement(terms, content, config)
  deliveryOffer(content, terms)
  const available = Math.min(config.available ?? content.quantity, content.quantity)
  refuse(terms.quantity > available, 'out-of-stock', `${terms.quantity} of ${available} are there`)
  checkAgainst(terms, termsFromListing(listing, choiceOf(terms)))
  checkCap(terms, config)
  refuse(config.nowMs > terms.timers.acceptByMs, 'bad-deadline', 'the time to accept has passed')
  refuse(terms.createdAtMs > config.nowMs + defaultTimers.acceptMs, 'bad-deadline', 'the terms are from the future')
}

function checkListing(terms: Terms, listing: Listing, { nowMs }: LocalConfig): void {
  refuse(terms.listing.toString() !== listing.id, 'wrong-listing', `the terms are for ${terms.listing.toString()}`)
  refuse(terms.listingKey !== listing.key, 'wrong-listing', `the terms are for the slot ${terms.listingKey}`)
  refuse(!sameBytes(terms.seller, listing.author), 'wrong-listing', 'the seller is not the author of the listing')
  refuse(listing.content === null, 'wrong-listing', 'the listing is deleted')
  refuse(listing.expiresAtMs <= nowMs, 'expired-listing', 'the listing has expired')
}

function checkSettlement({ settlement }: Terms, content: ListingContent, config: LocalConfig): void {
  const offers = content.settlements.filter((offer) => offer.kind === settlement.kind)
  refuse(offers.length === 0, 'unsupported-settlement', `the listing does not settle by ${settlement.kind}`)
  if (settlement.kind !== 'escrow') return
  const { chain, contract, order } = settlement
  const known = config.chains.find((each) => each.chain === chain)
  refuse(known === undefined, 'wrong-chain', `this node does not settle on ${chain}`)
  refuse(known?.contract.toLowerCase() !== contract, 'wrong-contract', `${contract} is not the escrow on ${chain}`)
  const tokens = known?.tokens.map(({ address }) => address.toLowerCase()) ?? []
  refuse(!tokens.includes(order.token), 'wrong-token', `${order.token} is not among the tokens of this node`)
  checkEscrowOffer({ chain, contract, order }, offers as EscrowOffer[])
  const arbiters = content.arbitrators?.map(({ address }) => address) ?? []
  const own = config.buyerAddress?.toLowerCase()
  refuse(own !== undefined && own !== order.buyer, 'wrong-buyer-address', `${order.buyer} is not this node's wallet`)
  refuse([zeroAddress, order.seller].includes(order.buyer), 'wrong-buyer-address', `${order.buyer} cannot buy`)
  refuse(![zeroAddress, ...arbiters].includes(order.arbiter), 'wrong-arbiter', `${order.arbiter} is not of the listing`)
  refuse([order.buyer, order.seller].includes(order.arbiter), 'wrong-arbiter', 'a party cannot rule')
}

/** Chain, contract, token and seller must stand together in one of the listing's settlements. */
function checkEscrowOffer(
  { chain, contract, order }: { chain: string; contract: string; order: EscrowFields },
  offers: readonly EscrowOffer[]
): void {
  const steps = [
    ['wrong-chain', (offer: EscrowOffer) => offer.chain === chain],
    ['wrong-contract', (offer: EscrowOffer) => offer.contract === contract],
    ['wrong-token', (offer: EscrowOffer) => offer.token === order.token],
    ['wrong-seller-address', (offer: EscrowOffer) => offer.seller === order.seller]
  ] as const
  let left = offers
  for (const [code, matches] of steps) {
    left = left.filter(matches)
    refuse(left.length === 0, code, 'the listing has no such settlement')
  }
}

/** Field by field against the terms that the listing makes of the same choice. */
function checkAgainst(terms: Terms, made: Terms): void {
  const { settlement } = terms
  const own = settlement.kind === 'escrow' ? amountsOf(settlement.order) : []
  const due = made.settlement.kind === 'escrow' ? amountsOf(made.settlement.order) : []
  const money = (from: Terms, order: unknown): unknown => [
    from.price,
    from.total,
    from.delivery,
    from.legs[0]?.amount,
    order
  ]
  refuse(!same(money(terms, own), money(made, due)), 'wrong-amount', `the listing asks ${made.total.minor}`)
  const times = (from: Terms): unknown => [from.timers, from.legs, from.settlement]
  refuse(!same(times(terms), times(made)), 'bad-deadline', 'windows and deadlines are not those of the listing')
  refuse(!same(terms, made), 'bad-terms', 'the terms say what neither the listing nor the choice says')
}

function amountsOf({
  amount,
  buyerDeposit,
  sellerDeposit,
  feeRecipient,
  feeBps,
  arbiterFeeBps,
  defaultSellerBps
}: EscrowFields) {
  return [amount, buyerDeposit, sellerDeposit, feeRecipient, feeBps, arbiterFeeBps, defaultSellerBps]
}

function checkCap({ settlement, total }: Terms, config: LocalConfig): void {
  if (settlement.kind !== 'escrow') return
  const chain = config.chains.find((each) => each.chain === settlement.chain)
  const token = chain?.tokens.find(({ address }) => address.toLowerCase() === settlement.order.token)
  const most = token?.amountMax
  refuse(
    most !== undefined && BigInt(total.minor) > most,
    'over-cap',
    `${total.minor} is over this node's cap of ${most}`
  )
}

/** What the buyer must have chosen to come to these terms. */
function choiceOf(terms: Terms): Choice {
  const { buyer, quantity, delivery, settlement, salt, createdAtMs, pickupHash } = terms
  return {
    buyer,
    quantity,
    delivery: delivery.kind === 'ship' ? { kind: 'ship', country: delivery.country } : delivery,
    settlement:
      settlement.kind === 'escrow' ? escrowChoice(settlement.chain, settlement.order) : { kind: settlement.kind },
    salt,
    nowMs: createdAtMs,
    ...(pickupHash && { pickupHash })
  }
}

function escrowChoice(chain: string, { token, buyer, arbiter }: EscrowFields): SettlementChoice {
  return { kind: 'escrow', chain, token, buyerAddress: buyer, ...(arbiter !== zeroAddress && { arbiter }) }
}

function contentOf(listing: Listing): ListingContent {
  const { content } = listing
  if (content === null) throw new TradingError('wrong-listing', 'the listing is deleted')
  const trades = content.type === 'Offer' && ['Sell', 'Give'].includes(content.businessFunction)
  refuse(!trades, 'unsupported-trade', `this version does not order a ${content.type} to ${content.businessFunction}`)
  return content
}

function deliveryOffer(
  content: ListingContent,
  { delivery }: Pick<Choice, 'delivery'>
): DeliveryOffer & { price: string } {
  for (const offer of content.delivery) {
    if (offer.kind === 'ship' && delivery.kind === 'ship' && offer.to.includes(delivery.country)) return offer
    if (offer.kind === 'pick-up' && delivery.kind === 'pick-up') return { price: '0', handlingDays: 0, transitDays: 0 }
  }
  const where = delivery.kind === 'ship' ? ` to ${delivery.country}` : ''
  throw new TradingError('unsupported-delivery', `the listing does not offer ${delivery.kind}${where}`)
}

interface Prices {
  readonly price: WireMoney
  /** In minor units of the same currency. */
  readonly delivery: string
  readonly total: WireMoney
}

function pricesOf(content: ListingContent, { choice, offer }: { choice: Choice; offer: { price: string } }): Prices {
  const price = unitPrice(content, choice.settlement)
  const delivery = deliveryPrice(content, {
    settlement: choice.settlement,
    price: BigInt(price.minor),
    asked: BigInt(offer.price)
  })
  const total = BigInt(price.minor) * BigInt(choice.quantity) + delivery
  return { price, delivery: delivery.toString(), total: { minor: total.toString(), currency: price.currency } }
}

function unitPrice(content: ListingContent, settlement: SettlementChoice): WireMoney {
  if (settlement.kind === 'escrow') {
    const offer = escrowOffer(content, settlement)
    return { minor: offer.price, currency: assetName(offer) }
  }
  if (settlement.kind === 'none') return { minor: '0', currency: content.price?.currency ?? 'XXX' }
  if (content.price === undefined) throw new TradingError('wrong-amount', 'the listing names no price')
  return content.price
}

/** What delivery costs in the currency of the settlement: at the rate that the seller's own two prices make. */
function deliveryPrice(
  content: ListingContent,
  { settlement, price, asked }: { settlement: SettlementChoice; price: bigint; asked: bigint }
): bigint {
  if (settlement.kind === 'none' || asked === 0n) return 0n
  if (settlement.kind === 'direct') return asked
  const listed = BigInt(content.price?.minor ?? '0')
  refuse(listed === 0n, 'wrong-amount', 'the listing has no price that would turn the delivery into the token')
  return (asked * price + listed - 1n) / listed
}

function escrowOffer(content: ListingContent, { chain, token }: { chain: string; token: string }): EscrowOffer {
  const offer = content.settlements.find(
    (each): each is EscrowOffer => each.kind === 'escrow' && each.chain === chain && each.token === token
  )
  if (offer === undefined)
    throw new TradingError('unsupported-settlement', `the listing does not take ${token} on ${chain}`)
  return offer
}

/** CAIP-19. */
function assetName({ chain, token }: { chain: string; token: string }): string {
  return token === zeroAddress ? `${chain}/slip44:60` : `${chain}/erc20:${token}`
}

interface SettlementParts {
  readonly choice: Choice
  readonly windows: { readonly dueMs: number; readonly reviewMs: number }
  readonly acceptByMs: number
  readonly total: WireMoney
}

function settlementTerms(content: ListingContent, parts: SettlementParts): Terms['settlement'] {
  const { settlement } = parts.choice
  if (settlement.kind === 'escrow') {
    const { chain, contract } = escrowOffer(content, settlement)
    return { kind: 'escrow', chain, contract: contract as `0x${string}`, order: escrowFieldsOf(content, parts) }
  }
  const offer = content.settlements.find(({ kind }) => kind === settlement.kind)
  if (offer === undefined) {
    throw new TradingError('unsupported-settlement', `the listing does not settle by ${settlement.kind}`)
  }
  return offer.kind === 'direct' ? { kind: 'direct', methods: offer.methods } : { kind: 'none' }
}

function escrowFieldsOf(
  content: ListingContent,
  { choice, windows, acceptByMs, total }: SettlementParts
): EscrowFields {
  if (choice.settlement.kind !== 'escrow') throw new TradingError('wrong-escrow', 'not settled through escrow')
  const { buyerAddress, token, arbiter } = choice.settlement
  return {
    buyer: buyerAddress.toLowerCase() as `0x${string}`,
    seller: escrowOffer(content, choice.settlement).seller as `0x${string}`,
    arbiter: (arbiter?.toLowerCase() ?? zeroAddress) as `0x${string}`,
    token: token as `0x${string}`,
    feeRecipient: zeroAddress,
    amount: total.minor,
    buyerDeposit: '0',
    sellerDeposit: '0',
    acceptBy: acceptByMs / second,
    notBefore: 0,
    dispatchWindow: windows.dueMs / second,
    releaseWindow: windows.reviewMs / second,
    depositWindow: 0,
    rulingWindow: (arbiter ? escrowDefaults.rulingWindowMs : escrowDefaults.negotiationWindowMs) / second,
    feeBps: 0,
    arbiterFeeBps: arbiter ? escrowDefaults.arbiterFeeBps : 0,
    defaultSellerBps: escrowDefaults.defaultSellerBps
  }
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / second) * second
}

function same(a: unknown, b: unknown): boolean {
  return sameBytes(encodeCanonical(a), encodeCanonical(b))
}

function refuse(condition: boolean, code: TermsErrorCode, message: string): void {
  if (condition) throw new TradingError(code, message)
}
