import { sha256 } from '#platform'
import { compareBytes, decodeCanonical, encodeCanonical, sameBytes } from './canonical.ts'
import { type Channel, channelOf } from './channel.ts'
import { RecordError } from './errors.ts'
import type { Signer } from './identity.ts'
import { checkContent, type ContentOf, type RecordKind, recordKinds } from './kinds.ts'
import {
  clockSkewMsMax,
  envelopeBytesMax,
  keyCharsMax,
  kindLimits,
  marketCharsMax,
  recordBytesMax,
  workBitsMax,
  workFieldBytesMax
} from './limits.ts'
import { type SignatureInput, type Verifier, type Verify, verifySignature } from './signature.ts'
import { checkWork, findWork, type Priced, type Work, workFloor } from './work.ts'

/** The id of a record: CIDv1 (dag-cbor, sha2-256 of the body) in base32, `bafyrei…`. The signature is not part of it. */
export type RecordId = string & { readonly __brand: 'RecordId' }

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

/** Bytes that an author signs: this prefix keeps a record's signature from meaning anything elsewhere. */
const signaturePrefix = new TextEncoder().encode('souk/record/1\n')

const keyPattern = new RegExp(`^[a-z0-9._-]{0,${keyCharsMax}}$`)
const marketPattern = new RegExp(`^[a-z0-9][a-z0-9-]{0,${marketCharsMax - 1}}$`)

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

/** What decides how much work is asked for a record: known before its signature is checked. */
export interface WorkClaim extends Priced {
  /** 32 bytes; unproven. */
  readonly author: Uint8Array
}

/** By what a receiver judges bytes. */
export interface OpenRules {
  /** The receiver's clock. */
  readonly nowMs: number
  /** Bits of work that this receiver asks for; none when left out. Its own policy: records with fewer are valid. */
  readonly asks?: ((claim: WorkClaim) => number) | undefined
}

/**
 * Checks bytes from a peer and returns what they say. Cheap checks come first: nothing is hashed or verified before
 * size, shape and canonical form are right.
 *
 * @param bytes - One signed record as it travels, at most {@link recordBytesMax} bytes.
 * @param options.verify - From {@link createVerifier} where many records are opened.
 * @returns The record; its `bytes` are a copy of its own.
 * @throws {@link RecordError} with the code of the first check that failed; never anything else.
 */
export function openRecord(bytes: Uint8Array, options: OpenRules & { readonly verify?: Verify }): AnyRecord {
  const { verify = verifySignature } = options
  const { body, sig } = openEnvelope(bytes)
  const fields = openBody(body)
  if (bytes.length > kindLimits[fields.kind].bytesMax) {
    throw new RecordError(
      'too-large',
      `a ${fields.kind} of ${bytes.length} bytes is over ${kindLimits[fields.kind].bytesMax}`
    )
  }
  checkTimes(fields, options.nowMs)
  checkFieldsWork(fields, body)
  if (!isWorthItsPrice(fields, bytes.length, options.asks)) {
    throw new TooLittleWorkError(toRecord(fields, body, new Uint8Array(bytes)))
  }
  if (!verify({ signature: sig, message: signedBytes(body), publicKey: fields.author })) throw badSignature()
  checkContent(fields, { verify })
  return toRecord(fields, body, new Uint8Array(bytes))
}

/**
 * {@link openRecord} with the signatures verified beside the main thread: a third of the work is left on it, and a
 * second core takes the rest. Everything else is checked first.
 *
 * @param options.verifier - From {@link createVerifier}.
 * @throws {@link RecordError} as {@link openRecord} would; never anything else.
 */
export async function openRecordAside(
  bytes: Uint8Array,
  options: OpenRules & { readonly verifier: Verifier }
): Promise<AnyRecord> {
  const outcome = await settleAside(bytes, options, openUnverified(bytes, options))
  if (outcome instanceof RecordError) throw outcome
  return outcome
}

/**
 * {@link openRecordAside} of many: their signatures go to another thread in one message, and nothing is left waiting
 * for each of them but what it says.
 *
 * @returns For each the record, or what it was refused for.
 */
export function openRecordsAside(
  list: readonly Uint8Array[],
  options: OpenRules & { readonly verifier: Verifier }
): Promise<readonly (AnyRecord | RecordError)[]> {
  const opened = list.map((bytes) => openUnverified(bytes, options))
  const holds = options.verifier.bulk(opened.flatMap(({ claims }) => claims))
  if (holds === undefined) {
    return Promise.all(list.map((bytes, index) => settleAside(bytes, options, opened[index] as Unverified)))
  }
  const outcomes = opened.map(({ outcome }) => outcome)
  return settleBulk({ list, options, outcomes, claims: opened.map(({ claims }) => claims.length) }, holds)
}

interface Bulk {
  readonly list: readonly Uint8Array[]
  readonly options: OpenRules & { readonly verifier: Verifier }
  readonly outcomes: readonly (AnyRecord | RecordError)[]
  /** Of each, how many. */
  readonly claims: readonly number[]
}

/** The outcomes when the answers have come. The claims themselves are not kept until then. */
async function settleBulk(
  { list, options, outcomes, claims }: Bulk,
  holding: Promise<Uint8Array | undefined>
): Promise<readonly (AnyRecord | RecordError)[]> {
  const holds = await holding
  // The thread has ended.
  if (holds === undefined) return list.map((bytes) => openOutcome(bytes, options))
  if (!holds.includes(0)) return outcomes
  let at = 0
  return outcomes.map((outcome, index) => {
    const [isAuthors, ...others] = holds.subarray(at, (at += claims[index] ?? 0))
    return settled(list[index] as Uint8Array, options, {
      outcome,
      isAuthors: isAuthors !== 0,
      others: !others.includes(0)
    })
  })
}

/** What an outcome becomes when it is known which signatures hold: the author's, and all that the record refers to. */
function settled(
  bytes: Uint8Array,
  options: OpenRules & { readonly verifier: Verifier },
  { outcome, isAuthors, others }: { outcome: AnyRecord | RecordError; isAuthors: boolean; others: boolean }
): AnyRecord | RecordError {
  if (!isAuthors) return badSignature()
  // In the order of the checks, this says how one that it refers to is wrong.
  return others ? outcome : openOutcome(bytes, options)
}

function openOutcome(
  bytes: Uint8Array,
  { verifier, ...rules }: OpenRules & { readonly verifier: Verifier }
): AnyRecord | RecordError {
  try {
    return openRecord(bytes, { ...rules, verify: verifier })
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    return error
  }
}

/** The outcome of a record when the answers about its signatures have come, one by one. */
async function settleAside(
  bytes: Uint8Array,
  options: OpenRules & { readonly verifier: Verifier },
  { outcome, claims }: Unverified
): Promise<AnyRecord | RecordError> {
  const [isAuthors, ...others] = await Promise.all(claims.map(options.verifier.aside))
  return settled(bytes, options, { outcome, isAuthors: isAuthors !== false, others: !others.includes(false) })
}

interface Unverified {
  readonly outcome: AnyRecord | RecordError
  readonly claims: readonly SignatureInput[]
}

/** What comes of bytes if the signatures hold, and these: as many as come before the first check that fails. */
function openUnverified(bytes: Uint8Array, { nowMs, asks }: OpenRules): Unverified {
  const claims: SignatureInput[] = []
  try {
    return { outcome: openRecord(bytes, { nowMs, asks, verify: (claim) => claims.push(claim) > 0 }), claims }
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    return { outcome: error, claims }
  }
}

function badSignature(): RecordError {
  return new RecordError('bad-signature', 'the signature does not hold for this author and body')
}

/** The one refusal that is nobody's fault: what the record claims, nothing of it proven, for whoever makes an exception. */
export class TooLittleWorkError extends RecordError {
  readonly claimed: AnyRecord

  constructor(claimed: AnyRecord) {
    super('too-little-work', `${claimed.work?.bits ?? 0} bits of work are less than is asked for now; come back later`)
    this.claimed = claimed
  }
}

/**
 * Reopens bytes that this node checked before it stored them: decodes without verifying again.
 * For bytes from the node's own store only.
 */
export function reopenRecord(bytes: Uint8Array): AnyRecord {
  const { body } = openEnvelope(bytes)
  return toRecord(openBody(body), body, bytes)
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

/** True for a record's id in its one form: what a person or a peer typed is a `RecordId` only after this. */
export function isRecordId(text: string): text is RecordId {
  return idPattern.test(text)
}

/** 01 71 12 20 and 32 bytes in base32: 290 bits, of which the last two are zero. */
const idPattern = /^bafyrei[a-h][a-z2-7]{50}[aeimquy4]$/

/** The 32-byte SHA-256 inside an id. */
export function recordDigest(id: RecordId): Uint8Array {
  const digest = new Uint8Array(32)
  let at = 0
  // The first two bits of the first letter belong to the head.
  let [bits, value] = [-2, 0]
  for (let index = idHead.length; index < idChars; index++) {
    value = ((value & 127) << 5) | letterValue(id.charCodeAt(index))
    bits += 5
    if (bits < 8) continue
    bits -= 8
    digest[at++] = value >>> bits
  }
  return digest
}

/**
 * Letter by letter: a library adds each to the text before it, and what comes of that is a rope of 1.3 kB, which lives as
 * long as the record does, where its text is 80 bytes.
 *
 * @param digest - 32 bytes, SHA-256 of a body.
 */
export function recordIdOfDigest(digest: Uint8Array): RecordId {
  const codes = new Uint8Array(idChars)
  codes.set(idHead)
  let at = idHead.length
  // The last two bits of the head are zero.
  let [bits, value] = [2, 0]
  for (const byte of digest) {
    value = (value << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) codes[at++] = letterCode(value >>> (bits - 5))
    value &= 31
  }
  codes[at] = letterCode(value << (5 - bits))
  return String.fromCharCode.apply(undefined, codes as unknown as number[]) as RecordId
}

const idChars = 59

/** CIDv1, dag-cbor, sha2-256, 32 bytes, which is 01 71 12 20, as far as it fills letters. */
const idHead = new TextEncoder().encode('bafyrei')

/** RFC 4648 section 6, in lower case. @param value - Its last five bits count. */
function letterCode(value: number): number {
  const five = value & 31
  return five < 26 ? 97 + five : 24 + five
}

function letterValue(code: number): number {
  return code < 97 ? code - 24 : code - 97
}

interface BodyFields {
  readonly kind: RecordKind
  readonly author: Uint8Array
  readonly market: string
  readonly key: string
  readonly seq: number
  readonly createdAt: number
  readonly expiresAt: number
  readonly pow: Work | undefined
  readonly content: unknown
}

function toRecord(fields: BodyFields, body: Uint8Array, bytes: Uint8Array): AnyRecord {
  const { kind, author, market, key, seq, content } = fields
  const times = { createdAtMs: fields.createdAt, expiresAtMs: fields.expiresAt }
  const channel = channelOf(kind, key)
  return {
    id: recordIdOfBody(body),
    kind,
    author,
    market,
    key,
    seq,
    ...times,
    work: fields.pow,
    content,
    channel,
    bytes
  } as AnyRecord
}

function recordIdOfBody(body: Uint8Array): RecordId {
  return recordIdOfDigest(sha256(body))
}

function signedBytes(body: Uint8Array): Uint8Array {
  const message = new Uint8Array(signaturePrefix.length + body.length)
  message.set(signaturePrefix)
  message.set(body, signaturePrefix.length)
  return message
}

interface Envelope {
  readonly body: Uint8Array
  readonly sig: Uint8Array
}

function openEnvelope(bytes: Uint8Array): Envelope {
  const plain = readPlainEnvelope(bytes)
  if (plain !== undefined) return plain
  const envelope = decodeCanonical(bytes, { bytesMax: recordBytesMax })
  if (!isMap(envelope) || Object.keys(envelope).length !== 2) {
    throw new RecordError('bad-envelope', 'a signed record is a map of exactly `body` and `sig`')
  }
  const { body, sig } = envelope
  if (!(body instanceof Uint8Array) || !(sig instanceof Uint8Array) || sig.length !== 64) {
    throw new RecordError('bad-envelope', '`body` is bytes and `sig` is 64 bytes')
  }
  return { body, sig }
}

/** {"sig": 64 bytes, "body": …} up to the signature, and from there to the length of a body of 256 bytes or more. */
const sigHead = Uint8Array.of(0xa2, 0x63, 0x73, 0x69, 0x67, 0x58, 0x40)
const bodyHead = Uint8Array.of(0x64, 0x62, 0x6f, 0x64, 0x79, 0x59)

/**
 * Reads an envelope where its one byte form has its fields, a tenth of the time of decoding and encoding it. Whatever
 * does not fit byte for byte is `undefined`: the decoder takes it or names the fault.
 */
function readPlainEnvelope(bytes: Uint8Array): Envelope | undefined {
  const sigAt = sigHead.length
  const lengthAt = sigAt + 64 + bodyHead.length
  const bodyAt = lengthAt + 2
  const length = ((bytes[lengthAt] ?? 0) << 8) | (bytes[lengthAt + 1] ?? 0)
  if (length < 256 || bytes.length !== bodyAt + length || bytes.length > recordBytesMax) return undefined
  if (!sameBytes(bytes.subarray(0, sigAt), sigHead)) return undefined
  if (!sameBytes(bytes.subarray(sigAt + 64, lengthAt), bodyHead)) return undefined
  return { sig: bytes.subarray(sigAt, sigAt + 64), body: bytes.subarray(bodyAt) }
}

const bodyNames = new Set(['v', 'kind', 'author', 'market', 'key', 'seq', 'createdAt', 'expiresAt', 'pow', 'content'])

function openBody(bytes: Uint8Array): BodyFields {
  const body = decodeCanonical(bytes, { bytesMax: recordBytesMax - envelopeBytesMax })
  if (!isMap(body)) throw new RecordError('bad-body', 'a body is a map')
  if (body['v'] !== 1) throw new RecordError('bad-version', `version ${String(body['v'])} is not 1, the only one known`)
  const stranger = Object.keys(body).find((name) => !bodyNames.has(name))
  if (stranger !== undefined) throw new RecordError('bad-body', `a body has no field "${stranger.slice(0, 40)}"`)
  const { kind, author, market, key, seq, createdAt, expiresAt, pow, content } = body
  if (typeof kind !== 'string' || !(recordKinds as readonly string[]).includes(kind)) {
    throw new RecordError(
      'unknown-kind',
      `the kind ${JSON.stringify(kind)?.slice(0, 40)} is none of ${recordKinds.join(', ')}`
    )
  }
  require(author instanceof Uint8Array && author.length === 32, '`author` is 32 bytes')
  require(typeof market === 'string' && marketPattern.test(market), '`market` is a short lower-case name')
  require(typeof key === 'string' && keyPattern.test(key), `\`key\` is at most ${keyCharsMax} of a-z 0-9 . _ -`)
  require(isCount(seq), '`seq` is a whole number from 0')
  require(isCount(createdAt) && isCount(expiresAt), '`createdAt` and `expiresAt` are milliseconds since 1970')
  require(expiresAt > createdAt, '`expiresAt` is after `createdAt`')
  require(content === null || isMap(content), '`content` is a map, or null')
  return { kind: kind as RecordKind, author, market, key, seq, createdAt, expiresAt, pow: openWork(pow), content }
}

function openWork(pow: unknown): Work | undefined {
  if (pow === undefined) return undefined
  require(isMap(pow) && Object.keys(pow).length === 2, '`pow` is a map of exactly `bits` and `nonce`')
  const { bits, nonce } = pow
  require(isCount(bits) &&
    bits <= workBitsMax &&
    isCount(nonce), `\`pow\` has bits from 0 to ${workBitsMax} and a nonce`)
  return { bits, nonce }
}

function checkTimes({ kind, createdAt, expiresAt }: BodyFields, nowMs: number): void {
  const { lifeMsMax } = kindLimits[kind]
  if (createdAt > nowMs + clockSkewMsMax) {
    throw new RecordError(
      'not-yet-valid',
      `made ${createdAt - nowMs} ms ahead of this clock; ${clockSkewMsMax} are allowed`
    )
  }
  if (expiresAt <= nowMs) throw new RecordError('expired', `expired ${nowMs - expiresAt} ms ago`)
  if (expiresAt - createdAt > lifeMsMax) {
    throw new RecordError(
      'lives-too-long',
      `a ${kind} lives at most ${lifeMsMax} ms, this one ${expiresAt - createdAt}`
    )
  }
}

function checkFieldsWork({ key, pow }: BodyFields, body: Uint8Array): void {
  if (pow !== undefined && !checkWork(withoutWork(body, { key, pow }), pow)) {
    throw new RecordError('bad-work', `the nonce does not reach the ${pow.bits} bits that the record claims`)
  }
}

function isWorthItsPrice(fields: BodyFields, bytes: number, asks: OpenRules['asks']): boolean {
  const { kind, author, createdAt, expiresAt, pow } = fields
  const asked = asks?.({ kind, author, bytes, lifeMs: expiresAt - createdAt }) ?? 0
  return (pow?.bits ?? 0) >= asked
}

/**
 * A canonical body as it is without `pow`, cut out of its bytes: a tenth of the time of encoding it anew. Names sort by
 * length, then by bytes, so `v`, `key` and `pow` come first.
 */
function withoutWork(body: Uint8Array, { key, pow }: { key: string; pow: Work }): Uint8Array {
  const start = 1 + 3 + 4 + headBytes(key.length) + key.length
  const end = start + 4 + 1 + 5 + headBytes(pow.bits) + 6 + headBytes(pow.nonce)
  const plain = new Uint8Array(body.length - (end - start))
  plain.set(body.subarray(0, start))
  plain.set(body.subarray(end), start)
  plain[0] = (body[0] ?? 0) - 1
  return plain
}

/** Bytes of a CBOR head: of a whole number, or of a text's length. */
function headBytes(value: number): number {
  if (value < 24) return 1
  if (value < 2 ** 8) return 2
  if (value < 2 ** 16) return 3
  return value < 2 ** 32 ? 5 : 9
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function require(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new RecordError('bad-body', expected)
}
