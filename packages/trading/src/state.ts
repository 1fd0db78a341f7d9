/** What a fold says about an order. Codes, not sentences: a window, a terminal or a test is made from it. */
import type { Money, Receipt } from '@souk/records'
import type { ChainState } from './chain.ts'
import type { EventId } from './event.ts'
import type { Equivocation, RefusalCode } from './history.ts'
import type { EventType, Party } from './payloads.ts'
import type { Leg, OrderId, Terms } from './terms.ts'

export type Phase =
  | 'REQUESTED'
  | 'AGREED'
  | 'FUNDED'
  | 'ACTIVE'
  | 'SETTLING'
  | 'CLOSED'
  | 'VOID'
  | 'CANCELLED'
  | 'DISPUTED'
  | 'RETURNING'

/** Why an order ended. */
export type Reason =
  | 'declined'
  | 'withdrawn'
  | 'lapsed'
  | 'no-fund'
  | 'cancelled-buyer'
  | 'cancelled-seller'
  | 'revoked'
  | 'accepted'
  | 'accepted-by-timeout'
  | 'refunded'
  | 'settled'
  | 'ruled-buyer'
  | 'ruled-seller'
  | 'defaulted'
  | 'no-show'
  | 'unresolved'

export type LegState = 'PENDING' | 'STARTED' | 'ACCEPTED' | 'REJECTED'

/** A call of the escrow contract. */
export type ChainStep =
  | 'fund'
  | 'accept'
  | 'cancel'
  | 'revoke'
  | 'dispatch'
  | 'release'
  | 'refund'
  | 'dispute'
  | 'settle'
  | 'timeout'

/** A step on chain that carries out what the party has already said: its node may take it without asking again. */
export interface ChainAction {
  readonly by: Party
  readonly do: ChainStep
  /** Only for `settle`: the seller's part of the total, and the two signatures over it, where the offers had them. */
  readonly split?: Split
}

/** A split of the total to which both agreed. */
export interface Split {
  readonly toSeller: bigint
  readonly buyerSig: Uint8Array | undefined
  readonly sellerSig: Uint8Array | undefined
}

/** The one who must act, until when, and what silence means. */
export interface Waiting {
  readonly role: Party | 'arbiter' | 'either'
  /** A type of event, or with `onChain` a step on chain. */
  readonly action: EventType | ChainStep | 'rule'
  readonly onChain: boolean
  readonly byMs: number
  /** The reason with which the order ends; `late` when a last patience follows. */
  readonly thenWhat: Reason | 'late'
}

/** What each party may say now. */
export interface Allowed {
  readonly buyer: readonly EventType[]
  readonly seller: readonly EventType[]
}

/** What can still be lost, and in whose hands it is. */
export interface FundsAtRisk {
  readonly where: 'escrow' | 'seller'
  readonly amount: Money
}

export interface TimelineEntry {
  readonly atMs: number
  readonly who: Party | 'chain' | 'clock'
  /** A type of event, a kind of chain fact, or the reason with which the clock ended it. */
  readonly what: string
  /** The event's id or the transaction's hash. */
  readonly ref?: string
}

/** The state of an order: the same on both sides for the same events, facts and time. */
export interface OrderState {
  readonly order: OrderId
  readonly terms: Terms
  readonly termsBytes: Uint8Array
  readonly phase: Phase
  /** Exactly in the phases VOID, CANCELLED and CLOSED. */
  readonly reason: Reason | undefined
  readonly legs: readonly (Leg & { readonly state: LegState })[]
  readonly waitingFor: Waiting | undefined
  readonly allowed: Allowed
  readonly chainActions: readonly ChainAction[]
  /** The escrow, where there is one and it was seen. */
  readonly chain: ChainState | undefined
  /** EIP-712 id of the escrow's order, 64 hex digits after `0x`. */
  readonly escrowId: string | undefined
  readonly fundsAtRisk: FundsAtRisk | undefined
  readonly receipts: { readonly agreement: Receipt | undefined; readonly closing: Receipt | undefined }
  /** `at` of the confirmation: what the seller's closing signature is over. */
  readonly confirmedAtMs: number | undefined
  /** The acceptance's slots of the revision, half open. */
  readonly units: { readonly from: number; readonly to: number } | undefined
  /** The seller's EIP-712 signature over the escrow's order, once accepted with one. */
  readonly escrowSig: Uint8Array | undefined
  /** What the buyer told the seller only. */
  readonly private: { readonly deliverTo: string | undefined; readonly note: string | undefined }
  readonly shipment: { readonly carrier: string | undefined; readonly tracking: string | undefined } | undefined
  readonly timeline: readonly TimelineEntry[]
  readonly equivocations: readonly Equivocation[]
  readonly refused: readonly { readonly id: EventId; readonly code: RefusalCode }[]
  readonly waiting: readonly EventId[]
  /** Events to ask the other side for. */
  readonly missing: readonly EventId[]
  /** What the next event names as `prev`. */
  readonly heads: readonly EventId[]
}
