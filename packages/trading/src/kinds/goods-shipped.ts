import type { TradeKind } from '../kinds.ts'
import { deliveryWindows } from '../limits.ts'

/** A parcel. The seller has the promised handling time and two days more; the buyer two weeks from dispatch. */
export const goodsShipped: TradeKind = {
  delivery: 'ship',
  deliveredBy: 'ship',
  deliveryAccepts: false,
  paysFirst: true,
  needsSecret: false,
  windows: ({ handlingDays, transitDays }) => ({
    dueMs: Math.max(
      deliveryWindows.handlingMsMin,
      handlingDays * deliveryWindows.dayMs + deliveryWindows.handlingGraceMs
    ),
    reviewMs: Math.max(
      deliveryWindows.shippedReviewMsMin,
      transitDays * deliveryWindows.dayMs + deliveryWindows.arrivalReviewMs
    )
  })
}
