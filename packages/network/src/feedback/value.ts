/**
 * Feedback as a value in the DHT: immutable, at `/souk/` followed by the 32-byte digest of the record's id. Every
 * replica checks the whole record before it stores it, so that a forged or altered value goes nowhere.
 */
import type { AbortOptions } from '@libp2p/interface'
import { EventTypes, type KadDHT, type QueryEvent } from '@libp2p/kad-dht'
import { recordDigest, sameBytes } from '@souk/records'
import { ProtocolError } from '../protocol-error.ts'
import { type KeptRecord, openKept } from '../record-value.ts'
import { feedbackBytesMax } from './limits.ts'

/** A feedback whose work, signatures and receipt hold. */
export type FeedbackRecord = KeptRecord<'feedback'>

/** What must be given to `kadDHT()` when it is made; `now` is the replica's clock. */
export interface FeedbackDhtInit {
  readonly validators: Record<string, (key: Uint8Array, value: Uint8Array) => void>
  readonly selectors: Record<string, (key: Uint8Array, values: Uint8Array[]) => number>
}

/** Validators and selectors for `kadDHT()`: without them a node refuses all feedback, and stores none. */
export function feedbackDhtInit(init: { now?: () => number } = {}): FeedbackDhtInit {
  const now = init.now ?? Date.now
  return {
    validators: { souk: (key, value) => void checkValue(key, value, now()) },
    // All valid values of a key hold the same body, so the first is as good as any.
    selectors: { souk: () => 0 }
  }
}

/** The DHT key of a record: `/souk/` and its digest. */
export function valueKey(digest: Uint8Array): Uint8Array {
  const key = new Uint8Array(keyPrefix.length + digest.length)
  key.set(keyPrefix)
  key.set(digest, keyPrefix.length)
  return key
}

/**
 * Opens bytes that ought to be a feedback.
 *
 * @throws {@link ProtocolError} those of {@link openKept}.
 */
export function openFeedback(bytes: Uint8Array, { nowMs }: { nowMs: number }): FeedbackRecord {
  return openKept('feedback', bytes, { nowMs, bytesMax: feedbackBytesMax })
}

/**
 * Puts a feedback to the peers nearest its key.
 *
 * @returns How many replicas other than this node confirmed it.
 */
export async function putValue(
  dht: Pick<KadDHT, 'put'>,
  record: FeedbackRecord,
  options: AbortOptions
): Promise<number> {
  let replicas = 0
  await eachEvent(dht.put(valueKey(recordDigest(record.id)), record.bytes, options), (event) => {
    if (isPutConfirmed(event, record.bytes)) replicas++
    return true
  })
  return replicas
}

/** Looks for the feedback of a digest; the first value that holds ends the search. */
export async function getValue(
  dht: Pick<KadDHT, 'get'>,
  digest: Uint8Array,
  options: AbortOptions & { nowMs: number }
): Promise<FeedbackRecord | undefined> {
  let found: FeedbackRecord | undefined
  const key = valueKey(digest)
  await eachEvent(dht.get(key, { signal: options.signal }), (event) => {
    const value = valueOf(event)
    if (value !== undefined) found = tryValue(key, value, options.nowMs)
    return found === undefined
  })
  return found
}

const keyPrefix = new TextEncoder().encode('/souk/')

function checkValue(key: Uint8Array, value: Uint8Array, nowMs: number): FeedbackRecord {
  const record = openFeedback(value, { nowMs })
  if (!sameBytes(key, valueKey(recordDigest(record.id)))) {
    throw new ProtocolError('wrong-key', 'the key of a value is `/souk/` and the digest of its id')
  }
  return record
}

function tryValue(key: Uint8Array, value: Uint8Array, nowMs: number): FeedbackRecord | undefined {
  try {
    return checkValue(key, value, nowMs)
  } catch {
    return undefined
  }
}

/**
 * Runs a query until it ends or `onEvent` says stop. A query throws as a whole when one replica refuses a correction
 * or one path runs out of time; what the others said still counts.
 */
export async function eachEvent(
  query: AsyncIterable<QueryEvent>,
  onEvent: (event: QueryEvent) => boolean
): Promise<void> {
  try {
    for await (const event of query) if (!onEvent(event)) return
  } catch {
    // The events seen so far are the answer.
  }
}

/** True for a replica's word that it has stored exactly this. */
export function isPutConfirmed(event: QueryEvent, value: Uint8Array): boolean {
  return (
    event.type === EventTypes.PEER_RESPONSE &&
    event.messageName === 'PUT_VALUE' &&
    event.record !== undefined &&
    sameBytes(event.record.value, value)
  )
}

/** The value that an answer brings, unchecked. */
export function valueOf(event: QueryEvent): Uint8Array | undefined {
  if (event.type === EventTypes.VALUE) return event.value
  return event.type === EventTypes.PEER_RESPONSE ? event.record?.value : undefined
}
