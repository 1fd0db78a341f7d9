import type { CompletedOrder, FeedbackEdge, Role } from './feedback.ts'
import { harshest } from './feedback.ts'

/** All that one rater said about one subject, by order. */
export type Dealings = ReadonlyMap<string, readonly FeedbackEdge[]>

/** Who said what about whom, found from either end. */
export class Ledger {
  readonly #byRater = new Map<string, Map<string, Map<string, FeedbackEdge[]>>>()
  readonly #bySubject = new Map<string, Map<string, Map<string, FeedbackEdge[]>>>()
  readonly #ordersOf = new Map<string, Map<string, CompletedOrder>>()
  #size = 0

  /** Edges and orders held. */
  get size(): number {
    return this.#size
  }

  /** False when the very same edge is there already. */
  add(edge: FeedbackEdge): boolean {
    const dealings = this.#dealings(edge)
    const said = dealings.get(edge.order) ?? []
    if (said.some((other) => isSame(other, edge))) return false
    dealings.set(edge.order, [...said, { ...edge }])
    this.#size++
    return true
  }

  /** False when the edge is not there. */
  remove(edge: FeedbackEdge): boolean {
    const dealings = this.#byRater.get(edge.rater)?.get(edge.subject)
    const said = dealings?.get(edge.order)
    const left = said?.filter((other) => !isSame(other, edge))
    if (!dealings || !said || !left || left.length === said.length) return false
    if (left.length > 0) dealings.set(edge.order, left)
    else dealings.delete(edge.order)
    if (dealings.size === 0) this.#forget(edge)
    this.#size--
    return true
  }

  /** False when an order of this id between these two is there already. */
  addOrder(order: CompletedOrder): boolean {
    if (this.#ordersOf.get(order.seller)?.has(orderKey(order))) return false
    for (const party of [order.buyer, order.seller]) child(this.#ordersOf, party).set(orderKey(order), { ...order })
    this.#size++
    return true
  }

  /** False when no order of this id between these two is there. */
  removeOrder(order: CompletedOrder): boolean {
    if (!this.#ordersOf.get(order.seller)?.delete(orderKey(order))) return false
    this.#ordersOf.get(order.buyer)?.delete(orderKey(order))
    this.#size--
    return true
  }

  /** What a rater said, by subject. */
  by(rater: string): ReadonlyMap<string, Dealings> {
    return this.#byRater.get(rater) ?? new Map()
  }

  /** What was said about a subject, by rater. */
  about(subject: string): ReadonlyMap<string, Dealings> {
    return this.#bySubject.get(subject) ?? new Map()
  }

  /** Completed orders in which a subject had a role. */
  ordersAs(subject: string, role: Role): CompletedOrder[] {
    return [...(this.#ordersOf.get(subject)?.values() ?? [])].filter((order) => order[role] === subject)
  }

  #dealings({ rater, subject }: FeedbackEdge): Map<string, FeedbackEdge[]> {
    const dealings = child(child(this.#byRater, rater), subject)
    child(this.#bySubject, subject, () => new Map()).set(rater, dealings)
    return dealings
  }

  #forget({ rater, subject }: FeedbackEdge): void {
    this.#byRater.get(rater)?.delete(subject)
    this.#bySubject.get(subject)?.delete(rater)
  }
}

/**
 * What counts of somebody's dealings with another: one statement an order, in a fixed order, so that sums of floats
 * do not depend on arrival.
 */
export function statements(dealings: Dealings, role?: Role): FeedbackEdge[] {
  return [...dealings.values()]
    .map(harshest)
    .filter((edge) => role === undefined || edge.raterRole === role)
    .toSorted((a, b) => (a.order < b.order ? -1 : 1))
}

function child<V>(
  parent: Map<string, Map<string, V>>,
  key: string,
  create: () => Map<string, V> = () => new Map()
): Map<string, V> {
  const existing = parent.get(key)
  if (existing) return existing
  const created = create()
  parent.set(key, created)
  return created
}

function orderKey({ order, buyer, seller }: CompletedOrder): string {
  return JSON.stringify([order, buyer, seller])
}

function isSame(a: FeedbackEdge, b: FeedbackEdge): boolean {
  return (
    a.raterRole === b.raterRole &&
    a.stars === b.stars &&
    a.valueUnits === b.valueUnits &&
    a.evidence === b.evidence &&
    a.atMs === b.atMs
  )
}
