import { compareBytes, compareEvidence, conflictsPerSlotMax, kindLimits, type SoukRecord } from '@souk/records'
import type { Draft, Totals } from './draft.ts'
import { rankKey, type StoredRecord } from './entry.ts'
import { keyOf } from './keys.ts'
import { receiptsShare } from './limits.ts'
import { compareEntries, type SlotEntry } from './slot.ts'

/**
 * What became of a record that was put:
 *
 * - `stored`: it is in its slot now;
 * - `known`: it was there;
 * - `stale`: superseded by what is, or was, held; or expired;
 * - `over-quota`: its author has used up its place, or the store is full of records that count more;
 * - `conflict-kept`: its kind is never replaced and the slot held another: kept as evidence;
 * - `conflict-full`: the slot holds as much evidence as it may.
 */
export type PutOutcome = 'stored' | 'known' | 'stale' | 'over-quota' | 'conflict-kept' | 'conflict-full'

/** A record at the door. */
export type Candidate = Omit<StoredRecord, 'sequence'>

/** Held records that may go to make room, least worth first. */
export interface Evictable {
  readonly any: StoredRecord[]
  /** Receipt-bound ones of unknown authors: when these fill their part of the room, only they make room for their like. */
  readonly receipts: StoredRecord[]
}

/**
 * Decides about one record and enters the changes in the draft. Which record stands in a slot is a pure function of
 * the set of records seen, so that nodes that saw the same agree; quotas are each node's own.
 */
export function admit(draft: Draft, candidate: Candidate, evictable: Evictable): PutOutcome {
  const { record, digest } = candidate
  if (record.expiresAtMs <= draft.base.nowMs) return 'stale'
  const entries = draft.slot(record)
  const same = entries.find((entry) => compareBytes(entry.digest, digest) === 0)
  if (same !== undefined) return meetAgain(draft, candidate, same)
  if (draft.isStale(digest)) return 'stale'
  return kindLimits[record.kind].immutable
    ? admitImmutable(draft, candidate, evictable)
    : admitReplaceable(draft, candidate, evictable)
}

function meetAgain(draft: Draft, { digest, trust }: Candidate, entry: SlotEntry): PutOutcome {
  const held = draft.held(digest)
  if (trust === 'own' && !entry.own && held !== undefined) draft.promote(held, 'own')
  return 'known'
}

function admitReplaceable(draft: Draft, candidate: Candidate, evictable: Evictable): PutOutcome {
  const { record, digest } = candidate
  const head = draft.slot(record)[0]
  if (head !== undefined && compareEntries(head, slotEntryOf(candidate)) < 0) {
    draft.markStale(record, digest)
    return 'stale'
  }
  if (!draft.isWithinQuota(candidate) || !makeRoom(draft, candidate, evictable)) return 'over-quota'
  if (head !== undefined) supersede(draft, candidate, head)
  draft.add(candidate, compareEntries)
  return 'stored'
}

function supersede(draft: Draft, { record }: Candidate, head: SlotEntry): void {
  const held = draft.held(head.digest)
  if (held === undefined) draft.vacate(record, head.digest)
  else draft.remove(held, 'superseded')
}

function admitImmutable(draft: Draft, candidate: Candidate, evictable: Evictable): PutOutcome {
  const { record, digest } = candidate
  const entries = draft.slot(record)
  const compare = evidenceOrder(draft, candidate)
  const last = entries.at(-1)
  if (entries.length === conflictsPerSlotMax && last !== undefined) {
    const held = draft.held(last.digest)
    if (compare(last, slotEntryOf(candidate)) < 0 || held === undefined) {
      draft.markStale(record, digest)
      return 'conflict-full'
    }
    draft.remove(held, 'superseded')
  } else if (!draft.isWithinQuota(candidate) || !makeRoom(draft, candidate, evictable)) {
    return 'over-quota'
  }
  draft.add(candidate, compare)
  return entries.length === 0 ? 'stored' : 'conflict-kept'
}

/** The order of the candidate and what its slot holds. What the disk has lost comes last: it shows nothing. */
function evidenceOrder(draft: Draft, candidate: Candidate): (a: SlotEntry, b: SlotEntry) => number {
  const recordOf = ({ digest }: SlotEntry): SoukRecord<'feedback'> | undefined => {
    const { record } = compareBytes(digest, candidate.digest) === 0 ? candidate : (draft.held(digest) ?? {})
    return record as SoukRecord<'feedback'> | undefined
  }
  return (a, b) => {
    const [one, other] = [recordOf(a), recordOf(b)]
    if (one === undefined || other === undefined) return Number(one === undefined) - Number(other === undefined)
    return compareEvidence(one, other)
  }
}

/** Takes out what counts less than the candidate until it fits. Takes out nothing when that would not be enough. */
function makeRoom(draft: Draft, candidate: Candidate, { any, receipts }: Evictable): boolean {
  if (candidate.trust === 'own') return true
  const { limits } = draft.base
  const growth = growthOf(draft, candidate)
  const fromReceipts = takesReceiptRoom(candidate)
    ? going(draft, candidate, { from: receipts, excess: excess(draft.totals.receipts, growth, receiptRoom(limits)) })
    : []
  if (fromReceipts === undefined) return false
  const freed = fromReceipts.reduce((totals, { record }) => less(totals, record.bytes.length), draft.totals as Totals)
  const over = excess(freed, growth, { count: limits.recordsMax, bytes: limits.bytesMax })
  const others = fromReceipts.length === 0 ? any : any.filter((one) => !fromReceipts.includes(one))
  const rest = going(draft, candidate, { from: others, excess: over })
  if (rest === undefined) return false
  for (const least of [...fromReceipts, ...rest]) draft.remove(least, 'evicted')
  return true
}

/** What of a list has to go for the excess to go; undefined when that is not to be had from what counts less. */
function going(
  draft: Draft,
  candidate: Candidate,
  { from, excess: { count, bytes } }: { from: readonly StoredRecord[]; excess: Totals }
): StoredRecord[] | undefined {
  const rank = keyOf(...rankKey(candidate))
  const slot = draft.slot(candidate.record)
  const chosen: StoredRecord[] = []
  let left = { count, bytes }
  for (const least of from) {
    if (left.count <= 0 && left.bytes <= 0) break
    if (draft.held(least.digest) === undefined) continue
    if (slot.some(({ digest }) => compareBytes(digest, least.digest) === 0)) continue
    if (compareBytes(keyOf(...rankKey(least)), rank) >= 0) return undefined
    chosen.push(least)
    left = less(left, least.record.bytes.length)
  }
  return left.count <= 0 && left.bytes <= 0 ? chosen : undefined
}

/** What the store grows by: less when the candidate takes the place of something. */
function growthOf(draft: Draft, { record }: Candidate): Totals {
  const head = kindLimits[record.kind].immutable ? undefined : draft.slot(record)[0]
  const replaced = head === undefined ? undefined : draft.held(head.digest)
  return { count: head === undefined ? 1 : 0, bytes: record.bytes.length - (replaced?.record.bytes.length ?? 0) }
}

function takesReceiptRoom({ record, trust }: Candidate): boolean {
  return trust === 'unknown' && kindLimits[record.kind].receiptBound
}

/** The part of the room that receipt-bound records of unknown authors may take. */
export function receiptRoom(limits: { readonly recordsMax: number; readonly bytesMax: number }): Totals {
  return { count: receiptsShare * limits.recordsMax, bytes: receiptsShare * limits.bytesMax }
}

function excess(totals: Totals, growth: Totals, room: Totals): Totals {
  return { count: totals.count + growth.count - room.count, bytes: totals.bytes + growth.bytes - room.bytes }
}

function less({ count, bytes }: Totals, recordBytes: number): Totals {
  return { count: count - 1, bytes: bytes - recordBytes }
}

function slotEntryOf({ record, digest, trust }: Candidate): SlotEntry {
  const { seq, createdAtMs, content } = record
  return { digest, seq, createdAtMs, tombstone: content === null, own: trust === 'own' }
}
