/**
 * Presence as a value in the DHT, at `/presence/` followed by a digest of the identity. Unlike all else there it
 * changes, and a PUT overwrites without asking which is newer (js-libp2p#3377): so a replica looks at what it holds,
 * and refuses what is older.
 */
import { Libp2pRecord } from '@libp2p/record'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { compareForSlot, sameBytes } from '@souk/records'
import { type Datastore, Key } from 'interface-datastore'
import { base32 } from 'multiformats/bases/base32'
import { ProtocolError } from '../protocol-error.ts'
import { type KeptRecord, openKept } from '../record-value.ts'
import { presenceBytesMax } from './limits.ts'

/** A presence whose work and signature hold. */
export type PresenceRecord = KeptRecord<'presence'>

/** The namespace of its keys. */
export const presenceNamespace = 'presence'

/** The DHT key of an identity's presence. */
export function presenceKey(identity: Uint8Array): Uint8Array {
  return concatBytes(keyPrefix, sha256(concatBytes(keyInfo, identity)))
}

/**
 * Opens bytes that ought to be a presence.
 *
 * @throws {@link ProtocolError} those of {@link openKept}.
 */
export function openPresence(bytes: Uint8Array, { nowMs }: { nowMs: number }): PresenceRecord {
  return openKept('presence', bytes, { nowMs, bytesMax: presenceBytesMax })
}

/**
 * A replica's judgement of a value.
 *
 * @param standing - Reads the value that is held at a key.
 * @throws {@link ProtocolError} those of {@link openPresence}, `wrong-key`, or `stale` for what is older than what is
 * held.
 */
export function createPresenceValidator(init: {
  now: () => number
  standing: (key: Uint8Array) => Promise<Uint8Array | undefined>
}): (key: Uint8Array, value: Uint8Array) => Promise<void> {
  return async (key, value) => {
    const record = openPresence(value, { nowMs: init.now() })
    if (!sameBytes(key, presenceKey(record.author))) {
      throw new ProtocolError('wrong-key', 'the key of a presence is a digest of its author')
    }
    const held = presenceOf(await init.standing(key), init.now())
    if (held !== undefined && compareForSlot(held, record) < 0) {
      throw new ProtocolError('stale', `a presence of sequence ${held.seq} is held, newer than ${record.seq}`)
    }
  }
}

/** Which of several values of one key is the newest: for `kadDHT()`. */
export function selectPresence(_key: Uint8Array, values: readonly Uint8Array[], nowMs: number): number {
  const records = values.map((value) => presenceOf(value, nowMs))
  const best = newestPresence(records)
  return best === undefined ? 0 : records.indexOf(best)
}

/** The one that stands of several of one author; undefined when there is none. */
export function newestPresence(records: readonly (PresenceRecord | undefined)[]): PresenceRecord | undefined {
  return records.filter((record) => record !== undefined).toSorted(compareForSlot)[0]
}

/** A presence, or undefined for bytes that are none or that have lapsed. */
export function presenceOf(bytes: Uint8Array | undefined, nowMs: number): PresenceRecord | undefined {
  try {
    return bytes && openPresence(bytes, { nowMs })
  } catch {
    return undefined
  }
}

/** Where kad-dht keeps the value of a key: under `/dht/record/` and the key in base32. */
export function rowOf(key: Uint8Array): Key {
  return new Key(`/dht/record/${base32.baseEncode(key)}`, false)
}

/** What kad-dht holds at a key. */
export async function standingValue(
  datastore: Pick<Datastore, 'get' | 'has'>,
  key: Uint8Array
): Promise<Uint8Array | undefined> {
  const row = rowOf(key)
  return (await datastore.has(row)) ? Libp2pRecord.deserialize(await datastore.get(row)).value : undefined
}

const keyPrefix = utf8ToBytes(`/${presenceNamespace}/`)
const keyInfo = utf8ToBytes('souk/presence/1\n')
