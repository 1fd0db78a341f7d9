/** The fold: events, chain facts and a clock in, the state of the order out. docs/protocol/orders.md sections 5 and 6. */
import type { Receipt } from '@souk/records'
import { type ChainFact, type ChainState, chainStateOf, factsAbout, isFinalStatus } from './chain.ts'
import { type Deeds, deedsOf } from './deeds.ts'
import { TradingError } from './errors.ts'
import type { AnyEvent } from './event.ts'
import { bytesToHex } from '@noble/hashes/utils.js'
import { entriesOf, equivocationsIn, type History, historyOf } from './history.ts'
import { offersMax } from './limits.ts'
import { type EventType, type Party, sendersOf } from './payloads.ts'
import { judgeDirect } from './settle-direct.ts'
import { judgeEscrow } from './settle-escrow.ts'
import type { Allowed, FundsAtRisk, OrderState, TimelineEntry } from './state.ts'
import { agreementOf, closingOf } from './statement.ts'
import { orderIdOf, totalOf } from './terms.ts'
import type { Verdict } from './verdict.ts'

/**
 * Computes the state of one order. A pure function of the *set* of events and the *set* of facts: order and repetition
 * make no difference, so both sides come to the same state, whatever the network did.
 *
 * @param events - Of one order, from {@link openEvent} or {@link reopenEvent}.
 * @param facts - From the reader's own watcher; those about other escrows are passed over.
 * @param nowMs - The reader's clock. Deadlines pass when it exceeds them.
 * @returns Nothing until a request has come that is signed by the buyer whom its terms name.
 * @throws {@link TradingError} `mixed-orders` when the events are of more than one order.
 */
export function fold(events: readonly AnyEvent[], facts: readonly ChainFact[], nowMs: number): OrderState | undefined {
  if (new Set(events.map(({ order }) => order)).size > 1) {
    throw new TradingError('mixed-orders', 'the events are of more than one order; fold each order by itself')
  }
  const history = historyOf(events)
  const deeds = history && deedsOf(history)
  if (history === undefined || deeds === undefined) return undefined
  const escrowId = escrowIdOf(deeds)
  const own = escrowId === undefined ? [] : factsAbout(facts, escrowId)
  const chain = chainStateOf(own)
  const case_ = { terms: history.terms, deeds, chain, nowMs }
  const verdict = escrowId === undefined ? judgeDirect(case_) : judgeEscrow(case_)
  return stateOf({ history, deeds, facts: own, chain, verdict, escrowId })
}

interface Findings {
  readonly history: History
  readonly deeds: Deeds
  readonly facts: readonly ChainFact[]
  readonly chain: ChainState | undefined
  readonly verdict: Verdict
  readonly escrowId: string | undefined
}

function stateOf(findings: Findings): OrderState {
  const { history, deeds, chain, verdict, escrowId } = findings
  const { terms, termsBytes, refused, waiting, missing, heads } = history
  const { accept, request, delivered } = deeds
  const { deliverTo, note } = request.event.payload
  const unit = accept?.event.payload.unit
  return {
    order: orderIdOf(termsBytes),
    terms,
    termsBytes,
    phase: verdict.phase,
    reason: verdict.reason,
    legs: terms.legs.map((leg) => ({ ...leg, state: verdict.leg })),
    waitingFor: verdict.waitingFor,
    allowed: allowedNow(findings),
    chainActions: verdict.steps ?? [],
    chain,
    escrowId,
    fundsAtRisk: fundsAtRiskIn(findings),
    receipts: { agreement: agreementReceipt(findings), closing: closingReceipt(findings) },
    confirmedAtMs: deeds.confirm?.event.atMs,
    units: unit === undefined ? undefined : { from: unit, to: unit + terms.quantity },
    escrowSig: accept?.event.payload.escrowSig,
    private: { deliverTo, note },
    shipment: shipmentOf(delivered),
    timeline: timelineOf(findings),
    equivocations: equivocationsIn(history),
    refused,
    waiting,
    missing,
    heads
  }
}

function escrowIdOf({ request }: Deeds): string | undefined {
  const id = request.event.payload.escrowId
  return id && `0x${bytesToHex(id)}`
}

function shipmentOf(delivered: Deeds['delivered']): OrderState['shipment'] {
  if (delivered?.event.type !== 'ship') return undefined
  const { carrier, tracking } = delivered.event.payload as { carrier?: string; tracking?: string }
  return { carrier, tracking }
}

/** What the verdict allows and has not been said; after acceptance, the signatures that are still owed. */
function allowedNow({ history, deeds, verdict }: Findings): Allowed {
  const offersOf = {
    buyer: entriesOf(history, 'seller', 'settle-offer'),
    seller: entriesOf(history, 'buyer', 'settle-offer')
  }
  const isOpen = (role: Party, type: EventType): boolean => {
    if (!sendersOf[type].includes(role)) return false
    if (type === 'settle-accept' && (offersOf[role].length === 0 || deeds.split !== undefined)) return false
    return entriesOf(history, role, type).length < (type === 'settle-offer' ? offersMax : 1)
  }
  const owed: Allowed = {
    buyer: verdict.leg === 'ACCEPTED' && deeds.confirm === undefined ? ['confirm'] : [],
    seller: verdict.leg === 'ACCEPTED' && deeds.confirm !== undefined ? ['close'] : []
  }
  const allowedFor = (role: Party): readonly EventType[] =>
    [...new Set([...(verdict.allowed?.[role] ?? []), ...owed[role]])].filter((type) => isOpen(role, type))
  return { buyer: allowedFor('buyer'), seller: allowedFor('seller') }
}

function fundsAtRiskIn({ history, deeds, chain, verdict, escrowId }: Findings): FundsAtRisk | undefined {
  if (escrowId !== undefined) {
    const held = chain !== undefined && chain.status !== 'none' && !isFinalStatus(chain.status)
    if (!held) return undefined
    const total = totalOf(history.terms)
    return { where: 'escrow', amount: { ...total, minor: total.minor - chain.toSeller - chain.toBuyer } }
  }
  const moved = deeds.accept !== undefined && (deeds.paid !== undefined || deeds.received !== undefined)
  const owed = moved && verdict.leg !== 'ACCEPTED' && verdict.reason === undefined
  return owed ? { where: 'seller', amount: totalOf(history.terms) } : undefined
}

function agreementReceipt({
  history: { terms, termsBytes },
  deeds: { request, accept }
}: Findings): Receipt | undefined {
  if (accept === undefined) return undefined
  const statement = agreementOf(terms, termsBytes, request.event.payload)
  return { statement, buyerSig: request.event.payload.sig, sellerSig: accept.event.payload.sig }
}

function closingReceipt({ history: { terms, termsBytes }, deeds }: Findings): Receipt | undefined {
  const { request, accept, confirm, close } = deeds
  if (accept === undefined || confirm === undefined || close === undefined) return undefined
  const { escrowId } = request.event.payload
  const statement = closingOf(terms, termsBytes, { escrowId, atMs: confirm.event.atMs })
  return { statement, buyerSig: confirm.event.payload.sig, sellerSig: close.event.payload.sig }
}

function timelineOf({ history, facts, verdict }: Findings): readonly TimelineEntry[] {
  const said = [...history.entries.values()].map(({ event, role, timeMs }): TimelineEntry => ({
    atMs: timeMs,
    who: role,
    what: event.type,
    ref: event.id
  }))
  const seen = facts.map(({ blockTimeMs, kind, status, tx }): TimelineEntry => ({
    atMs: blockTimeMs,
    who: 'chain',
    what: status ?? kind,
    ref: tx
  }))
  const clock: TimelineEntry[] =
    verdict.endedByClockMs === undefined || verdict.reason === undefined
      ? []
      : [{ atMs: verdict.endedByClockMs, who: 'clock', what: verdict.reason }]
  return inOrder([...said, ...seen, ...clock], history)
}

/** By time; what one event follows stands before it even when both have the same time. */
function inOrder(entries: readonly TimelineEntry[], history: History): readonly TimelineEntry[] {
  const depths = new Map<string, number>(
    [...history.entries.values()].map(({ event, after }) => [event.id, after.size])
  )
  const depth = ({ ref }: TimelineEntry): number => depths.get(ref ?? '') ?? 0
  return entries.toSorted(
    (a, b) => a.atMs - b.atMs || depth(a) - depth(b) || ((a.ref ?? '') < (b.ref ?? '') ? -1 : Number(a.ref !== b.ref))
  )
}
