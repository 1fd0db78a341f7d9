import type { TradeKind } from '../kinds.ts'
import { deliveryWindows } from '../limits.ts'

/**
 * The two meet. The buyer shows a one-time secret once he has the thing in his hands; the seller enters it, which
 * proves the meeting to both and accepts the leg.
 */
export const pickUp: TradeKind = {
  delivery: 'pick-up',
  deliveredBy: 'handover',
  deliveryAccepts: true,
  paysFirst: false,
  needsSecret: true,
  windows: () => ({ dueMs: deliveryWindows.pickUpMs, reviewMs: deliveryWindows.pickUpReviewMs })
}
