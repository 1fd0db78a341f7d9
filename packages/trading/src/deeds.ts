/** The events that count, at most one a place. docs/protocol/orders.md section 5. */
import { confirmOf, entriesOf, type Entry, type History, requestOf } from './history.ts'
import { bytesToHex } from '@noble/hashes/utils.js'
import { tradeKindOf } from './kinds.ts'
import { offersMax } from './limits.ts'
import type { EventType, Party } from './payloads.ts'
import type { Split } from './state.ts'

/** What has been done in an order, each with its time. */
export interface Deeds {
  readonly request: Entry<'request'>
  /** In time, and not in the knowledge that the other had left. */
  readonly accept: Entry<'accept'> | undefined
  /** Withdrawn or cancelled by the buyer; declined or cancelled by the seller. */
  readonly leave: { readonly buyer: Entry | undefined; readonly seller: Entry | undefined }
  readonly paid: Entry<'paid'> | undefined
  readonly received: Entry<'payment-received'> | undefined
  /** Shipped or handed over, as the kind of trade has it. */
  readonly delivered: Entry<'ship' | 'handover'> | undefined
  readonly confirm: Entry<'confirm'> | undefined
  readonly close: Entry<'close'> | undefined
  readonly refund: Entry<'refund'> | undefined
  readonly refundReceived: Entry<'refund-received'> | undefined
  readonly dispute: { readonly buyer: Entry<'dispute'> | undefined; readonly seller: Entry<'dispute'> | undefined }
  /** A split that one offered and the other took. */
  readonly split: Split | undefined
}

export function deedsOf(history: History): Deeds | undefined {
  const only = <T extends EventType>(role: Party, type: T) => entriesOf(history, role, type)[0]
  const accept = entriesOf(history, 'seller', 'accept').find((entry) => isTimely(history, entry))
  const request = (accept && requestOf(history, accept)) ?? only('buyer', 'request')
  if (request === undefined) return undefined
  const close = only('seller', 'close')
  const leaves = accept === undefined ? (['decline', 'cancel'] as const) : (['cancel'] as const)
  return {
    request,
    accept,
    leave: {
      buyer: only('buyer', 'withdraw') ?? only('buyer', 'cancel'),
      seller: leaves.map((type) => only('seller', type)).find((entry) => entry !== undefined)
    },
    paid: only('buyer', 'paid'),
    received: only('seller', 'payment-received'),
    delivered: only('seller', tradeKindOf(history.terms.trade).deliveredBy),
    confirm: (close && confirmOf(history, close)) ?? only('buyer', 'confirm'),
    close,
    refund: only('seller', 'refund'),
    refundReceived: only('buyer', 'refund-received'),
    dispute: { buyer: only('buyer', 'dispute'), seller: only('seller', 'dispute') },
    split: splitIn(history)
  }
}

/** The first of several by time, then by id. */
export function earliest<E extends Entry>(...entries: readonly (E | undefined)[]): E | undefined {
  return entries
    .filter((entry) => entry !== undefined)
    .toSorted((a, b) => a.timeMs - b.timeMs || (a.event.id < b.event.id ? -1 : 1))[0]
}

/** True when `entry` was made in the knowledge of `other`. */
export function follows(entry: Entry, other: Entry | undefined): boolean {
  return other !== undefined && entry.after.has(other.event.id)
}

/** An acceptance counts until `acceptByMs`, and not when its author had seen that the order was off. */
function isTimely(history: History, entry: Entry<'accept'>): boolean {
  const ended = [
    ...entriesOf(history, 'buyer', 'withdraw'),
    ...entriesOf(history, 'buyer', 'cancel'),
    ...entriesOf(history, 'seller', 'decline')
  ]
  return entry.timeMs <= history.terms.timers.acceptByMs && !ended.some((end) => follows(entry, end))
}

function splitIn(history: History): Split | undefined {
  const accepted = earliest(
    entriesOf(history, 'buyer', 'settle-accept')[0],
    entriesOf(history, 'seller', 'settle-accept')[0]
  )
  if (accepted === undefined) return undefined
  const by: Party = accepted.role === 'buyer' ? 'seller' : 'buyer'
  const offers = entriesOf(history, by, 'settle-offer').slice(0, offersMax)
  const offer = offers.find(({ event }) => isNamed(accepted, event.id))
  if (offer === undefined) return undefined
  const sigs = { [by]: offer.event.payload.escrowSig, [accepted.role]: accepted.event.payload.escrowSig }
  return { toSeller: BigInt(offer.event.payload.toSeller), buyerSig: sigs['buyer'], sellerSig: sigs['seller'] }
}

function isNamed({ event }: Entry<'settle-accept'>, offer: string): boolean {
  return bytesToHex(event.payload.offer) === offer
}
