/**
 * From a set of events to the ones that count. Everything here depends on the set alone: an event is judged by itself
 * and by those that it follows, and of several in one place the choice is the same for everybody.
 * docs/protocol/orders.md section 5.
 */
import { sameBytes, verifyStatement } from '@souk/records'
import { sha256 } from '@noble/hashes/sha2.js'
import type { AnyEvent, EventId, OrderEvent } from './event.ts'
import { bytesToHex } from '@noble/hashes/utils.js'
import { tradeKindOf } from './kinds.ts'
import { offersMax } from './limits.ts'
import { type EventType, type Party, sendersOf } from './payloads.ts'
import { agreementOf, closingOf } from './statement.ts'
import { openTerms, orderIdOf, type Terms, termsHash } from './terms.ts'

/** Why an event will never count, whatever else arrives. */
export type RefusalCode =
  | 'stranger'
  | 'wrong-role'
  | 'wrong-trade'
  | 'wrong-terms'
  | 'bad-statement'
  | 'wrong-secret'
  | 'no-cause'

/** Different events of one party in one place: the proof that it said two things. */
export interface Equivocation {
  readonly role: Party
  readonly type: EventType
  /** The one that counts, then the others. */
  readonly events: readonly EventId[]
}

/** An admitted event, with what only its history can tell. */
export interface Entry<T extends EventType = EventType> {
  readonly event: OrderEvent<T>
  readonly role: Party
  /** The latest of its own time and the times of all that it follows. */
  readonly timeMs: number
  /** All that it follows, directly or not. */
  readonly after: ReadonlySet<EventId>
}

/** The events of one order, sorted out. */
export interface History {
  readonly terms: Terms
  readonly termsBytes: Uint8Array
  /** By id, those that are admitted. */
  readonly entries: ReadonlyMap<EventId, Entry>
  readonly refused: readonly { readonly id: EventId; readonly code: RefusalCode }[]
  /** Here, but something that they follow is not. */
  readonly waiting: readonly EventId[]
  /** What the waiting ones lack. */
  readonly missing: readonly EventId[]
  /** Admitted and followed by none: what the next event names. */
  readonly heads: readonly EventId[]
}

/** @returns Nothing while no request is among the events: without terms nobody has a role. */
export function historyOf(events: readonly AnyEvent[]): History | undefined {
  const byId = new Map(events.map((event) => [event.id, event]))
  const sorted = [...byId.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const termsBytes = sorted.map(ownTermsOf).find((bytes) => bytes !== undefined)
  if (termsBytes === undefined) return undefined
  const terms = openTerms(termsBytes)
  const { entries, refused } = admit(sorted, { terms, termsBytes })
  if (entries.size === 0) return undefined
  const settled = new Set<EventId>([...entries.keys(), ...refused.map(({ id }) => id)])
  const waiting = sorted.filter(({ id }) => !settled.has(id))
  const followed = new Set([...entries.values()].flatMap(({ event }) => event.prev))
  return {
    terms,
    termsBytes,
    entries,
    refused: refused.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    waiting: waiting.map(({ id }) => id),
    missing: [...new Set(waiting.flatMap(({ prev }) => prev))].filter((id) => !byId.has(id)).toSorted(),
    heads: [...entries.keys()].filter((id) => !followed.has(id)).toSorted()
  }
}

/** The events of one party in one place: the one that counts first. Empty when there is none. */
export function entriesOf<T extends EventType>(history: History, role: Party, type: T): readonly Entry<T>[] {
  const own = [...history.entries.values()].filter((entry) => entry.role === role && entry.event.type === type)
  const followed = (entry: Entry): number => Number(isFollowedByOther(history, entry))
  return own.toSorted(
    (a, b) => followed(b) - followed(a) || (a.event.id < b.event.id ? -1 : 1)
  ) as unknown as Entry<T>[]
}

/** Every place that holds more than it may. */
export function equivocationsIn(history: History): readonly Equivocation[] {
  const places = Object.entries(sendersOf) as [EventType, readonly Party[]][]
  return places.flatMap(([type, roles]) =>
    roles.flatMap((role) => {
      const events = entriesOf(history, role, type).map(({ event }) => event.id)
      return events.length > (type === 'settle-offer' ? offersMax : 1) ? [{ role, type, events }] : []
    })
  )
}

/** The request that an acceptance signed; found through what it follows, so that it cannot change. */
export function requestOf(history: History, accept: Entry<'accept'>): Entry<'request'> | undefined {
  return signedRequest(accept.event, { context: history, before: before(history.entries, accept.after) })
}

/** The confirmation that a seller closed, found like {@link requestOf}. */
export function confirmOf(history: History, close: Entry<'close'>): Entry<'confirm'> | undefined {
  return signedConfirm(close.event, { context: history, before: before(history.entries, close.after) })
}

interface Context {
  readonly terms: Terms
  readonly termsBytes: Uint8Array
}

interface Causes {
  readonly context: Context
  /** What the event follows, by id. */
  readonly before: readonly Entry[]
}

/** The terms in a request that is what it says: signed by the buyer that it names, and hashing to its order. */
function ownTermsOf(event: AnyEvent): Uint8Array | undefined {
  if (event.type !== 'request' || orderIdOf(event.payload.terms) !== event.order) return undefined
  try {
    return sameBytes(openTerms(event.payload.terms).buyer, event.author) ? event.payload.terms : undefined
  } catch {
    return undefined
  }
}

/** Takes in, round by round, what follows only admitted events. Which round that is makes no difference. */
function admit(events: readonly AnyEvent[], context: Context) {
  const entries = new Map<EventId, Entry>()
  const refused: { id: EventId; code: RefusalCode }[] = []
  let open = events
  for (;;) {
    const ready = open.filter((event) => event.prev.every((id) => entries.has(id)))
    if (ready.length === 0) return { entries: sortedById(entries), refused }
    for (const event of ready) {
      const after = ancestorsOf(event, entries)
      const code = refusalOf(event, { context, before: before(entries, after) })
      if (code === undefined) entries.set(event.id, entryOf(event, { context, after, entries }))
      else refused.push({ id: event.id, code })
    }
    const done = new Set(ready)
    open = open.filter((event) => !done.has(event))
  }
}

function sortedById(entries: ReadonlyMap<EventId, Entry>): ReadonlyMap<EventId, Entry> {
  return new Map([...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function entryOf(
  event: AnyEvent,
  { context, after, entries }: { context: Context; after: ReadonlySet<EventId>; entries: ReadonlyMap<EventId, Entry> }
): Entry {
  const times = before(entries, after).map(({ timeMs }) => timeMs)
  return { event, role: roleOf(event, context.terms) ?? 'buyer', timeMs: Math.max(event.atMs, ...times), after }
}

function ancestorsOf(event: AnyEvent, entries: ReadonlyMap<EventId, Entry>): ReadonlySet<EventId> {
  return new Set(event.prev.flatMap((id) => [id, ...(entries.get(id)?.after ?? [])]))
}

function before(entries: ReadonlyMap<EventId, Entry>, ids: ReadonlySet<EventId>): readonly Entry[] {
  return [...ids].toSorted().flatMap((id) => entries.get(id) ?? [])
}

function isFollowedByOther({ entries }: History, { event, role }: Entry): boolean {
  return [...entries.values()].some((entry) => entry.role !== role && entry.after.has(event.id))
}

function roleOf(event: AnyEvent, terms: Terms): Party | undefined {
  if (sameBytes(event.author, terms.buyer)) return 'buyer'
  return sameBytes(event.author, terms.seller) ? 'seller' : undefined
}

function refusalOf(event: AnyEvent, causes: Causes): RefusalCode | undefined {
  const role = roleOf(event, causes.context.terms)
  if (role === undefined) return 'stranger'
  if (!sendersOf[event.type].includes(role)) return 'wrong-role'
  if (!hasPlace(event.type, causes.context.terms)) return 'wrong-trade'
  return faultOf(event, role, causes)
}

/** Whether this trade and settlement know the event at all. */
function hasPlace(type: EventType, { trade, settlement }: Terms): boolean {
  const { deliveredBy } = tradeKindOf(trade)
  if (type === 'ship' || type === 'handover') return type === deliveredBy
  if (type === 'paid' || type === 'payment-received') return settlement.kind === 'direct'
  return type !== 'refund-received' || settlement.kind !== 'escrow'
}

function faultOf(event: AnyEvent, role: Party, causes: Causes): RefusalCode | undefined {
  const { terms, termsBytes } = causes.context
  switch (event.type) {
    case 'request':
      return requestFault(event, causes.context)
    case 'accept':
      if (!sameBytes(event.payload.terms, termsHash(termsBytes))) return 'wrong-terms'
      return signedRequest(event, causes) ? undefined : 'bad-statement'
    case 'handover':
      return terms.pickupHash && sameBytes(sha256(event.payload.secret), terms.pickupHash) ? undefined : 'wrong-secret'
    case 'confirm':
      return signsClosing(event, { by: 'buyer', atMs: event.atMs, causes }) ? undefined : 'bad-statement'
    case 'close':
      return signedConfirm(event, causes) ? undefined : 'no-cause'
    case 'settle-offer':
      return BigInt(event.payload.toSeller) <= BigInt(terms.total.minor) ? undefined : 'wrong-terms'
    case 'settle-accept':
      return answersOffer(event, role, causes) ? undefined : 'no-cause'
    case 'decline':
    case 'withdraw':
    case 'cancel':
    case 'paid':
    case 'payment-received':
    case 'ship':
    case 'refund':
    case 'refund-received':
    case 'dispute':
      return undefined
  }
}

function requestFault(event: OrderEvent<'request'>, { terms, termsBytes }: Context): RefusalCode | undefined {
  if (orderIdOf(event.payload.terms) !== event.order) return 'wrong-terms'
  if ((event.payload.escrowId !== undefined) !== (terms.settlement.kind === 'escrow')) return 'wrong-terms'
  const statement = agreementOf(terms, termsBytes, event.payload)
  return verifyStatement(statement, { publicKey: terms.buyer, signature: event.payload.sig })
    ? undefined
    : 'bad-statement'
}

function signedRequest(
  event: OrderEvent<'accept'>,
  { context: { terms, termsBytes }, before }: Causes
): Entry<'request'> | undefined {
  return before.filter(isRequest).find((entry) => {
    const statement = agreementOf(terms, termsBytes, entry.event.payload)
    return verifyStatement(statement, { publicKey: terms.seller, signature: event.payload.sig })
  })
}

function signedConfirm(event: OrderEvent<'close'>, causes: Causes): Entry<'confirm'> | undefined {
  return causes.before
    .filter(isConfirm)
    .find((entry) => signsClosing(event, { by: 'seller', atMs: entry.event.atMs, causes }))
}

/** Whether the event's signature holds for the closing of a request that it follows. */
function signsClosing(
  event: OrderEvent<'confirm'> | OrderEvent<'close'>,
  { by, atMs, causes }: { by: Party; atMs: number; causes: Causes }
): boolean {
  const { terms, termsBytes } = causes.context
  return causes.before.filter(isRequest).some((entry) => {
    const statement = closingOf(terms, termsBytes, { escrowId: entry.event.payload.escrowId, atMs })
    return verifyStatement(statement, { publicKey: terms[by], signature: event.payload.sig })
  })
}

function answersOffer(event: OrderEvent<'settle-accept'>, role: Party, { before }: Causes): boolean {
  const offer = bytesToHex(event.payload.offer)
  return before.some((entry) => entry.event.id === offer && entry.event.type === 'settle-offer' && entry.role !== role)
}

function isRequest(entry: Entry): entry is Entry<'request'> {
  return entry.event.type === 'request'
}

function isConfirm(entry: Entry): entry is Entry<'confirm'> {
  return entry.event.type === 'confirm'
}
