/**
 * Orders that the two settle between themselves: both say by hand what happened. The first row that applies decides;
 * docs/protocol/orders.md section 6, "Direct, and none".
 */
import { type Deeds, earliest, follows } from './deeds.ts'
import type { Entry } from './history.ts'
import { type TradeKind, tradeKindOf } from './kinds.ts'
import type { Leg } from './terms.ts'
import { cancelReason, type Case, ended, judgeRequest, untilThen, type Verdict, waiting } from './verdict.ts'

export function judgeDirect(case_: Case): Verdict {
  const { accept } = case_.deeds
  const [leg] = case_.terms.legs
  if (accept === undefined || leg === undefined) return judgeRequest(case_)
  const agreed = agreedCase(case_, accept, leg)
  const verdict = rows.reduce<Verdict | undefined>((found, row) => found ?? row(agreed), undefined)
  return verdict ?? unpaid(agreed)
}

interface AgreedCase extends Case {
  readonly accept: Entry<'accept'>
  readonly kind: TradeKind
  /** True when money goes before goods. */
  readonly paysFirst: boolean
  /** When something was last said to have moved; until then either may leave freely. */
  readonly moved: Entry | undefined
  /** The end of the clock that runs before delivery, with the last patience. */
  readonly deliverByMs: number
  readonly lateMs: number
  /** Delivery, if it was in time and its author had not seen a cancellation. */
  readonly delivered: Entry | undefined
  /** The end of the clock that runs after it. */
  readonly reviewByMs: number
}

/** The rows that need more than an agreement, strongest first. */
const rows: readonly ((case_: AgreedCase) => Verdict | undefined)[] = [
  confirmed,
  split,
  refunded,
  disputed,
  delivered,
  cancelled,
  toDeliver
]

function agreedCase(case_: Case, accept: Entry<'accept'>, leg: Leg): AgreedCase {
  const { deeds, terms } = case_
  const kind = tradeKindOf(terms.trade)
  const paysFirst = kind.paysFirst && terms.settlement.kind === 'direct'
  const begun = paysFirst ? deeds.received : accept
  const lateMs = deadlineBeforeDelivery(case_, { accept, begun, leg, paysFirst })
  const deliverByMs = lateMs + terms.timers.graceMs
  const inTime = begun !== undefined && deeds.delivered !== undefined && deeds.delivered.timeMs <= deliverByMs
  const delivered = inTime && !knewOfLeave(deeds, deeds.delivered) ? deeds.delivered : undefined
  const reviewMs = kind.deliveryAccepts ? terms.timers.closeMs : leg.reviewMs
  return {
    ...case_,
    accept,
    kind,
    paysFirst,
    moved: deeds.received ?? deeds.paid,
    lateMs,
    deliverByMs,
    delivered,
    reviewByMs: (delivered?.timeMs ?? 0) + reviewMs
  }
}

/** Whose turn it is decides which clock runs: to pay, to acknowledge, or to deliver. */
function deadlineBeforeDelivery(
  { deeds, terms: { timers } }: Case,
  { accept, begun, leg, paysFirst }: { accept: Entry; begun: Entry | undefined; leg: Leg; paysFirst: boolean }
): number {
  if (begun !== undefined) return begun.timeMs + leg.dueMs
  if (deeds.paid !== undefined) return deeds.paid.timeMs + timers.acknowledgeMs
  return accept.timeMs + (paysFirst ? timers.payMs : leg.dueMs)
}

function knewOfLeave({ leave }: Deeds, entry: Entry | undefined): boolean {
  return entry !== undefined && (follows(entry, leave.buyer) || follows(entry, leave.seller))
}

function confirmed(case_: AgreedCase): Verdict | undefined {
  const { confirm, close } = case_.deeds
  const hasGround = case_.moved !== undefined || !case_.paysFirst
  if (confirm === undefined || !hasGround || knewOfFreeLeave(case_, confirm)) return undefined
  const late = case_.delivered !== undefined && !case_.kind.deliveryAccepts && confirm.timeMs > case_.reviewByMs
  if (late) return ended('CLOSED', 'accepted-by-timeout', 'ACCEPTED')
  if (close !== undefined) return ended('CLOSED', 'accepted', 'ACCEPTED')
  const byMs = confirm.timeMs + case_.terms.timers.closeMs
  const verdict = { waitingFor: waiting('seller', 'close', byMs, 'accepted'), allowed: { seller: ['close'] } } as const
  return untilThen(case_, { phase: 'SETTLING', leg: 'ACCEPTED', ...verdict }, ended('CLOSED', 'accepted', 'ACCEPTED'))
}

/** Nobody revives by himself an order that both know to be cancelled before anything had moved. */
function knewOfFreeLeave(case_: AgreedCase, confirm: Entry): boolean {
  return case_.moved === undefined && case_.delivered === undefined && knewOfLeave(case_.deeds, confirm)
}

function split(case_: AgreedCase): Verdict | undefined {
  return case_.deeds.split && ended('CLOSED', 'settled', case_.delivered ? 'STARTED' : 'PENDING')
}

function refunded(case_: AgreedCase): Verdict | undefined {
  const { deeds, terms } = case_
  const { refund, refundReceived } = deeds
  if (refund === undefined && refundReceived === undefined) return undefined
  const left = earliest(deeds.leave.buyer, deeds.leave.seller) !== undefined && case_.delivered === undefined
  const end = left ? ended('CANCELLED', cancelReason(deeds)) : ended('CLOSED', 'refunded', 'REJECTED')
  if (refund === undefined || refundReceived !== undefined) return end
  if (disputeInTime(case_) !== undefined) return undefined
  const waitingFor = waiting(
    'buyer',
    'refund-received',
    refund.timeMs + terms.timers.returnMs,
    end.reason ?? 'refunded'
  )
  const allowed = { buyer: ['refund-received', 'dispute'] } as const
  return untilThen(case_, { phase: 'RETURNING', leg: end.leg, waitingFor, allowed }, end)
}

function disputed(case_: AgreedCase): Verdict | undefined {
  const dispute = disputeInTime(case_)
  if (dispute === undefined) return undefined
  const other = dispute.role === 'buyer' ? 'seller' : 'buyer'
  const byMs = dispute.timeMs + case_.terms.timers.disputeMs
  return untilThen(
    case_,
    {
      phase: 'DISPUTED',
      leg: 'REJECTED',
      waitingFor: waiting(other, 'settle-offer', byMs, 'unresolved'),
      allowed: {
        buyer: ['confirm', 'refund-received', 'dispute', 'settle-offer', 'settle-accept'],
        seller: ['refund', 'dispute', 'settle-offer', 'settle-accept']
      }
    },
    ended('CLOSED', 'unresolved', 'REJECTED')
  )
}

/** The first objection to the present state of things that was made before its clock ran out. */
function disputeInTime(case_: AgreedCase): Entry | undefined {
  const { dispute, refund } = case_.deeds
  if (case_.moved === undefined && case_.delivered === undefined) return undefined
  const clockMs = case_.delivered ? case_.reviewByMs : case_.deliverByMs
  const byMs = refund ? refund.timeMs + case_.terms.timers.returnMs : clockMs
  const counts = (entry: Entry | undefined): Entry | undefined =>
    entry !== undefined && entry.timeMs <= byMs && (refund === undefined || follows(entry, refund)) ? entry : undefined
  return earliest(counts(dispute.buyer), counts(dispute.seller))
}

function delivered(case_: AgreedCase): Verdict | undefined {
  if (case_.delivered === undefined) return undefined
  const { deliveryAccepts } = case_.kind
  const reason = deliveryAccepts ? 'accepted' : 'accepted-by-timeout'
  return untilThen(
    case_,
    {
      phase: deliveryAccepts ? 'SETTLING' : 'ACTIVE',
      leg: deliveryAccepts ? 'ACCEPTED' : 'STARTED',
      waitingFor: waiting('buyer', 'confirm', case_.reviewByMs, reason),
      allowed: {
        buyer: ['confirm', 'dispute', 'settle-offer', 'settle-accept'],
        seller: ['refund', 'settle-offer', 'settle-accept']
      }
    },
    ended('CLOSED', reason, 'ACCEPTED')
  )
}

function cancelled(case_: AgreedCase): Verdict | undefined {
  const { deeds, terms } = case_
  const leave = earliest(deeds.leave.buyer, deeds.leave.seller)
  const byMs = case_.moved || !case_.paysFirst ? case_.deliverByMs : case_.lateMs
  if (leave === undefined || leave.timeMs > byMs) return undefined
  if (case_.moved === undefined) return ended('CANCELLED', cancelReason(deeds))
  const sinceMs = Math.max(leave.timeMs, case_.moved.timeMs)
  return untilThen(
    case_,
    {
      phase: 'RETURNING',
      leg: 'PENDING',
      waitingFor: waiting('seller', 'refund', sinceMs + terms.timers.returnMs, 'unresolved'),
      allowed: {
        buyer: ['confirm', 'refund-received', 'dispute', 'settle-offer', 'settle-accept'],
        seller: ['refund', 'dispute', 'settle-offer', 'settle-accept']
      }
    },
    ended('CLOSED', 'unresolved')
  )
}

/** The seller has the money, or needs none first, and owes the thing. */
function toDeliver(case_: AgreedCase): Verdict | undefined {
  const { kind, deeds, moved } = case_
  if (case_.paysFirst && deeds.received === undefined) return undefined
  const phase = moved === undefined ? 'AGREED' : 'FUNDED'
  const bargain = ['settle-offer', 'settle-accept'] as const
  return late(case_, kind.deliveredBy, {
    phase,
    leg: 'PENDING',
    allowed:
      moved === undefined
        ? { buyer: ['confirm', 'paid', 'cancel'], seller: [kind.deliveredBy, 'payment-received', 'cancel'] }
        : {
            buyer: ['confirm', 'cancel', 'dispute', ...bargain],
            seller: [kind.deliveredBy, 'payment-received', 'refund', 'cancel', 'dispute', ...bargain]
          }
  })
}

/** Waiting for money: first for the buyer to send it, then for the seller to say that it came. */
function unpaid(case_: AgreedCase): Verdict {
  if (case_.deeds.paid !== undefined) {
    return late(case_, 'payment-received', {
      phase: 'AGREED',
      leg: 'PENDING',
      allowed: { buyer: ['confirm', 'cancel', 'dispute'], seller: ['payment-received', 'refund', 'cancel', 'dispute'] }
    })
  }
  return untilThen(
    case_,
    {
      phase: 'AGREED',
      leg: 'PENDING',
      waitingFor: waiting('buyer', 'paid', case_.lateMs, 'no-fund'),
      allowed: { buyer: ['paid', 'cancel'], seller: ['payment-received', 'cancel'] }
    },
    ended('VOID', 'no-fund')
  )
}

/** The seller's turn: a deadline, then a last patience, then the order ends as never delivered. */
function late(case_: AgreedCase, action: 'payment-received' | 'ship' | 'handover', verdict: Verdict): Verdict {
  const isLate = case_.nowMs > case_.lateMs
  const waitingFor = waiting('seller', action, isLate ? case_.deliverByMs : case_.lateMs, isLate ? 'no-show' : 'late')
  return untilThen(case_, { ...verdict, waitingFor }, ended('CLOSED', 'no-show'))
}
