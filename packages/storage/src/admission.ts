import { compareBytes, conflictsPerSlotMax, kindLimits } from '@souk/records'
import type { Draft } from './draft.ts'
import { rankKey, type StoredRecord } from './entry.ts'
import { compareEntries, compareEvidence, type SlotEntry } from './slot.ts'

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

/**
 * Decides about one record and enters the changes in the draft. Which record stands in a slot is a pure function of
 * the set of records seen, so that nodes that saw the same agree; quotas are each node's own.
 *
 * @param evictable - Held records that may go to make room, least worth first.
 */
export function admit(draft: Draft, candidate: Candidate, evictable: StoredRecord[]): PutOutcome {
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
  if (trust === 'own' && !entry.own && held !== undefined) draft.promote(held)
  return 'known'
}

function admitReplaceable(draft: Draft, candidate: Candidate, evictable: StoredRecord[]): PutOutcome {
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

function admitImmutable(draft: Draft, candidate: Candidate, evictable: StoredRecord[]): PutOutcome {
  const { record, digest } = candidate
  const entries = draft.slot(record)
  const last = entries.at(-1)
  if (entries.length === conflictsPerSlotMax && last !== undefined) {
    const held = draft.held(last.digest)
    if (compareEvidence(last, slotEntryOf(candidate)) < 0 || held === undefined) {
      draft.markStale(record, digest)
      return 'conflict-full'
    }
    draft.remove(held, 'superseded')
  } else if (!draft.isWithinQuota(candidate) || !makeRoom(draft, candidate, evictable)) {
    return 'over-quota'
  }
  draft.add(candidate, compareEvidence)
  return entries.length === 0 ? 'stored' : 'conflict-kept'
}

/** Takes out what counts less than the candidate until it fits; false when there is too little of that. */
function makeRoom(draft: Draft, candidate: Candidate, evictable: StoredRecord[]): boolean {
  if (candidate.trust === 'own') return true
  const rank = rankKey(candidate)
  while (isFull(draft, candidate)) {
    const least = evictable[0]
    if (least === undefined || compareBytes(rankKey(least), rank) >= 0) return false
    evictable.shift()
    if (draft.held(least.digest) !== undefined) draft.remove(least, 'evicted')
  }
  return true
}

/** True when the store has no place for one more record of this size, or for its growth when it replaces another. */
function isFull(draft: Draft, { record }: Candidate): boolean {
  const { totals, base } = draft
  const replaces = draft.slot(record).length > 0 && !kindLimits[record.kind].immutable
  const count = totals.count + (replaces ? 0 : 1)
  return count > base.limits.recordsMax || totals.bytes + record.bytes.length > base.limits.bytesMax
}

function slotEntryOf({ record, digest, trust }: Candidate): SlotEntry {
  const { seq, createdAtMs, content } = record
  return { digest, seq, createdAtMs, tombstone: content === null, own: trust === 'own' }
}
