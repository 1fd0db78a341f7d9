/** The signed event: how it is made, and how a peer's bytes are checked. docs/protocol/orders.md section 3. */
import {
  compareBytes,
  decodeCanonical,
  encodeCanonical,
  RecordError,
  sameBytes,
  type RecordErrorCode,
  type Signer,
  verifySignature
} from '@souk/records'
import { sha256 } from '@noble/hashes/sha2.js'
import { type EventErrorCode, TradingError } from './errors.ts'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { clockSkewMsMax, conflictsPerPlaceMax, envelopeBytesMax, eventBytesMax, headsMax, offersMax } from './limits.ts'
import { type EventType, eventTypes, payloadFault, type PayloadOf } from './payloads.ts'
import type { OrderId } from './terms.ts'

/** 64 hex digits: SHA-256 of an event's body. The signature is not part of it. */
export type EventId = string & { readonly __brand: 'EventId' }

/** An event whose size, shape, canonical form, signature and payload have been checked. */
export interface OrderEvent<T extends EventType = EventType> {
  readonly id: EventId
  readonly order: OrderId
  readonly type: T
  /** 32-byte Ed25519 public key. */
  readonly author: Uint8Array
  /** The heads that the author had seen. */
  readonly prev: readonly EventId[]
  /** By the author's clock. */
  readonly atMs: number
  readonly payload: PayloadOf<T>
  /** The signed event as it travels. What is stored and passed on is always these bytes. */
  readonly bytes: Uint8Array
}

/** An event of any one type: narrowing `type` narrows `payload`. */
export type AnyEvent = { [T in EventType]: OrderEvent<T> }[EventType]

/** What an author decides about an event; the rest follows. */
export interface EventDraft<T extends EventType = EventType> {
  readonly order: OrderId
  readonly type: T
  readonly prev: readonly EventId[]
  readonly atMs: number
  readonly payload: PayloadOf<T>
}

/** Keeps an event's signature from meaning anything elsewhere. */
const signaturePrefix = new TextEncoder().encode('souk/order/1\n')

/**
 * Signs a draft. The result has passed every check that the other party's event passes.
 *
 * @throws {@link TradingError} with the code of the first check that the draft fails.
 */
export function sealEvent<T extends EventType>(draft: EventDraft<T>, signer: Signer): OrderEvent<T> {
  const body = encodeCanonical({
    v: 1,
    order: hexToBytes(draft.order),
    type: draft.type,
    author: signer.publicKey,
    prev: draft.prev.toSorted().map(hexToBytes),
    at: draft.atMs,
    payload: draft.payload
  })
  const bytes = encodeCanonical({ body, sig: signer.sign(signedBytes(body)) })
  return openEvent(bytes, { nowMs: draft.atMs }) as OrderEvent as OrderEvent<T>
}

/**
 * Checks bytes from a peer and returns what they say. Cheap checks come first: nothing is hashed or verified before
 * size, shape and canonical form are right. Whether the author may say it in this order is {@link fold}'s to decide.
 *
 * @param bytes - One signed event as it travels, at most {@link eventBytesMax} bytes.
 * @param options.nowMs - The receiver's clock.
 * @returns The event; its `bytes` are a copy of its own.
 * @throws {@link TradingError} with the code of the first check that failed; never anything else.
 */
export function openEvent(bytes: Uint8Array, options: { nowMs: number }): AnyEvent {
  const { body, sig } = openEnvelope(bytes)
  const fields = openBody(body)
  if (fields.at > options.nowMs + clockSkewMsMax) {
    throw new TradingError('not-yet-valid', `made ${fields.at - options.nowMs} ms ahead; ${clockSkewMsMax} are allowed`)
  }
  if (!verifySignature({ signature: sig, message: signedBytes(body), publicKey: fields.author })) {
    throw new TradingError('bad-signature', 'the signature does not hold for this author and body')
  }
  const fault = payloadFault(fields.type, fields.payload)
  if (fault !== undefined) throw new TradingError('bad-payload', fault)
  return toEvent(fields, body, new Uint8Array(bytes))
}

/** Reopens bytes that this node checked before it stored them: decodes without verifying again. */
export function reopenEvent(bytes: Uint8Array): AnyEvent {
  const { body } = openEnvelope(bytes)
  return toEvent(openBody(body), body, bytes)
}

/**
 * Says whether a checked event may be stored beside those that a node has of its order: one author cannot fill a disk.
 *
 * @throws {@link TradingError} `too-many-events`.
 */
export function checkRoom(events: readonly OrderEvent[], event: OrderEvent): void {
  const most = event.type === 'settle-offer' ? offersMax : conflictsPerPlaceMax
  const alike = events.filter(({ id, type, author }) => {
    return id !== event.id && type === event.type && sameBytes(author, event.author)
  })
  if (alike.length >= most) {
    throw new TradingError('too-many-events', `of one party's ${event.type} events a node keeps at most ${most}`)
  }
}

interface BodyFields {
  readonly order: Uint8Array
  readonly type: EventType
  readonly author: Uint8Array
  readonly prev: readonly Uint8Array[]
  readonly at: number
  readonly payload: unknown
}

function toEvent(fields: BodyFields, body: Uint8Array, bytes: Uint8Array): AnyEvent {
  return {
    id: bytesToHex(sha256(body)) as EventId,
    order: bytesToHex(fields.order) as OrderId,
    type: fields.type,
    author: fields.author,
    prev: fields.prev.map(bytesToHex),
    atMs: fields.at,
    payload: fields.payload,
    bytes
  } as unknown as AnyEvent
}

function signedBytes(body: Uint8Array): Uint8Array {
  const message = new Uint8Array(signaturePrefix.length + body.length)
  message.set(signaturePrefix)
  message.set(body, signaturePrefix.length)
  return message
}

function openEnvelope(bytes: Uint8Array): { body: Uint8Array; sig: Uint8Array } {
  const envelope = decode(bytes, eventBytesMax)
  if (!isMap(envelope) || Object.keys(envelope).length !== 2) {
    throw new TradingError('bad-envelope', 'a signed event is a map of exactly `body` and `sig`')
  }
  const { body, sig } = envelope
  if (!(body instanceof Uint8Array) || !isBytes(sig, 64)) {
    throw new TradingError('bad-envelope', '`body` is bytes and `sig` is 64 bytes')
  }
  return { body, sig }
}

const bodyNames = new Set(['v', 'order', 'type', 'author', 'prev', 'at', 'payload'])

function openBody(bytes: Uint8Array): BodyFields {
  const body = decode(bytes, eventBytesMax - envelopeBytesMax)
  require(isMap(body), 'a body is a map')
  if (body['v'] !== 1)
    throw new TradingError('bad-version', `version ${String(body['v'])} is not 1, the only one known`)
  const stranger = Object.keys(body).find((name) => !bodyNames.has(name))
  require(stranger === undefined, `a body has no field "${stranger?.slice(0, 40)}"`)
  const { order, type, author, prev, at, payload } = body
  if (typeof type !== 'string' || !(eventTypes as readonly string[]).includes(type)) {
    throw new TradingError('unknown-type', `the type ${JSON.stringify(type)?.slice(0, 40)} is not known`)
  }
  require(isBytes(order, 32) && isBytes(author, 32), '`order` and `author` are 32 bytes')
  require(isHeads(prev), `\`prev\` is up to ${headsMax} ids, ascending, none twice`)
  require((prev.length === 0) === (type === 'request'), 'a request is first, all others follow something')
  require(Number.isSafeInteger(at) && (at as number) >= 0, '`at` is milliseconds since 1970')
  require(isMap(payload), '`payload` is a map')
  return { order, type: type as EventType, author, prev, at: at as number, payload }
}

function isHeads(value: unknown): value is Uint8Array[] {
  if (!Array.isArray(value) || value.length > headsMax) return false
  return value.every((head, index) => isBytes(head, 32) && (index === 0 || compareBytes(value[index - 1], head) < 0))
}

function decode(bytes: Uint8Array, bytesMax: number): unknown {
  try {
    return decodeCanonical(bytes, { bytesMax })
  } catch (cause) {
    if (!(cause instanceof RecordError)) throw cause
    throw new TradingError(cause.code as RecordErrorCode & EventErrorCode, cause.message, { cause })
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}

function require(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new TradingError('bad-body', expected)
}
