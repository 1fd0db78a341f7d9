import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { type Did, didFromKey, type Signer, type SoukRecord } from '@souk/records'
import type { Storage, StorageOp, Sublevel } from '@souk/storage'
import {
  checkTerms,
  createRequest,
  encodeTerms,
  escrowOrderOf,
  type OrderEvent,
  type SettlementChoice,
  type Terms,
  termsFromListing,
  termsHash
} from '@souk/trading'
import { type Chains, localConfigOf } from './chains.ts'
import { NodeError } from './errors.ts'
import type { ListingDesk } from './listings.ts'
import type { BuyRequest } from './order.ts'
import type { OrderBook, OrderNote } from './order-book.ts'
import { expectedOf } from './order-steps.ts'
import type { Turns } from './turns.ts'

export interface BuyingComponents {
  readonly storage: Pick<Storage, 'sublevel'>
  readonly book: Pick<OrderBook, 'open'>
  readonly listings: Pick<ListingDesk, 'recordOf'>
  readonly chains: Chains
  readonly signer: Signer
  /** Lower case. */
  readonly wallet: string
  readonly regionOf: (did: Did) => Promise<string | undefined>
  readonly random: (length: number) => Uint8Array
  readonly inTurn: Turns
}

/** Makes requests of what a buyer says. */
export interface Buying {
  /** @returns The order's id. @throws See {@link Orders.buy}. */
  buy(request: BuyRequest): Promise<string>
}

export function createBuying(components: BuyingComponents, init: { now: () => number }): Buying {
  const { storage, book, listings, chains, signer, inTurn } = components
  const me = didFromKey(signer.publicKey)
  /** Requests that have become orders, by the key with which they were made. */
  const bought: Sublevel<Bought> = storage.sublevel<Bought>('order-requests', { values: 'json' })

  const buy = async ({ requestKey: key, ...request }: BuyRequest): Promise<string> => {
    if (key === undefined) return buyNow(request)
    const hash = bytesToHex(sha256(utf8ToBytes(JSON.stringify(request, Object.keys(request).toSorted()))))
    return inTurn(`buy ${key}`, async () => {
      const before = await bought.get(key)
      if (before === undefined) {
        return buyNow(request, (order) => [{ type: 'put', sublevel: bought, key, value: { order, hash } }])
      }
      if (before.hash !== hash)
        throw new NodeError('key-used', 'another request was made with this key; draw a new one')
      return before.order
    })
  }

  const buyNow = async (request: BuyRequest, extraOps: (order: string) => StorageOp[] = () => []): Promise<string> => {
    const listing = await listings.recordOf(request.listing)
    if (didFromKey(listing.author) === me) throw new NodeError('own-listing', 'this listing is your own')
    const delivery = await deliveryOf(listing, request)
    const secret = delivery.kind === 'pick-up' ? components.random(16) : undefined
    const choice = {
      buyer: signer.publicKey,
      quantity: request.quantity ?? 1,
      delivery,
      settlement: settlementOf(listing, request),
      salt: components.random(32),
      nowMs: init.now(),
      ...(secret === undefined ? {} : { pickupHash: sha256(secret) })
    }
    const terms = termsFromListing(listing, choice)
    checkTerms(terms, listing, { ...localConfigOf(chains, init.now()), buyerAddress: components.wallet })
    const event = await requestOf(terms, request)
    const note: OrderNote = { paysAtOnce: true, ...(secret === undefined ? {} : { pickupSecret: bytesToHex(secret) }) }
    const escrowId = event.payload.escrowId && `0x${bytesToHex(event.payload.escrowId)}`
    const to = didFromKey(listing.author)
    await book.open(event, { note, listing, escrowId, to, extraOps: extraOps(event.order) })
    return event.order
  }

  /** Signs the request; with escrow, only after the order on chain has passed every check that comes before paying. */
  const requestOf = async (terms: Terms, { shipTo, note }: BuyRequest): Promise<OrderEvent<'request'>> => {
    const said = {
      terms,
      atMs: terms.createdAtMs,
      ...(shipTo === undefined ? {} : { deliverTo: shipTo }),
      ...(note === undefined ? {} : { note })
    }
    if (terms.settlement.kind !== 'escrow') return createRequest(said, signer)
    const { escrow } = chains.get(terms.settlement.chain)
    // The salt makes the terms' bytes known only now: a request without its escrow's id cannot be signed.
    const termsBytes = encodeTerms(terms)
    const order = escrowOrderOf(terms, termsBytes)
    await escrow.check(order, expectedOf({ terms, order: bytesToHex(termsHash(termsBytes)) as never }, escrow))
    return createRequest({ ...said, escrowId: hexToBytes(escrow.orderId(order).slice(2)) }, signer)
  }

  const deliveryOf = async (listing: SoukRecord<'listing'>, request: BuyRequest) => {
    const kind =
      request.delivery ??
      listing.content?.delivery.find((offer) => offer.kind === 'ship' || offer.kind === 'pick-up')?.kind
    if (kind !== 'ship') return { kind: 'pick-up' as const }
    const country = request.country ?? (await components.regionOf(me)) ?? soleCountry(listing)
    if (country === undefined) throw new NodeError('bad-draft', 'say to which country it is to be shipped')
    return { kind, country }
  }

  const settlementOf = (listing: SoukRecord<'listing'>, { settlement }: BuyRequest): SettlementChoice => {
    const offers = listing.content?.settlements ?? []
    const usable = offers.find(
      (offer) =>
        offer.kind === 'escrow' &&
        chains.all.some(
          ({ init: { chain, tokens } }) =>
            chain === offer.chain && tokens.some(({ address }) => address === offer.token)
        )
    )
    if (settlement !== 'direct' && usable?.kind === 'escrow') {
      const { chain, token } = usable
      return { kind: 'escrow', chain, token, buyerAddress: components.wallet as `0x${string}` }
    }
    if (settlement === 'escrow')
      throw new NodeError('no-chain', 'the listing takes no escrow that this node is set up for')
    return { kind: offers.some(({ kind }) => kind === 'direct') ? 'direct' : 'none' }
  }

  return { buy }
}

interface Bought {
  readonly order: string
  /** SHA-256 of the request, in hexadecimal. */
  readonly hash: string
}

function soleCountry({ content }: SoukRecord<'listing'>): string | undefined {
  const countries = content?.delivery.flatMap((offer) => (offer.kind === 'ship' ? offer.to : [])) ?? []
  return countries.length === 1 ? countries[0] : undefined
}
