import type { Disk } from './disk.ts'
import { StorageError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import { createLane } from './lane.ts'
import { messageBytesMax, outboxMax } from './limits.ts'
import { type Pending, Shelf } from './shelf.ts'
import type { StorageOp, Tables } from './tables.ts'

/** A message to be sent until its recipient has acknowledged it. */
export interface OutboxMessage {
  /** Unique: adding it again changes nothing. */
  readonly id: string
  /** Whose it is; the order of messages is kept for each recipient. */
  readonly to: string
  /** Sealed, as it travels. */
  readonly bytes: Uint8Array
  /** The order that it belongs to, if any. */
  readonly order?: string
  /** At once when left out. */
  readonly dueAtMs?: number
}

/** Where a message stands: `sending`, or kept by a relay until its recipient comes. */
export type OutboxState = 'sending' | 'at-relay'

/** A message in the outbox without its bytes. */
export interface OutboxHeader {
  readonly id: string
  readonly to: string
  readonly order?: string
  readonly addedAtMs: number
  readonly dueAtMs: number
  /** Tries so far. */
  readonly attempts: number
  readonly state: OutboxState
  /** Why the last try failed. */
  readonly error?: string
}

export interface OutboxEntry extends OutboxHeader {
  readonly bytes: Uint8Array
}

/** How a try ended that was not acknowledged. */
export interface Retry {
  readonly dueAtMs: number
  /** Unchanged when left out. */
  readonly state?: OutboxState
  readonly error?: string
}

/** Messages that have not been acknowledged yet, in the order of their causes for each recipient. */
export interface Outbox {
  /**
   * @param extraOps - Written in the same batch.
   * @throws {@link StorageError} `limit` when the outbox is full or a message too large.
   */
  add(messages: readonly OutboxMessage[], extraOps?: readonly StorageOp[]): Promise<void>
  /**
   * What is to be sent now: of each recipient the oldest message that is not at a relay, when its time has come, and
   * those at relays whose time has come. A later message waits for the earlier ones.
   */
  due(nowMs: number, options?: { limit?: number }): Promise<OutboxEntry[]>
  /** When {@link due} will have something; undefined when nothing waits. */
  nextDueAtMs(): number | undefined
  reschedule(id: string, retry: Retry): Promise<void>
  /**
   * Makes messages due at once and forgets how often they were tried in vain: something has changed. Unknown ids are
   * ignored.
   */
  hurry(ids: readonly string[]): Promise<void>
  /** The recipient has it: forgets it. Unknown ids are ignored. */
  delivered(ids: readonly string[]): Promise<void>
  /** All, oldest first. */
  list(query?: { order?: string; to?: string }): OutboxHeader[]
  /** Called when messages were added. */
  onAdded(listener: (headers: readonly OutboxHeader[]) => void): Unsubscribe
}

/** What orders need of the outbox besides: changes to be written in their own batch. */
export interface OutboxDraft {
  adding(messages: readonly OutboxMessage[]): Pending
  removing(ids: readonly string[]): Pending
}

export async function openOutbox(tables: Tables, disk: Disk, now: () => number): Promise<Outbox & OutboxDraft> {
  return new ShelvedOutbox(await Shelf.open<OutboxHeader>(tables.outbox), disk, now)
}

class ShelvedOutbox implements Outbox, OutboxDraft {
  readonly #shelf: Shelf<OutboxHeader>
  readonly #disk: Disk
  readonly #now: () => number
  /** A retry that is written beside the end of its message would bring the message back without its bytes. */
  readonly #lane = createLane()
  readonly #events = new Emitter<{ added: readonly OutboxHeader[] }>()

  constructor(shelf: Shelf<OutboxHeader>, disk: Disk, now: () => number) {
    this.#shelf = shelf
    this.#disk = disk
    this.#now = now
  }

  async add(messages: readonly OutboxMessage[], extraOps: readonly StorageOp[] = []): Promise<void> {
    const pending = this.adding(messages)
    await this.#write({ ...pending, ops: [...pending.ops, ...extraOps] })
  }

  async due(nowMs: number, { limit = 100 }: { limit?: number } = {}): Promise<OutboxEntry[]> {
    const headers = this.#sendable()
      .filter(({ dueAtMs }) => dueAtMs <= nowMs)
      .slice(0, limit)
    const bytes = await Promise.all(headers.map(({ id }) => this.#shelf.bytes(id)))
    // What was delivered while its bytes were read is due no more.
    return headers.flatMap((header, index) => {
      const found = bytes[index]
      return found === undefined ? [] : [{ ...header, bytes: found }]
    })
  }

  nextDueAtMs(): number | undefined {
    const times = this.#sendable().map(({ dueAtMs }) => dueAtMs)
    return times.length === 0 ? undefined : Math.min(...times)
  }

  reschedule(id: string, retry: Retry): Promise<void> {
    return this.#lane.run(() => this.#reschedule(id, retry))
  }

  hurry(ids: readonly string[]): Promise<void> {
    return this.#lane.run(async () => {
      const headers = ids.flatMap((id) => this.#shelf.header(id) ?? [])
      const changes = headers.map((header) => this.#shelf.change({ ...header, attempts: 0, dueAtMs: this.#now() }))
      await this.#write({
        ops: changes.flatMap(({ ops }) => ops),
        written: () => {
          for (const { written } of changes) written()
        }
      })
    })
  }

  delivered(ids: readonly string[]): Promise<void> {
    return this.#lane.run(() => this.#write(this.removing(ids)))
  }

  list({ order, to }: { order?: string; to?: string } = {}): OutboxHeader[] {
    return this.#shelf
      .headers()
      .filter((header) => (order === undefined || header.order === order) && (to === undefined || header.to === to))
  }

  onAdded(listener: (headers: readonly OutboxHeader[]) => void): Unsubscribe {
    return this.#events.on('added', listener)
  }

  adding(messages: readonly OutboxMessage[]): Pending {
    const fresh = messages.filter(({ id }, index) => {
      const isFirst = messages.findIndex((other) => other.id === id) === index
      return isFirst && this.#shelf.header(id) === undefined
    })
    checkBounds(fresh, this.#shelf.size)
    const headers = fresh.map((message) => headerOf(message, this.#now()))
    const added = fresh.map(({ bytes }, index) => this.#shelf.add(headers[index] as OutboxHeader, bytes))
    return {
      ops: added.flatMap(({ ops }) => ops),
      written: () => {
        for (const one of added) one.written()
        if (headers.length > 0) this.#events.emit('added', headers)
      }
    }
  }

  removing(ids: readonly string[]): Pending {
    const removed = ids.map((id) => this.#shelf.remove(id))
    return {
      ops: removed.flatMap(({ ops }) => ops),
      written: () => {
        for (const one of removed) one.written()
      }
    }
  }

  async #reschedule(id: string, { dueAtMs, state, error }: Retry): Promise<void> {
    const header = this.#shelf.header(id)
    if (header === undefined) return
    const { error: _, ...rest } = header
    const failure = error === undefined ? {} : { error }
    const attempts = header.attempts + 1
    await this.#write(this.#shelf.change({ ...rest, ...failure, attempts, dueAtMs, state: state ?? header.state }))
  }

  /** Of each recipient up to and with the first that no relay keeps. */
  #sendable(): OutboxHeader[] {
    const waiting = new Set<string>()
    return this.#shelf.headers().filter(({ to, state }) => {
      if (waiting.has(to)) return false
      if (state === 'sending') waiting.add(to)
      return true
    })
  }

  async #write({ ops, written }: Pending): Promise<void> {
    if (ops.length > 0) await this.#disk.commit(ops, { sync: true })
    written()
  }
}

function headerOf({ id, to, order, dueAtMs }: OutboxMessage, nowMs: number): OutboxHeader {
  const about = order === undefined ? { id, to } : { id, to, order }
  return { ...about, addedAtMs: nowMs, dueAtMs: dueAtMs ?? nowMs, attempts: 0, state: 'sending' }
}

function checkBounds(messages: readonly OutboxMessage[], held: number): void {
  if (held + messages.length > outboxMax) {
    throw new StorageError('limit', `${held} messages wait to be delivered and ${outboxMax} may; let some go first`)
  }
  const large = messages.find(({ bytes }) => bytes.length > messageBytesMax)
  if (large !== undefined) {
    throw new StorageError('limit', `message ${large.id} has ${large.bytes.length} bytes, over ${messageBytesMax}`)
  }
}
