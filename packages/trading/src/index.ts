/**
 * The order engine: what two people agree on, what each of them says, and the fold that turns a set of signed events
 * and chain facts into the one state that both sides see. Pure: no clock, disk or network.
 *
 * @example
 * ```ts
 * const terms = termsFromListing(listing, { buyer, quantity: 1, delivery, settlement: { kind: 'direct' }, salt, nowMs })
 * checkTerms(terms, listing, config) // throws TradingError with a code for anything that is not as listed
 * const request = createRequest({ terms, atMs: nowMs, deliverTo: 'Ana, Rua 1, Porto' }, buyerSigner)
 * const state = fold([request], [], Date.now()) // state.phase, state.waitingFor, state.allowed.seller …
 * const accept = createEvent(state, { type: 'accept', payload: { unit: 0 }, atMs }, sellerSigner)
 * ```
 *
 * @packageDocumentation
 */
export { chainStatuses } from './chain.ts'
export type { ChainFact, ChainState, ChainStatus } from './chain.ts'
export { createEvent, createRequest, partyOf } from './compose.ts'
export type { EventInput, RequestInput } from './compose.ts'
export { TradingError } from './errors.ts'
export type { EventErrorCode, TermsErrorCode, TradingErrorCode } from './errors.ts'
export { escrowOrderIn, escrowOrderOf } from './escrow-order.ts'
export type { EscrowOrder } from './escrow-order.ts'
export { checkRoom, openEvent, reopenEvent, sealEvent } from './event.ts'
export type { AnyEvent, EventDraft, EventId, OrderEvent } from './event.ts'
export { explain } from './explain.ts'
export { fold } from './fold.ts'
export type { Equivocation, RefusalCode } from './history.ts'
export { tradeKindNames } from './kinds.ts'
export type { TradeKind, TradeKindName } from './kinds.ts'
export { eventBytesMax } from './limits.ts'
export { checkTerms, termsFromListing } from './listing-terms.ts'
export type { Choice, Listing, LocalConfig, SettlementChoice } from './listing-terms.ts'
export { eventTypes } from './payloads.ts'
export type { EventType, Party, PayloadOf } from './payloads.ts'
export { receiptOf } from './receipt.ts'
export type {
  Allowed,
  ChainAction,
  ChainStep,
  FundsAtRisk,
  LegState,
  OrderState,
  Phase,
  Reason,
  Split,
  TimelineEntry,
  Waiting
} from './state.ts'
export { agreementOf, closingOf } from './statement.ts'
export { conflictingAcceptances, nextUnit, reservedUnits } from './stock.ts'
export type { Taking, Units } from './stock.ts'
export { encodeTerms, openTerms, orderIdOf, termsHash, totalOf } from './terms.ts'
export type { EscrowFields, Leg, OrderId, Terms } from './terms.ts'
