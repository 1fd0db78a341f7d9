import { didFromKey, type Did, reopenRecord, type Signer, type SoukRecord } from '@souk/records'
import type { OrderFact, OutboxMessage, Storage, StorageOp, Sublevel } from '@souk/storage'
import {
  type AnyEvent,
  checkRoom,
  createEvent,
  type EventInput,
  fold,
  type OrderState,
  type Party,
  partyOf,
  reopenEvent
} from '@souk/trading'
import { factOf, type FactRow } from './chains.ts'
import { NodeError } from './errors.ts'
import { encodeLetter } from './mail.ts'

/** What only this side of an order knows. */
export interface OrderNote {
  /** The buyer pays before the seller has accepted. */
  readonly paysAtOnce?: boolean
  /** 16 bytes in hex: what the buyer shows at a pick-up. */
  readonly pickupSecret?: string
}

/** An order as this node holds it. */
export interface HeldOrder {
  readonly state: OrderState
  readonly role: Party
  readonly counterparty: Did
  readonly note: OrderNote
  /** The revision that was bought, kept because listings go. */
  readonly listing: SoukRecord<'listing'>
  readonly updatedAtMs: number
}

/** What comes with the first event of an order. */
export interface OpeningStep {
  readonly note?: OrderNote
  readonly listing: SoukRecord<'listing'>
  /** `0x…`, where the order settles through escrow. */
  readonly escrowId?: string | undefined
  /** What the chain has said of it before this node knew of the order. */
  readonly facts?: readonly FactRow[]
  /** Other changes of the same batch. */
  readonly extraOps?: readonly StorageOp[]
}

/** This identity's orders: sets of events and facts on disk, folded when somebody looks. */
export interface OrderBook {
  get(order: string): Promise<HeldOrder | undefined>
  events(order: string): Promise<AnyEvent[]>
  /** Writes the first event with all that belongs to it, and the letter that carries it when it is one's own. */
  open(event: AnyEvent, step: OpeningStep & { processed?: string; to?: Did }): Promise<void>
  /** Writes an event of the other party. @throws `TradingError` `too-many-events`. */
  add(event: AnyEvent, step: { processed: string }): Promise<void>
  /**
   * Says something: signs, writes event and letter in one batch. Whoever calls it sees to it that nothing else is said
   * in this order meanwhile: of two that are signed at once, one contradicts the other.
   *
   * @param extraOps - Other changes of the same batch.
   * @throws `TradingError` `not-allowed`, {@link NodeError} `refused` for what the other side would refuse.
   */
  say(held: HeldOrder, input: EventInput, extraOps?: readonly StorageOp[]): Promise<HeldOrder>
  /** Takes in what the watcher has seen and this order does not know: it may have been seen while the order came in. */
  addMissingFacts(order: string, rows: readonly FactRow[]): Promise<void>
  /** Takes in what the chain said about an escrow; nothing when no order here has it. */
  addFact(escrowId: string, fact: { readonly id: string; readonly row: FactRow | null }): Promise<void>
}

export interface OrderBookComponents {
  readonly storage: Pick<Storage, 'orders' | 'sublevel'>
  readonly signer: Signer
}

export function createOrderBook({ storage, signer }: OrderBookComponents, init: { now: () => number }): OrderBook {
  const { orders } = storage
  const notes: Sublevel<OrderNote> = storage.sublevel<OrderNote>('order-notes', { values: 'json' })
  const listings = storage.sublevel('order-listings', { values: 'bytes' })
  const escrows: Sublevel<string> = storage.sublevel<string>('order-escrows', { values: 'json' })

  const events = async (order: string): Promise<AnyEvent[]> =>
    (await orders.events(order)).map(({ bytes }) => reopenEvent(bytes))

  const get = async (order: string): Promise<HeldOrder | undefined> => {
    const [said, facts, summary] = await Promise.all([events(order), orders.facts(order), orders.get(order)])
    const state = fold(
      said,
      facts.map(({ fact }) => factOf(fact as unknown as FactRow)),
      init.now()
    )
    const role = state && partyOf(state, signer.publicKey)
    const listing = await listings.get(order)
    if (state === undefined || role === undefined || listing === undefined) return undefined
    const counterparty = didFromKey(role === 'buyer' ? state.terms.seller : state.terms.buyer)
    const note = (await notes.get(order)) ?? {}
    const record = reopenRecord(listing) as SoukRecord<'listing'>
    return { state, role, counterparty, note, listing: record, updatedAtMs: summary?.updatedAtMs ?? 0 }
  }

  return {
    get,
    events,
    async open(event, { note = {}, listing, escrowId, facts = [], extraOps = [], processed, to }) {
      const { order } = event
      const extra: StorageOp[] = [
        { type: 'put', sublevel: notes, key: order, value: note },
        { type: 'put', sublevel: listings, key: order, value: listing.bytes },
        ...(escrowId === undefined ? [] : [{ type: 'put', sublevel: escrows, key: escrowId, value: order } as const]),
        ...extraOps
      ]
      const step = {
        order,
        events: [rowOf(event)],
        facts: facts.map(toFact),
        outbox: to === undefined ? [] : [letterTo(to, event)]
      }
      await orders.append({ ...step, ...(processed === undefined ? {} : { processed: [processed] }) }, extra)
    },
    async add(event, { processed }) {
      checkRoom(await events(event.order), event)
      await orders.append({ order: event.order, events: [rowOf(event)], processed: [processed] })
    },
    async say({ state, counterparty }, input, extraOps = []) {
      const event = createEvent(state, input, signer)
      refuseOwn(event, await events(state.order))
      const step = { order: state.order, events: [rowOf(event)], outbox: [letterTo(counterparty, event)] }
      await orders.append(step, extraOps)
      const after = await get(state.order)
      if (after === undefined) throw new NodeError('not-found', `order ${state.order} is gone`)
      return after
    },
    async addMissingFacts(order, rows) {
      const known = new Map((await orders.facts(order)).map(({ id, fact }) => [id, JSON.stringify(fact)]))
      const facts = rows.map(toFact).filter(({ id, fact }) => known.get(id) !== JSON.stringify(fact))
      if (facts.length > 0) await orders.append({ order, facts })
    },
    async addFact(escrowId, { id, row }) {
      const order = await escrows.get(escrowId)
      if (order !== undefined) await orders.append({ order, facts: [{ id, fact: row }] })
    }
  }
}

/** What the other side would refuse is not said: a wrong code at the door, above all. */
function refuseOwn(event: AnyEvent, before: readonly AnyEvent[]): void {
  const fault = fold([...before, event], [], event.atMs)?.refused.find(({ id }) => id === event.id)
  if (fault !== undefined) throw new NodeError('refused', `the ${event.type} would be refused: ${fault.code}`)
}

function rowOf({ id, bytes }: AnyEvent): { id: string; bytes: Uint8Array } {
  return { id, bytes }
}

function letterTo(to: Did, event: AnyEvent): OutboxMessage {
  return { id: event.id, to, order: event.order, bytes: encodeLetter({ type: 'order-event', event: event.bytes }) }
}

function toFact(row: FactRow): OrderFact {
  return { id: `${row.tx}:${row.logIndex}`, fact: row }
}
