/**
 * What buyer and seller agree on. The bytes are canonical and hold 32 random ones, so their hash names one order and
 * tells a stranger nothing. docs/protocol/orders.md section 1.
 */
import { decodeCanonical, encodeCanonical, type Money, moneyFromWire, RecordError, sameBytes } from '@souk/records'
import { sha256 } from '@noble/hashes/sha2.js'
import * as z from 'zod'
import { TradingError } from './errors.ts'
import { bytesOf, chain, count, country, digits, durationMs, evmAddress, line, link, money, timeMs } from './fields.ts'
import { bytesToHex } from '@noble/hashes/utils.js'
import { tradeKindNames, tradeKindOf } from './kinds.ts'
import { keyCharsMax, legsMax, methodCharsMax, methodsMax, quantityMax, termsBytesMax } from './limits.ts'

/** What the contract's `uint104` holds. */
const amount104 = digits.refine((value) => BigInt(value) < 1n << 104n, 'is more than 104 bits')

/** The fields of `Escrow.sol`'s `Order` but `termsHash`, which is the hash of what they stand in. */
export const escrowFields = z.strictObject({
  buyer: evmAddress,
  seller: evmAddress,
  /** The zero address: none. */
  arbiter: evmAddress,
  /** The zero address: the chain's own coin. */
  token: evmAddress,
  feeRecipient: evmAddress,
  amount: amount104,
  buyerDeposit: amount104,
  sellerDeposit: amount104,
  /** Seconds since 1970 by the chain's clock; windows are seconds. */
  acceptBy: count(2 ** 40 - 1),
  notBefore: count(2 ** 40 - 1),
  dispatchWindow: count(2 ** 32 - 1),
  releaseWindow: count(2 ** 32 - 1),
  depositWindow: count(2 ** 32 - 1),
  rulingWindow: count(2 ** 32 - 1),
  feeBps: count(1000),
  arbiterFeeBps: count(2500),
  defaultSellerBps: count(10_000)
})

const party = z.enum(['buyer', 'seller'])

const leg = z.strictObject({
  from: party,
  to: party,
  what: z.enum(['goods', 'money', 'service']),
  /** The part of the total that accepting this leg earns, in its minor units. */
  amount: digits,
  /** From the moment when the leg may begin. */
  dueMs: durationMs,
  /** From delivery. */
  reviewMs: durationMs,
  /** What silence means when `reviewMs` has passed. */
  onTimeout: z.enum(['accept', 'refund'])
})

const terms = z.strictObject({
  v: z.literal(1),
  trade: z.enum(tradeKindNames),
  listing: link,
  listingKey: line(keyCharsMax),
  buyer: bytesOf(32),
  seller: bytesOf(32),
  quantity: count(quantityMax).min(1),
  unit: z.string().regex(/^[A-Z0-9]{2,3}$/),
  price: money,
  total: money,
  delivery: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('ship'), price: digits, country }),
    z.strictObject({ kind: z.literal('pick-up') })
  ]),
  settlement: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('direct'), methods: z.array(line(methodCharsMax)).max(methodsMax) }),
    z.strictObject({ kind: z.literal('none') }),
    z.strictObject({ kind: z.literal('escrow'), chain, contract: evmAddress, order: escrowFields })
  ]),
  legs: z.array(leg).min(1).max(legsMax),
  timers: z.strictObject({
    /** A time, by the buyer's clock. All others are durations. */
    acceptByMs: timeMs,
    payMs: durationMs,
    acknowledgeMs: durationMs,
    graceMs: durationMs,
    closeMs: durationMs,
    disputeMs: durationMs,
    returnMs: durationMs
  }),
  pickupHash: bytesOf(32).optional(),
  salt: bytesOf(32),
  createdAtMs: timeMs
})

/** The terms of one order, as they travel: amounts are decimal digits, because wei do not fit in CBOR's 64 bits. */
export type Terms = z.infer<typeof terms>
/** What one party owes the other in exchange for money. */
export type Leg = Terms['legs'][number]
export type EscrowFields = z.infer<typeof escrowFields>

/** The id of an order: 64 hex digits, SHA-256 of the terms of its request. */
export type OrderId = string & { readonly __brand: 'OrderId' }

/**
 * @returns The canonical bytes of the terms.
 * @throws {@link TradingError} `bad-terms` when they are none.
 */
export function encodeTerms(given: Terms): Uint8Array {
  const bytes = encodeCanonical(given)
  openTerms(bytes)
  return bytes
}

/**
 * Reads terms from a peer: size, canonical form, shape, then whether the fields agree with each other. Whether they
 * agree with the listing is {@link checkTerms}'s to say.
 *
 * @throws {@link TradingError} `bad-terms`.
 */
export function openTerms(bytes: Uint8Array): Terms {
  const result = terms.safeParse(decodeTerms(bytes))
  if (!result.success) {
    const issue = result.error.issues[0]
    throw new TradingError(
      'bad-terms',
      `terms.${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'malformed'}`
    )
  }
  checkAgreesWithItself(result.data)
  return result.data
}

/** 32 bytes. */
export function termsHash(bytes: Uint8Array): Uint8Array {
  return sha256(bytes)
}

/** The id of the order whose request carries these terms. */
export function orderIdOf(bytes: Uint8Array): OrderId {
  return bytesToHex(termsHash(bytes)) as OrderId
}

/** What the buyer pays in all. */
export function totalOf(given: Terms): Money {
  return moneyFromWire(given.total)
}

function decodeTerms(bytes: Uint8Array): unknown {
  try {
    return decodeCanonical(bytes, { bytesMax: termsBytesMax })
  } catch (cause) {
    if (!(cause instanceof RecordError)) throw cause
    throw new TradingError('bad-terms', `the terms are ${cause.code}: ${cause.message}`, { cause })
  }
}

function checkAgreesWithItself(given: Terms): void {
  const kind = tradeKindOf(given.trade)
  require(!sameBytes(given.buyer, given.seller), 'buyer and seller are one')
  require(given.delivery.kind === kind.delivery, `${given.trade} is not delivered by ${given.delivery.kind}`)
  require((given.pickupHash !== undefined) === kind.needsSecret, `${given.trade} and pickupHash do not go together`)
  require(given.price.currency === given.total.currency, 'price and total are of different currencies')
  const paid = given.legs.reduce((sum, each) => sum + BigInt(each.amount), 0n)
  require(paid === BigInt(given.total.minor), 'the legs do not add up to the total')
  require(given.legs.every((each) => each.from !== each.to), 'a leg goes from one party to the other')
}

function require(condition: boolean, otherwise: string): void {
  if (!condition) throw new TradingError('bad-terms', otherwise)
}
