import type { Did } from '@souk/records'
import type { OrderSummary, Storage, Sublevel } from '@souk/storage'
import type { OrderState, Party } from '@souk/trading'
import type { HeldOrder, OrderBook } from './order-book.ts'

/** What is asked of many orders at once, without their events. */
export interface OrderOutline {
  readonly id: string
  readonly role: Party
  readonly counterparty: Did
  readonly phase: string
  /** Id of the revision that was bought. */
  readonly listing: string
  /** Nothing before acceptance. */
  readonly units: OrderState['units']
  /** When the buyer asked. */
  readonly createdAtMs: number
  /** It has not come to an end. */
  readonly open: boolean
  /** Over, and neither a signature nor a step on chain of this side is owed. */
  readonly atRest: boolean
}

/** Looks through all orders in the time that it takes to fold those that are open. */
export interface OrderOutlines {
  /** Newest first. */
  list(): Promise<OrderOutline[]>
}

export interface OrderOutlinesComponents {
  readonly storage: Pick<Storage, 'orders' | 'sublevel'>
  readonly book: Pick<OrderBook, 'get'>
}

/**
 * Of orders that no clock changes any more the outline is kept on disk. It holds as long as nothing has been written to the
 * order since.
 */
export function createOrderOutlines(
  { storage, book }: OrderOutlinesComponents,
  init: { now: () => number }
): OrderOutlines {
  const kept: Sublevel<KeptOutline> = storage.sublevel<KeptOutline>('order-outlines', { values: 'json' })

  const outline = async (summary: OrderSummary, before: KeptOutline | undefined): Promise<OrderOutline | undefined> => {
    const nowMs = init.now()
    if (before !== undefined && isOf(before, summary) && before.foldedAtMs <= nowMs) return before.outline
    const held = await book.get(summary.order)
    if (held === undefined) return undefined
    const fresh = outlineOf(held)
    const { steps, updatedAtMs } = summary
    const isOver = !fresh.open && held.state.waitingFor === undefined
    if (isOver) await kept.put(summary.order, { outline: fresh, steps, updatedAtMs, foldedAtMs: nowMs })
    return fresh
  }

  return {
    async list() {
      // Summaries first: an outline that is written meanwhile is of what they say, or is not taken.
      const summaries = await storage.orders.list()
      const before = new Map(await kept.iterator().all())
      const all: OrderOutline[] = []
      for (const summary of summaries) {
        const found = await outline(summary, before.get(summary.order))
        if (found !== undefined) all.push(found)
      }
      return all.toSorted((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1))
    }
  }
}

interface KeptOutline {
  readonly outline: OrderOutline
  /** Of the summary that it belongs to. */
  readonly steps: number
  readonly updatedAtMs: number
  /** By a clock that may have been wrong: when it is earlier now, what had ended may not have. */
  readonly foldedAtMs: number
}

function isOf(kept: KeptOutline, summary: OrderSummary): boolean {
  return kept.steps === summary.steps && kept.updatedAtMs === summary.updatedAtMs
}

function outlineOf({ state, role, counterparty }: HeldOrder): OrderOutline {
  const { order, phase, terms, units, reason } = state
  return {
    id: order,
    role,
    counterparty,
    phase,
    listing: terms.listing.toString(),
    units,
    createdAtMs: terms.createdAtMs,
    open: reason === undefined,
    atRest: reason !== undefined && isQuiet({ state, role })
  }
}

/** An escrow that was never seen on chain may still be paid; one that is final is over. */
function isQuiet({ state, role }: Pick<HeldOrder, 'state' | 'role'>): boolean {
  const isSettled = state.escrowId === undefined || state.chain?.final === true
  const owes = state.allowed[role].includes('close') || state.allowed[role].includes('confirm')
  return isSettled && !owes && state.chainActions.every(({ by }) => by !== role)
}
