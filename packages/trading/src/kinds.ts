/** The registry of the kinds of trade. A new kind is one file in `kinds/` and its name here. */
import { goodsShipped } from './kinds/goods-shipped.ts'
import { pickUp } from './kinds/pick-up.ts'

/** One way to trade: what it makes of a listing's delivery, and which event delivers. */
export interface TradeKind {
  /** The delivery of a listing that it serves. */
  readonly delivery: 'ship' | 'pick-up'
  /** What moves its leg from pending to under way. */
  readonly deliveredBy: 'ship' | 'handover'
  /** True when delivery itself is the buyer's acceptance: he gave the secret. */
  readonly deliveryAccepts: boolean
  /** True when money goes before goods in a `direct` settlement. */
  readonly paysFirst: boolean
  /** True when the terms hold the hash of a one-time secret. */
  readonly needsSecret: boolean
  /** How long the leg may take. */
  windows(delivery: DeliveryOffer): LegWindows
}

/** What a listing says about one way of delivery; days as the seller promises them. */
export interface DeliveryOffer {
  readonly handlingDays: number
  readonly transitDays: number
}

export interface LegWindows {
  /** From funding to delivery. */
  readonly dueMs: number
  /** From delivery to silent acceptance. */
  readonly reviewMs: number
}

const kinds = { 'goods-shipped': goodsShipped, 'pick-up': pickUp } satisfies Record<string, TradeKind>

export type TradeKindName = keyof typeof kinds

export const tradeKindNames = Object.keys(kinds) as [TradeKindName, ...TradeKindName[]]

export function tradeKindOf(name: TradeKindName): TradeKind {
  return kinds[name]
}

/** The kind of trade that serves a delivery, if this version knows one. */
export function tradeKindFor(delivery: string): TradeKindName | undefined {
  return tradeKindNames.find((name) => kinds[name].delivery === delivery)
}
