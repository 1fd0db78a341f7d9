/** What each type of event says, and which role may send it. docs/protocol/orders.md section 3. */
import * as z from 'zod'
import { bytesOf, bytesUpTo, count, digits, line, text } from './fields.ts'
import {
  addressCharsMax,
  escrowSigBytesMax,
  noteCharsMax,
  quantityMax,
  reasonCharsMax,
  referenceCharsMax,
  secretBytes,
  termsBytesMax
} from './limits.ts'

/** The two parties of an order. */
export type Party = 'buyer' | 'seller'

const signature = bytesOf(64)
const escrowSig = bytesUpTo(escrowSigBytesMax).optional()
const reason = text(reasonCharsMax).optional()
const reference = line(referenceCharsMax).optional()
const nothing = z.looseObject({})

const payloads = {
  request: z.looseObject({
    terms: bytesUpTo(termsBytesMax),
    /** The buyer's signature over the agreement. */
    sig: signature,
    /** EIP-712 id of the escrow's order. */
    escrowId: bytesOf(32).optional(),
    deliverTo: text(addressCharsMax).optional(),
    note: text(noteCharsMax).optional()
  }),
  decline: z.looseObject({ reason }),
  withdraw: nothing,
  accept: z.looseObject({
    /** SHA-256 of the terms that are accepted. */
    terms: bytesOf(32),
    /** The seller's signature over the agreement. */
    sig: signature,
    /** First of the slots of this revision that the acceptance burns. */
    unit: count(quantityMax),
    /** The seller's EIP-712 signature over the escrow's order: with it the buyer's funding is acceptance too. */
    escrowSig
  }),
  cancel: z.looseObject({ reason }),
  paid: z.looseObject({ method: line(referenceCharsMax), reference }),
  'payment-received': nothing,
  ship: z.looseObject({ carrier: line(referenceCharsMax).optional(), tracking: reference }),
  handover: z.looseObject({ secret: bytesOf(secretBytes) }),
  /** The buyer's signature over the closing statement. */
  confirm: z.looseObject({ sig: signature }),
  /** The seller's signature over the closing statement. */
  close: z.looseObject({ sig: signature }),
  refund: z.looseObject({ reference }),
  'refund-received': nothing,
  dispute: z.looseObject({ reason: text(reasonCharsMax) }),
  'settle-offer': z.looseObject({
    /** Of the total, in its minor units; the rest is the buyer's. */
    toSeller: digits,
    escrowSig
  }),
  'settle-accept': z.looseObject({ offer: bytesOf(32), escrowSig })
}

export type EventType = keyof typeof payloads
export type PayloadOf<T extends EventType> = z.infer<(typeof payloads)[T]>

export const eventTypes = Object.keys(payloads) as readonly EventType[]

/** Who may send what. The role is looked up in the stored terms, never in the message. */
export const sendersOf: { readonly [T in EventType]: readonly Party[] } = {
  request: ['buyer'],
  decline: ['seller'],
  withdraw: ['buyer'],
  accept: ['seller'],
  cancel: ['buyer', 'seller'],
  paid: ['buyer'],
  'payment-received': ['seller'],
  ship: ['seller'],
  handover: ['seller'],
  confirm: ['buyer'],
  close: ['seller'],
  refund: ['seller'],
  'refund-received': ['buyer'],
  dispute: ['buyer', 'seller'],
  'settle-offer': ['buyer', 'seller'],
  'settle-accept': ['buyer', 'seller']
}

/** The first wrong field, or nothing when the payload has its type's shape. */
export function payloadFault(type: EventType, payload: unknown): string | undefined {
  const result = payloads[type].safeParse(payload)
  if (result.success) return undefined
  const issue = result.error.issues[0]
  return `${type}.${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'malformed'}`
}
