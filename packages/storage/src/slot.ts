import { type AnyRecord, compareBytes } from '@souk/records'
import { bytesAt, end, keyOf, numberAt, numberBytes, type Part } from './keys.ts'

/**
 * One record in a slot. A slot of a replaceable kind has one entry, a slot of an immutable kind up to
 * `conflictsPerSlotMax`, first the one that stands: see `compareEvidence`.
 */
export interface SlotEntry {
  /** 32 bytes. */
  readonly digest: Uint8Array
  readonly seq: number
  readonly createdAtMs: number
  readonly tombstone: boolean
  /** Signed by this node's user: never evicted, not counted. */
  readonly own: boolean
}

const entryBytes = 32 + 2 * numberBytes + 1
const tombstoneFlag = 1
const ownFlag = 2

/** A slot: author, kind, key. */
export type Slot = Pick<AnyRecord, 'author' | 'kind' | 'key'>

export function slotKey(slot: Slot): Uint8Array {
  return keyOf(...slotParts(slot))
}

export function slotParts({ author, kind, key }: Slot): Part[] {
  return [author, kind, end, key]
}

export function encodeSlot(entries: readonly SlotEntry[]): Part[] {
  return entries.flatMap((entry) => [entry.digest, entry.seq, entry.createdAtMs, flagsOf(entry)])
}

export function decodeSlot(bytes: Uint8Array | undefined): SlotEntry[] {
  const entries: SlotEntry[] = []
  for (let at = 0; at < (bytes?.length ?? 0); at += entryBytes) entries.push(entryAt(bytes as Uint8Array, at))
  return entries
}

/** Of two entries of a replaceable slot, which stands: higher `seq`, then lower digest. Negative when `a` does. */
export function compareEntries(a: SlotEntry, b: SlotEntry): number {
  return b.seq - a.seq || compareBytes(a.digest, b.digest)
}

function flagsOf(entry: SlotEntry): Uint8Array {
  return Uint8Array.of((entry.tombstone ? tombstoneFlag : 0) | (entry.own ? ownFlag : 0))
}

function entryAt(bytes: Uint8Array, at: number): SlotEntry {
  const flags = bytes[at + entryBytes - 1] ?? 0
  return {
    digest: bytesAt(bytes, at, at + 32),
    seq: numberAt(bytes, at + 32),
    createdAtMs: numberAt(bytes, at + 32 + numberBytes),
    tombstone: (flags & tombstoneFlag) !== 0,
    own: (flags & ownFlag) !== 0
  }
}
