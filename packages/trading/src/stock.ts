/** Slots of a listing: what accepted orders hold, and the proof that a seller sold one slot twice. */
import { sameBytes } from '@souk/records'
import { deedsOf } from './deeds.ts'
import type { AnyEvent } from './event.ts'
import { historyOf } from './history.ts'
import type { OrderState } from './state.ts'

/** Units of one listing that are promised, and that are sold. */
export interface Units {
  /** In accepted orders that still run. */
  readonly reserved: number
  /** In orders that ended with the buyer keeping the thing. */
  readonly sold: number
}

const kept = new Set(['accepted', 'accepted-by-timeout', 'settled', 'ruled-seller', 'defaulted', 'unresolved'])

/** @returns By listing key; orders that were never accepted, or came to nothing, hold no units. */
export function reservedUnits(states: Iterable<OrderState>): ReadonlyMap<string, Units> {
  const units = new Map<string, Units>()
  for (const state of states) {
    const { listingKey, quantity } = state.terms
    const { reserved, sold } = units.get(listingKey) ?? { reserved: 0, sold: 0 }
    const more = heldBy(state, quantity)
    units.set(listingKey, { reserved: reserved + more.reserved, sold: sold + more.sold })
  }
  return units
}

/** What an order takes of the revision that was bought. */
export interface Taking {
  /** Id of the revision. */
  readonly listing: { toString(): string }
  /** Nothing before acceptance. */
  readonly units: OrderState['units']
}

/** The first slot of a revision that no acceptance has burned yet; slots are never burned twice. */
export function nextUnit(takings: Iterable<Taking>, listing: { toString(): string }): number {
  const revision = listing.toString()
  let next = 0
  for (const { listing: taken, units } of takings) {
    if (units !== undefined && taken.toString() === revision) next = Math.max(next, units.to)
  }
  return next
}

/**
 * Whether two orders prove to anybody that their seller sold one slot of one revision twice.
 *
 * @param a - Request and acceptance of one order, with whatever else they follow; `b` those of another.
 */
export function conflictingAcceptances(a: readonly AnyEvent[], b: readonly AnyEvent[]): boolean {
  const [left, right] = [burnedBy(a), burnedBy(b)]
  if (left === undefined || right === undefined || left.order === right.order) return false
  const sameRevision = sameBytes(left.seller, right.seller) && left.listing === right.listing
  return sameRevision && left.from < right.to && right.from < left.to
}

function burnedBy(events: readonly AnyEvent[]) {
  const history = historyOf(events)
  const accept = history && deedsOf(history)?.accept
  if (history === undefined || accept === undefined) return undefined
  const { terms } = history
  const from = accept.event.payload.unit
  const { order } = accept.event
  return { order, seller: terms.seller, listing: terms.listing.toString(), from, to: from + terms.quantity }
}

function heldBy({ phase, reason, units }: OrderState, quantity: number): Units {
  if (units === undefined || phase === 'VOID' || phase === 'CANCELLED') return { reserved: 0, sold: 0 }
  if (phase !== 'CLOSED') return { reserved: quantity, sold: 0 }
  return { reserved: 0, sold: reason !== undefined && kept.has(reason) ? quantity : 0 }
}
