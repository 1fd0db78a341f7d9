import type { Disk } from './disk.ts'
import { StorageError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import type { InboxDraft } from './inbox.ts'
import { bytesAt, keyOf, numberAt, numberBytes, textAt, within } from './keys.ts'
import { createLane } from './lane.ts'
import { eventBytesMax, eventsPerOrderMax } from './limits.ts'
import type { OutboxDraft, OutboxMessage } from './outbox.ts'
import type { StorageOp, Tables } from './tables.ts'

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** A signed event of an order. */
export interface OrderEvent {
  /** Unique within its order. */
  readonly id: string
  readonly bytes: Uint8Array
}

/** Something that the chain said about an order. */
export interface OrderFact {
  /** Unique within its order: the same fact again replaces, a chain that was reorganised takes back. */
  readonly id: string
  /** `null` takes it back. */
  readonly fact: Json
}

/** One step of an order: all of it is written, or none. */
export interface OrderStep {
  /** 64 hexadecimal digits. */
  readonly order: string
  readonly events?: readonly OrderEvent[]
  readonly facts?: readonly OrderFact[]
  /** Messages that the step makes necessary. */
  readonly outbox?: readonly OutboxMessage[]
  /** Messages in the outbox that the other side has acknowledged. */
  readonly acknowledged?: readonly string[]
  /** Messages from the other side that led to this step: from now on they are known as processed. */
  readonly processed?: readonly string[]
}

/** What the store knows of an order without folding it. */
export interface OrderSummary {
  readonly order: string
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly events: number
  /** Grows with every step: what was derived from an order at another count is out of date. */
  readonly steps: number
}

/** Orders as sets of signed events and chain facts. What they mean is the fold's affair. */
export interface OrderStore {
  /**
   * Writes one step in one batch, on the platter when it returns.
   *
   * @param extraOps - Other changes of the same batch.
   * @returns The ids of events that were not there before.
   * @throws {@link StorageError} `limit`, `bad-argument`, `read-only`.
   */
  append(step: OrderStep, extraOps?: readonly StorageOp[]): Promise<readonly string[]>
  /** In the order in which they came. */
  events(order: string): Promise<OrderEvent[]>
  /** In the order of their ids. */
  facts(order: string): Promise<OrderFact[]>
  get(order: string): Promise<OrderSummary | undefined>
  /**
   * By id.
   *
   * @param start - Hexadecimal digits that the ids begin with; all when left out.
   */
  list(start?: string): Promise<OrderSummary[]>
  /** Called with the order's id when a step is durable. */
  onAppended(listener: (order: string) => void): Unsubscribe
}

/** What {@link createOrderStore} works on. */
export interface OrderStoreInit {
  readonly tables: Tables
  readonly disk: Disk
  readonly outbox: OutboxDraft
  readonly inbox: InboxDraft
  readonly now: () => number
}

export function createOrderStore(init: OrderStoreInit): OrderStore {
  return new LevelOrderStore(init)
}

class LevelOrderStore implements OrderStore {
  readonly #init: OrderStoreInit
  readonly #lane = createLane()
  readonly #events = new Emitter<{ appended: string }>()
  /** Settles when the step that is being written is durable, and its letters are listed. */
  #writing: Promise<void> = Promise.resolve()

  constructor(init: OrderStoreInit) {
    this.#init = init
  }

  append(step: OrderStep, extraOps: readonly StorageOp[] = []): Promise<readonly string[]> {
    checkStep(step)
    return this.#lane.run(() => this.#append(step, extraOps))
  }

  async events(order: string): Promise<OrderEvent[]> {
    const prefix = orderBytes(order)
    const rows = await this.#shown(this.#init.tables.orderEvents.iterator(within(prefix)).all())
    return rows
      .map(([key, value]) => ({
        id: textAt(key, prefix.length),
        at: numberAt(value, 0),
        bytes: bytesAt(value, numberBytes)
      }))
      .toSorted((a, b) => a.at - b.at)
      .map(({ id, bytes }) => ({ id, bytes }))
  }

  async facts(order: string): Promise<OrderFact[]> {
    orderBytes(order)
    const rows = await this.#shown(this.#init.tables.orderFacts.iterator({ gte: `${order}/`, lt: `${order}0` }).all())
    return rows.map(([key, fact]) => ({ id: key.slice(order.length + 1), fact: fact as Json }))
  }

  async get(order: string): Promise<OrderSummary | undefined> {
    orderBytes(order)
    return (await this.#shown(this.#init.tables.orders.get(order))) as OrderSummary | undefined
  }

  async list(start = ''): Promise<OrderSummary[]> {
    // `g` follows the last hexadecimal digit.
    return (await this.#shown(this.#init.tables.orders.values({ gte: start, lt: `${start}g` }).all())) as OrderSummary[]
  }

  onAppended(listener: (order: string) => void): Unsubscribe {
    return this.#events.on('appended', listener)
  }

  async #append(step: OrderStep, extraOps: readonly StorageOp[]): Promise<readonly string[]> {
    const { disk, inbox, outbox } = this.#init
    const before = await this.get(step.order)
    const fresh = await this.#freshEvents(step)
    const sending = outbox.adding(step.outbox ?? [])
    const sent = outbox.removing(step.acknowledged ?? [])
    const ops = [
      ...this.#eventOps(step.order, fresh, before?.events ?? 0),
      ...this.#factOps(step),
      this.#summaryOp(step.order, before, fresh.length),
      ...sending.ops,
      ...sent.ops,
      ...inbox.processing(step.processed ?? []),
      ...extraOps
    ]
    const writing = disk.commit(ops, { sync: true }).then(() => {
      sending.written()
      sent.written()
    })
    // Whoever appends hears of a failure; whoever reads sees what was there before.
    this.#writing = writing.catch(() => undefined)
    await writing
    this.#events.emit('appended', step.order)
    return fresh.map(({ id }) => id)
  }

  /** The database shows a step before it is durable. Nobody is to see one whose letters are not listed yet. */
  async #shown<T>(reading: Promise<T>): Promise<T> {
    const value = await reading
    await this.#writing
    return value
  }

  async #freshEvents({ order, events = [] }: OrderStep): Promise<OrderEvent[]> {
    const unique = [...new Map(events.map((event) => [event.id, event])).values()]
    const held = await this.#init.tables.orderEvents.hasMany(unique.map(({ id }) => keyOf(orderBytes(order), id)))
    return unique.filter((_, index) => held[index] !== true)
  }

  #eventOps(order: string, events: readonly OrderEvent[], before: number): StorageOp[] {
    if (before + events.length > eventsPerOrderMax) {
      throw new StorageError('limit', `order ${order} has ${before} events and may have ${eventsPerOrderMax}`)
    }
    const sublevel = this.#init.tables.orderEvents
    return events.map(({ id, bytes }, index) => ({
      type: 'put',
      sublevel,
      key: keyOf(orderBytes(order), id),
      value: keyOf(before + index, bytes)
    }))
  }

  #factOps({ order, facts = [] }: OrderStep): StorageOp[] {
    const sublevel = this.#init.tables.orderFacts
    return facts.map(({ id, fact }) => {
      const key = `${order}/${id}`
      return fact === null ? { type: 'del', sublevel, key } : { type: 'put', sublevel, key, value: fact }
    })
  }

  #summaryOp(order: string, before: OrderSummary | undefined, added: number): StorageOp {
    const updatedAtMs = this.#init.now()
    const createdAtMs = before?.createdAtMs ?? updatedAtMs
    const events = (before?.events ?? 0) + added
    const value: OrderSummary = { order, createdAtMs, updatedAtMs, events, steps: (before?.steps ?? 0) + 1 }
    return { type: 'put', sublevel: this.#init.tables.orders, key: order, value }
  }
}

function checkStep({ order, events = [] }: OrderStep): void {
  orderBytes(order)
  const large = events.find(({ bytes }) => bytes.length > eventBytesMax)
  if (large !== undefined) {
    throw new StorageError('limit', `event ${large.id} has ${large.bytes.length} bytes, over ${eventBytesMax}`)
  }
}

/** @throws {@link StorageError} `bad-argument` when it is no order's id. */
function orderBytes(order: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(order)) {
    throw new StorageError('bad-argument', `"${order.slice(0, 80)}" is no order; one has 64 hexadecimal digits`)
  }
  return new Uint8Array(Buffer.from(order, 'hex'))
}
