import { type BodyFields, openBody, refuseTimes, refuseWork } from './body.ts'
import { channelOf } from './channel.ts'
import { openEnvelope, signedBytes } from './envelope.ts'
import { RecordError, type Refusal } from './errors.ts'
import { checkContent } from './kinds.ts'
import { kindLimits } from './limits.ts'
import type { AnyRecord } from './record.ts'
import { recordIdOfBody } from './record-id.ts'
import { type SignatureInput, type Verifier, type Verify, verifySignature } from './signature.ts'
import type { Priced } from './work.ts'

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
  return granted(open(bytes, { ...options, verify }))
}

/** A refusal whose claim nobody is to blame for, nothing of it proven: for whoever makes an exception. */
export interface TooLittleWork extends Refusal {
  readonly refused: 'too-little-work'
  /** Its `bytes` are those that were given, not a copy. */
  readonly claimed: AnyRecord
}

/** What comes of bytes where a refusal is no error. */
export type Opened = AnyRecord | Refusal | TooLittleWork

export function isRefusal<T extends object>(one: T | Refusal): one is Refusal {
  return 'refused' in one
}

export function isTooLittleWork(one: Opened): one is TooLittleWork {
  return isRefusal(one) && one.refused === 'too-little-work'
}

type Checking = OpenRules & { readonly verify: Verify }

/**
 * The checks, in their order. Faults of form are errors, which cut their sender off after a few; what may be refused by the
 * thousand is not.
 *
 * @throws {@link RecordError}
 */
function open(bytes: Uint8Array, { nowMs, asks, verify }: Checking): Opened {
  const { body, sig } = openEnvelope(bytes)
  const fields = openBody(body)
  if (isRefusal(fields)) return fields
  const refusal = refuseSize(fields, bytes.length) ?? refuseTimes(fields, nowMs) ?? refuseWork(fields, body)
  if (refusal !== undefined) return refusal
  if (!isWorthItsPrice(fields, bytes.length, asks)) return tooLittleWork(toRecord(fields, body, bytes))
  if (!verify({ signature: sig, message: signedBytes(body), publicKey: fields.author })) return badSignature
  checkContent(fields, { verify })
  return toRecord(fields, body, new Uint8Array(bytes))
}

/** {@link open} that throws nothing of the world's doing. */
function tryOpen(bytes: Uint8Array, checking: Checking): Opened {
  try {
    return open(bytes, checking)
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    return { refused: error.code, message: error.message, cause: error }
  }
}

/** The refusal as an error, for who has one record and no use for less than it. */
function granted<T extends object>(one: T | Refusal): Exclude<T, Refusal> {
  if (isRefusal(one)) throw one.cause ?? new RecordError(one.refused, one.message)
  return one as Exclude<T, Refusal>
}

function refuseSize({ kind }: BodyFields, bytes: number): Refusal | undefined {
  const { bytesMax } = kindLimits[kind]
  if (bytes <= bytesMax) return undefined
  return { refused: 'too-large', message: `a ${kind} of ${bytes} bytes is over ${bytesMax}` }
}

function tooLittleWork(claimed: AnyRecord): TooLittleWork {
  const message = `${claimed.work?.bits ?? 0} bits of work are less than is asked for now; come back later`
  return { refused: 'too-little-work', message, claimed }
}

const badSignature: Refusal = {
  refused: 'bad-signature',
  message: 'the signature does not hold for this author and body'
}

function isWorthItsPrice(fields: BodyFields, bytes: number, asks: OpenRules['asks']): boolean {
  const { kind, author, createdAt, expiresAt, pow } = fields
  const asked = asks?.({ kind, author, bytes, lifeMs: expiresAt - createdAt }) ?? 0
  return (pow?.bits ?? 0) >= asked
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
  return granted(await settleAside(bytes, options, openUnverified(bytes, options)))
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
): Promise<readonly Opened[]> {
  const opened = list.map((bytes) => openUnverified(bytes, options))
  const outcomes = opened.map(({ outcome }) => outcome)
  const signatures = opened.flatMap(({ claims }) => claims)
  // Nothing to verify, as of all that comes without work.
  if (signatures.length === 0) return Promise.resolve(outcomes)
  const holds = options.verifier.bulk(signatures)
  if (holds === undefined) {
    return Promise.all(list.map((bytes, index) => settleAside(bytes, options, opened[index] as Unverified)))
  }
  return settleBulk({ list, options, outcomes, claims: opened.map(({ claims }) => claims.length) }, holds)
}

/** {@link openRecordsAside} here and now: for a few whose answer is worth more than this thread's time. */
export function openRecords(
  list: readonly Uint8Array[],
  options: OpenRules & { readonly verifier: Verifier }
): readonly Opened[] {
  return list.map((bytes) => openOutcome(bytes, options))
}

interface Bulk {
  readonly list: readonly Uint8Array[]
  readonly options: OpenRules & { readonly verifier: Verifier }
  readonly outcomes: readonly Opened[]
  /** Of each, how many. */
  readonly claims: readonly number[]
}

/** The outcomes when the answers have come. The claims themselves are not kept until then. */
async function settleBulk(
  { list, options, outcomes, claims }: Bulk,
  holding: Promise<Uint8Array | undefined>
): Promise<readonly Opened[]> {
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
  { outcome, isAuthors, others }: { outcome: Opened; isAuthors: boolean; others: boolean }
): Opened {
  if (!isAuthors) return badSignature
  // In the order of the checks, this says how one that it refers to is wrong.
  return others ? outcome : openOutcome(bytes, options)
}

function openOutcome(bytes: Uint8Array, { verifier, ...rules }: OpenRules & { readonly verifier: Verifier }): Opened {
  return tryOpen(bytes, { ...rules, verify: verifier })
}

/** The outcome of a record when the answers about its signatures have come, one by one. */
async function settleAside(
  bytes: Uint8Array,
  options: OpenRules & { readonly verifier: Verifier },
  { outcome, claims }: Unverified
): Promise<Opened> {
  const [isAuthors, ...others] = await Promise.all(claims.map(options.verifier.aside))
  return settled(bytes, options, { outcome, isAuthors: isAuthors !== false, others: !others.includes(false) })
}

interface Unverified {
  readonly outcome: Opened
  readonly claims: readonly SignatureInput[]
}

/** What comes of bytes if the signatures hold, and these: as many as come before the first check that fails. */
function openUnverified(bytes: Uint8Array, { nowMs, asks }: OpenRules): Unverified {
  const claims: SignatureInput[] = []
  return { outcome: tryOpen(bytes, { nowMs, asks, verify: (claim) => claims.push(claim) > 0 }), claims }
}

/**
 * Reopens bytes that this node checked before it stored them: decodes without verifying again.
 * For bytes from the node's own store only.
 */
export function reopenRecord(bytes: Uint8Array): AnyRecord {
  const { body } = openEnvelope(bytes)
  return toRecord(granted(openBody(body)), body, bytes)
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
