import { compareBytes, encodeCanonical } from './canonical.ts'
import type { Channel } from './channel.ts'
import { signedBytes } from './envelope.ts'
import type { Signer } from './identity.ts'
import type { ContentOf, RecordKind } from './kinds.ts'
import { envelopeBytesMax, workFieldBytesMax } from './limits.ts'
import { openRecord } from './opening.ts'
import { recordDigest, type RecordId } from './record-id.ts'
import { findWork, type Priced, type Work, workFloor } from './work.ts'

/** A record whose size, shape, canonical form, times, work, signature and content have been checked. */
export interface SoukRecord<K extends RecordKind = RecordKind> {
  readonly id: RecordId
  readonly kind: K
  /** 32-byte Ed25519 public key. */
  readonly author: Uint8Array
  /** The market that it was published to; `main` is built in. */
  readonly market: string
  /** `(author, kind, key)` is the slot that a higher `seq` replaces. */
  readonly key: string
  readonly seq: number
  /** By the author's clock. */
  readonly createdAtMs: number
  /** By the author's clock; nobody keeps it longer. */
  readonly expiresAtMs: number
  readonly work: Work | undefined
  /** `null` is a tombstone: it deletes what the slot held, and expires with it. */
  readonly content: ContentOf<K> | null
  /** Where it is gossiped and synchronised. */
  readonly channel: Channel
  /** The signed record as it travels. What is stored and passed on is always these bytes. */
  readonly bytes: Uint8Array
}

/** A record of any one kind: narrowing `kind` narrows `content`. */
export type AnyRecord = { [K in RecordKind]: SoukRecord<K> }[RecordKind]

/** What an author decides about a record; the rest follows. */
export interface RecordDraft<K extends RecordKind = RecordKind> {
  readonly kind: K
  readonly market: string
  readonly key: string
  readonly seq: number
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly content: ContentOf<K> | null
}

/** How a record comes by its work. */
export interface SealOptions {
  /** Bits to find; blocks for about 2^workBits tries. The floor of {@link workFloor} when left out. */
  readonly workBits?: number
  /** Found before, for {@link preimageOf} the same draft. */
  readonly work?: Work | undefined
}

/**
 * Signs a draft. The result has passed every check that a stranger's record passes at an idle node, and has the work
 * for it: a millisecond for an ordinary listing. A program with something else to do searches on its own
 * ({@link createWorkSearch}).
 *
 * @throws {@link RecordError} with the code of the first check that the draft fails.
 */
export function sealRecord<K extends RecordKind>(
  draft: RecordDraft<K>,
  signer: Signer,
  options: SealOptions = {}
): SoukRecord<K> {
  const plain = bodyOf(draft, signer.publicKey)
  const work = options.work ?? workFor(draft, encodeCanonical(plain), options.workBits)
  const body = encodeCanonical(work === undefined ? plain : { ...plain, pow: { bits: work.bits, nonce: work.nonce } })
  const sig = signer.sign(signedBytes(body))
  return openRecord(encodeCanonical({ body, sig }), { nowMs: draft.createdAtMs }) as SoukRecord<K>
}

/**
 * What work for a draft is found for, and what its price is computed from.
 *
 * @param author - 32-byte public key of who will sign it.
 */
export function preimageOf(draft: RecordDraft, author: Uint8Array): { preimage: Uint8Array; priced: Priced } {
  const preimage = encodeCanonical(bodyOf(draft, author))
  return { preimage, priced: pricedOf(draft, preimage) }
}

/** With the longest nonce there is: a price never falls short for a nonce that turned out long. */
function pricedOf({ kind, createdAtMs, expiresAtMs }: RecordDraft, preimage: Uint8Array): Priced {
  const bytes = preimage.length + workFieldBytesMax + envelopeBytesMax
  return { kind, bytes, lifeMs: expiresAtMs - createdAtMs }
}

function workFor(
  draft: RecordDraft,
  preimage: Uint8Array,
  bits = workFloor(pricedOf(draft, preimage))
): Work | undefined {
  return bits === 0 ? undefined : findWork(preimage, bits)
}

function bodyOf(draft: RecordDraft, author: Uint8Array): Record<string, unknown> {
  return {
    v: 1,
    kind: draft.kind,
    author,
    market: draft.market,
    key: draft.key,
    seq: draft.seq,
    createdAt: draft.createdAtMs,
    expiresAt: draft.expiresAtMs,
    content: draft.content
  }
}

/** Of two records in one slot, which stands: higher `seq`, then lower id. Negative when `a` wins. */
export function compareForSlot(a: Pick<SoukRecord, 'seq' | 'id'>, b: Pick<SoukRecord, 'seq' | 'id'>): number {
  if (a.seq !== b.seq) return b.seq - a.seq
  return compareBytes(recordDigest(a.id), recordDigest(b.id))
}

/**
 * Of two feedbacks in one slot, which stands: fewer stars, then lower id. Negative when `a` does. Nothing in it can be
 * had by dating back: who was harsh once cannot hide it behind what was said, or bought, later.
 */
export function compareEvidence(a: SoukRecord<'feedback'>, b: SoukRecord<'feedback'>): number {
  const starsOf = ({ content }: SoukRecord<'feedback'>): number => content?.stars ?? Infinity
  return starsOf(a) - starsOf(b) || compareBytes(recordDigest(a.id), recordDigest(b.id))
}
