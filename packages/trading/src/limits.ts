/** Every bound and default of this package, with its reason. Nothing on the wire raises a bound. */

const second = 1000
const minute = 60 * second
const day = 24 * 60 * minute

/** One signed event. The largest is a request: terms of about 1.5 kB, an address and a note. */
export const eventBytesMax = 16 * 1024

/** Two byte strings, two names and a 64-byte signature need less. */
export const envelopeBytesMax = 96

/** Terms inside a request: room beside them for address, note and signature. */
export const termsBytesMax = 8 * 1024

/** Differing events of one party in one place that a node keeps: two prove that it said two things. */
export const conflictsPerPlaceMax = 2

/** Heads that one event may name. Two parties leave at most a few open at a time. */
export const headsMax = 8

/** Offers of one party to settle that count in one order: bargaining ends somewhere. */
export const offersMax = 8

/** As for records: home computers drift. */
export const clockSkewMsMax = 5 * minute

export const legsMax = 8
export const quantityMax = 1_000_000
export const methodsMax = 16
export const methodCharsMax = 32
export const keyCharsMax = 96

/** A postal address in any country, with instructions. */
export const addressCharsMax = 1000
export const noteCharsMax = 2000
export const reasonCharsMax = 1000
export const referenceCharsMax = 200

/** An EIP-712 signature is 65 bytes; a contract wallet's (ERC-1271) is longer. */
export const escrowSigBytesMax = 2048

/** A one-time secret: 128 bits, 26 characters when typed in base 32. */
export const secretBytes = 16

/** No duration in terms is longer: a slip must not lock money for years. */
export const durationMsMax = 400 * day

/** How long the parties wait for each other; docs/protocol/orders.md section 1 is normative. */
export const defaultTimers = {
  /** A shop that sleeps over a weekend day still answers. */
  acceptMs: 2 * day,
  /** A bank transfer over a weekend. */
  payMs: 3 * day,
  /** The seller's bank is as slow as the buyer's. */
  acknowledgeMs: 5 * day,
  /** What is late is not yet lost: the buyer's patience before an order counts as never delivered. */
  graceMs: 7 * day,
  /** The last signatures move no money; they are not waited for longer than this. */
  closeMs: 7 * day,
  /** A negotiation that has not ended by then has failed. */
  disputeMs: 30 * day,
  /** A parcel or a transfer back. */
  returnMs: 14 * day
} as const

/** Escrow's fields that no listing sets; docs/protocol/orders.md section 1. */
export const escrowDefaults = {
  /** An arbitrator may travel. */
  rulingWindowMs: 30 * day,
  /** Without an arbitrator a dispute only waits for the two to settle. */
  negotiationWindowMs: 14 * day,
  /** A dispute that nobody ends costs each side a half, so both want to end it. */
  defaultSellerBps: 5000,
  /** Two hundredths of the price for reading a case. */
  arbiterFeeBps: 200
} as const

/** Windows of the two first kinds; docs/protocol/orders.md section 2. */
export const deliveryWindows = {
  handlingGraceMs: 2 * day,
  handlingMsMin: 3 * day,
  shippedReviewMsMin: 14 * day,
  arrivalReviewMs: 3 * day,
  pickUpMs: 7 * day,
  pickUpReviewMs: 2 * day,
  dayMs: day
} as const
