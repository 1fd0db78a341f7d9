import { setImmediate } from 'node:timers/promises'
import type { PeerId } from '@libp2p/interface'
import {
  type AnyRecord,
  type Channel,
  createVerifier,
  isRefusal,
  isTooLittleWork,
  type Opened,
  type OpenRules,
  type Priced,
  openRecord,
  openRecords,
  openRecordsAside,
  type RecordErrorCode,
  type RecordId,
  reopenRecord,
  type TooLittleWork,
  topicOf,
  type Verifier,
  type WorkClaim
} from '@souk/records'
import type { Guard } from './guard/guard.ts'
import { expiredGraceMs, freshMs, provenMax, verifiedAtOnceMax } from './limits.ts'
import { createPrice, type Price, type PriceInit } from './price.ts'

/** What becomes of a record: kept and passed on, quietly dropped, or dropped at its sender's cost. */
export type Verdict = 'accept' | 'ignore' | 'reject'

/** Where bytes came from. */
export interface RecordSource {
  readonly from: PeerId
  readonly via: 'gossip' | 'catch-up'
  /** The gossip topic that they came on; the record has to belong there. */
  readonly topic?: string
  /** What was asked for; anything else is refused. */
  readonly asked?: ReadonlySet<RecordId>
}

/** The answer about one record. */
export interface GateResult {
  readonly verdict: Verdict
  /** Why it was not accepted. */
  readonly code?: GateCode
  /** Known as soon as the record could be read. */
  readonly id?: RecordId
}

/** Why a record was not accepted: its own fault, or nobody's. */
export type GateCode =
  | RecordErrorCode
  | 'wrong-topic'
  | 'unasked-record'
  | 'not-carried'
  | 'below-floor'
  | Exclude<PutOutcome, 'stored' | 'conflict-kept'>

/** The one way by which a stranger's record gets in, whether gossip or catch-up brought it. */
export interface RecordGate {
  accept(bytes: Uint8Array, source: RecordSource): Promise<GateResult>
  /** As {@link accept} for each, in the same order, with one write for all. */
  acceptMany(list: readonly Uint8Array[], source: RecordSource): Promise<GateResult[]>
  /** Bits of work that a stranger is asked for such a record now. */
  asksStrangers(priced: Priced): number
}

/** What a store did with a record; the words are those of `@souk/storage`. */
export type PutOutcome = 'stored' | 'known' | 'stale' | 'over-quota' | 'conflict-kept' | 'conflict-full'

/** The least that a gate needs of a store. */
export interface RecordStore {
  /** Puts checked records in one batch. The answers are in the order of the records. */
  put(records: readonly AnyRecord[]): Promise<readonly PutOutcome[]>
  /** True when the slot is held: what comes into it takes the place of something. No slot is by default. */
  holdsSlot?(slot: Pick<AnyRecord, 'author' | 'kind' | 'key'>): Promise<boolean>
  /** Told of records with too little work, so that catch-up does not fetch them again at once. */
  putOff?(ids: readonly RecordId[]): void
}

/** What a gate has to know. */
export interface RecordGateInit {
  readonly now: () => number
  /** Which channels this node wants; all by default. A record of another one is ignored. */
  readonly carries?: (market: string, channel: Channel) => boolean
  /** By default one of the gate's own, which remembers the keys of the last authors. */
  readonly verifier?: Verifier
  /** How much work is asked for. By default what an idle node asks, of everybody. */
  readonly price?: Omit<PriceInit, 'now'>
  /** What becomes of a record that is out of its time by our clock: one of the two may be wrong. Rejected by default. */
  readonly onUntimely?: (from: PeerId, code: RecordErrorCode) => Verdict
  /** Told of every judgement. */
  readonly onChecked?: (source: RecordSource, result: GateResult) => void
}

/** Joins the checks of `@souk/records`, the store's quotas and the guard's score. */
export function createRecordGate(components: { store: RecordStore; guard: Guard }, init: RecordGateInit): RecordGate {
  const { store, guard } = components
  const verifier = init.verifier ?? createVerifier()
  const price = createPrice({ ...init.price, now: init.now })
  const proven = new Set<string>()
  const untimely = ({ from }: RecordSource, { code }: GateResult): Verdict =>
    init.onUntimely?.(from, code as RecordErrorCode) ?? 'reject'

  const placed = (record: AnyRecord, source: RecordSource): AnyRecord | GateResult => {
    const { id, market, channel } = record
    if (source.topic !== undefined && topicOf(market, channel) !== source.topic) {
      return { verdict: 'reject', code: 'wrong-topic', id }
    }
    if (source.asked?.has(id) === false) return { verdict: 'reject', code: 'unasked-record', id }
    if (init.carries?.(market, channel) === false) return { verdict: 'ignore', code: 'not-carried', id }
    return record
  }

  const open = async (list: readonly Uint8Array[], source: RecordSource): Promise<(AnyRecord | GateResult)[]> => {
    const rules = { nowMs: init.now(), verifier }
    // While another thread looks at a first forged record, a hundred more come in.
    const isHere = source.via === 'gossip' && !proven.has(source.from.toString())
    const opened = await openPriced(list, { price, store, rules, isHere })
    return opened.map((one, index) => {
      if (!isRefusal(one)) return placed(one, source)
      const refusal = isTooLittleWork(one)
        ? tooLittle(one, { source, price })
        : { verdict: verdictOf(one.refused, list[index] as Uint8Array, rules.nowMs), code: one.refused }
      return isUntimely(refusal) ? { ...refusal, verdict: untimely(source, refusal) } : refusal
    })
  }

  const acceptMany = async (list: readonly Uint8Array[], source: RecordSource): Promise<GateResult[]> => {
    const slices: Promise<(AnyRecord | GateResult)[]>[] = []
    for (let at = 0; at < list.length; at += verifiedAtOnceMax) {
      if (at > 0) await setImmediate()
      // Signatures are verified beside this thread, which reads on meanwhile.
      const slice = open(list.slice(at, at + verifiedAtOnceMax), source)
      slice.catch(() => undefined)
      slices.push(slice)
    }
    const opened = (await Promise.all(slices)).flat()
    for (const one of opened) {
      if ('verdict' in one && one.verdict === 'reject') guard.punish(source.from, one.code ?? 'rejected')
    }
    const passOnAfterMs = source.via === 'gossip' ? init.now() - freshMs : Infinity
    const mayPassOn = (record: AnyRecord): boolean => source.via !== 'gossip' || !isBelowFloor(record, price)
    const results = await putAll(store, opened, { passOnAfterMs, mayPassOn })
    if (source.via === 'gossip') {
      countArrivals(price, opened, results)
      if (results.some(({ verdict }) => verdict === 'reject')) proven.delete(source.from.toString())
      else if (opened.some((one) => 'bytes' in one)) addLatest(proven, source.from.toString())
    }
    store.putOff?.(results.flatMap(({ code, id }) => (code === 'too-little-work' && id !== undefined ? [id] : [])))
    if (init.onChecked !== undefined) for (const result of results) init.onChecked(source, result)
    return results
  }

  return {
    asksStrangers: (priced) => price.asksStrangers(priced),
    acceptMany,
    accept: async (bytes, source) => {
      const [result] = await acceptMany([bytes], source)
      return result ?? { verdict: 'ignore' }
    }
  }
}

/** Writes what was opened, and puts the store's answers in the places of the records. */
async function putAll(
  store: RecordStore,
  opened: readonly (AnyRecord | GateResult)[],
  { passOnAfterMs, mayPassOn }: { passOnAfterMs: number; mayPassOn: (record: AnyRecord) => boolean }
): Promise<GateResult[]> {
  const records = opened.filter((one): one is AnyRecord => 'bytes' in one)
  const outcomes = records.length === 0 ? [] : await store.put(records)
  let at = 0
  return opened.map((one) => {
    if (!('bytes' in one)) return one
    const outcome = outcomes[at++] ?? 'over-quota'
    const passOn = passedOn.has(outcome) || (outcome === 'known' && one.createdAtMs > passOnAfterMs)
    const code = outcome === 'stored' || outcome === 'conflict-kept' ? {} : { code: outcome }
    return { verdict: passOn && mayPassOn(one) ? 'accept' : 'ignore', ...code, id: one.id }
  })
}

/** New ones; and evidence that an author said two things, which has to get about like anything else. */
const passedOn: ReadonlySet<PutOutcome> = new Set(['stored', 'conflict-kept'])

/** Only what gossip brings comes unasked; how fast catch-up goes is up to us. */
function countArrivals(
  price: Price,
  opened: readonly (AnyRecord | GateResult)[],
  results: readonly GateResult[]
): void {
  opened.forEach((one, index) => {
    if ('bytes' in one && results[index]?.code === undefined) price.arrived(one)
  })
}

interface Pricing {
  readonly price: Price
  readonly store: RecordStore
  readonly rules: OpenRules & { readonly verifier: Verifier }
  /** Not beside this thread. */
  readonly isHere: boolean
}

/** Forgets the one that was added first, when there are too many. */
function addLatest(names: Set<string>, name: string): void {
  names.add(name)
  const [first] = names
  if (names.size > provenMax && first !== undefined) names.delete(first)
}

/**
 * Opens what is worth its price. The successor of a record that is held needs no more than an idle node asks, or a seller
 * could not change a price, or take a listing down, while others press in.
 */
async function openPriced(
  list: readonly Uint8Array[],
  { price, store, rules, isHere }: Pricing
): Promise<readonly Opened[]> {
  const priced = { ...rules, asks: (claim: WorkClaim) => price.asks(claim) }
  const opened = isHere ? openRecords(list, priced) : await openRecordsAside(list, priced)
  if (!opened.some(isTooLittleWork)) return opened
  const asSuccessor = async (one: Opened, index: number): Promise<Opened> => {
    if (!isTooLittleWork(one) || !isWorthASuccessor(one.claimed, price)) return one
    if ((await store.holdsSlot?.(one.claimed)) !== true) return one
    const [again] = await openRecordsAside(list.slice(index, index + 1), rules)
    return again ?? one
  }
  return Promise.all(opened.map(asSuccessor))
}

function isWorthASuccessor(record: AnyRecord, price: Price): boolean {
  return bitsOf(record) >= price.asksSuccessors(pricedOf(record))
}

/** What every honest author brings is missing: a node that keeps such a record, trusting who made it, keeps it to itself. */
function isBelowFloor(record: AnyRecord, price: Price): boolean {
  return bitsOf(record) < price.asksAnybody(pricedOf(record))
}

function bitsOf({ work }: AnyRecord): number {
  return work?.bits ?? 0
}

function pricedOf({ kind, bytes, createdAtMs, expiresAtMs }: AnyRecord): Priced {
  return { kind, bytes: bytes.length, lifeMs: expiresAtMs - createdAtMs }
}

/** Nobody's fault, since load and trust differ from node to node; but nobody honest gossips less than the floor. */
function tooLittle(
  { refused: code, claimed }: TooLittleWork,
  { source, price }: { source: RecordSource; price: Price }
): GateResult {
  const { id } = claimed
  if (source.via === 'gossip' && isBelowFloor(claimed, price)) return { verdict: 'reject', code: 'below-floor', id }
  return { verdict: 'ignore', code, id }
}

/**
 * PROTOCOL section 2: reject what is objectively wrong. A kind or version that we do not know may be right, and a record
 * that ran out a moment ago was right when its sender looked.
 */
function verdictOf(code: RecordErrorCode, bytes: Uint8Array, nowMs: number): Verdict {
  if (code === 'unknown-kind' || code === 'bad-version') return 'ignore'
  if (code === 'expired' && ranOutLately(bytes, nowMs)) return 'ignore'
  return 'reject'
}

/** True for what a wrong clock makes wrong, here or there. */
function isUntimely({ verdict, code }: GateResult): boolean {
  return verdict === 'reject' && (code === 'expired' || code === 'not-yet-valid')
}

/** True when the record ran out lately and nothing else is wrong with it: seen from just before its end it is valid. */
function ranOutLately(bytes: Uint8Array, nowMs: number): boolean {
  try {
    const { expiresAtMs } = reopenRecord(bytes)
    if (expiresAtMs <= nowMs - expiredGraceMs) return false
    openRecord(bytes, { nowMs: expiresAtMs - 1 })
    return true
  } catch {
    return false
  }
}
