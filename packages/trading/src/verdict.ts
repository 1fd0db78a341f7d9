/** One row of the tables in docs/protocol/orders.md section 6: where an order stands, and what may follow. */
import type { ChainState } from './chain.ts'
import { type Deeds, earliest } from './deeds.ts'
import type { EventType } from './payloads.ts'
import type { Allowed, ChainAction, LegState, Phase, Reason, Waiting } from './state.ts'
import type { Terms } from './terms.ts'

/** All that decides. */
export interface Case {
  readonly terms: Terms
  readonly deeds: Deeds
  readonly chain: ChainState | undefined
  readonly nowMs: number
}

export interface Verdict {
  readonly phase: Phase
  readonly reason?: Reason
  readonly leg: LegState
  readonly waitingFor?: Waiting
  readonly allowed?: Partial<Allowed>
  readonly steps?: readonly ChainAction[]
  /** When the clock ended it, if it did. */
  readonly endedByClockMs?: number
}

/** What ends an order, and what the leg was then. */
export function ended(phase: 'CLOSED' | 'VOID' | 'CANCELLED', reason: Reason, leg: LegState = 'PENDING'): Verdict {
  return { phase, reason, leg }
}

/** The verdict until a deadline has passed, and the end after it. */
export function untilThen(case_: Case, verdict: Verdict & { waitingFor: Waiting }, end: Verdict): Verdict {
  const { byMs } = verdict.waitingFor
  return case_.nowMs > byMs ? { ...end, endedByClockMs: byMs } : verdict
}

/** Everything before an agreement, alike for all settlements as long as no money has moved. */
export function judgeRequest(case_: Case): Verdict {
  const { deeds, terms } = case_
  if (deeds.leave.buyer !== undefined) return ended('VOID', 'withdrawn')
  if (deeds.leave.seller !== undefined) return ended('VOID', 'declined')
  const byMs = terms.timers.acceptByMs
  return untilThen(
    case_,
    {
      phase: 'REQUESTED',
      leg: 'PENDING',
      waitingFor: waiting('seller', 'accept', byMs, 'lapsed'),
      allowed: { buyer: ['withdraw'], seller: ['accept', 'decline'] }
    },
    ended('VOID', 'lapsed')
  )
}

export function waiting(
  role: Waiting['role'],
  action: EventType,
  byMs: number,
  thenWhat: Waiting['thenWhat']
): Waiting {
  return { role, action, onChain: false, byMs, thenWhat }
}

/** The reason of a cancellation: who left first. */
export function cancelReason({ leave }: Deeds): 'cancelled-buyer' | 'cancelled-seller' {
  return earliest(leave.buyer, leave.seller)?.role === 'seller' ? 'cancelled-seller' : 'cancelled-buyer'
}
