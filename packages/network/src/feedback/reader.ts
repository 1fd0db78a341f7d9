/**
 * Reading a subject's feedback from its keepers: the union of what they answer, fetched once, each record checked.
 * A keeper that withholds is outvoted by the others; one that names what it does not deliver is not asked further.
 */
import type { AbortOptions, PeerId } from '@libp2p/interface'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { recordDigest, sameBytes } from '@souk/records'
import { createAsk, type ExchangeHost, type Guard, isOffence } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import { idsPerGetMax, idsPerPageMax, locatedSetLimits, patienceMs, questionPace, shelfLimits } from './limits.ts'
import {
  decodeAnswer,
  encodeQuestion,
  type LocatedSetQuestion,
  locatedSetProtocol,
  type SetSummary,
  type AddOutcome
} from './located-set.ts'
import { type FeedbackRecord, openFeedback } from './value.ts'

/** What one keeper can be asked, at a pace that it grants. Each throws {@link ProtocolError}; an offence has then been reported to the guard. */
export interface KeeperClient {
  add(peer: PeerId, record: Uint8Array, options?: AbortOptions): Promise<AddOutcome>
  sum(peer: PeerId, subject: Uint8Array, options?: AbortOptions): Promise<SetSummary>
  /** All digests that the keeper names, in hexadecimal. */
  list(peer: PeerId, subject: Uint8Array, options?: AbortOptions): Promise<string[]>
  /** As many of the records as the keeper delivers in one answer; each is one of those asked for, and holds. */
  get(peer: PeerId, wanted: Wanted, options?: AbortOptions): Promise<FeedbackRecord[]>
}

/** Records of one subject by their digests, in hexadecimal. */
export interface Wanted {
  readonly subject: Uint8Array
  readonly digests: readonly string[]
}

export function createKeeperClient(
  components: { libp2p: ExchangeHost; guard: Guard },
  init: { now: () => number }
): KeeperClient {
  const { libp2p, guard } = components
  const askAtPace = createAsk(libp2p, { protocol: locatedSetProtocol, limits: locatedSetLimits, pace: questionPace })

  async function ask<T>(
    peer: PeerId,
    question: LocatedSetQuestion,
    options: AbortOptions,
    decode: (answer: Uint8Array) => T
  ): Promise<T> {
    try {
      const answerBytes = answerBytesOf(question)
      return decode(await askAtPace(peer, encodeQuestion(question), { ...options, answerBytes }))
    } catch (error) {
      if (error instanceof ProtocolError && isOffence(error.code)) {
        guard.punish(peer, `${locatedSetProtocol}:${error.code}`)
      }
      throw error
    }
  }

  return {
    add: (peer, record, options = {}) => ask(peer, { op: 'add', record }, options, decodeAnswer.add),
    sum: (peer, subject, options = {}) => ask(peer, { op: 'sum', subject }, options, decodeAnswer.sum),
    async list(peer, subject, options = {}) {
      const named: string[] = []
      let after: Uint8Array | undefined
      for (let page = 0; page < pagesMax; page++) {
        const from = after
        const { digests, more } = await ask(peer, { op: 'list', subject, after: from }, options, (answer) =>
          decodeAnswer.list(answer, from)
        )
        named.push(...digests.map((digest) => bytesToHex(digest)))
        after = digests.at(-1)
        if (!more) break
      }
      return named
    },
    get: (peer, wanted, options = {}) =>
      ask(peer, { op: 'get', subject: wanted.subject, digests: wanted.digests.map(hexToBytes) }, options, (answer) =>
        decodeAnswer.get(answer).flatMap((bytes) => openWanted(bytes, wanted, init.now()))
      )
  }
}

/** What an answer has at most, about: names or records fill it. */
function answerBytesOf({ op }: LocatedSetQuestion): number {
  if (op === 'get') return locatedSetLimits.answerBytesMax
  return op === 'list' ? nameBytes * idsPerPageMax : 0
}

/** A digest in an answer to LIST, with its head. */
const nameBytes = 34

/** What {@link readKeepers} brought. */
export interface KeepersReading {
  readonly records: ReadonlyMap<string, FeedbackRecord>
  /** Digests that keepers named and nobody delivered, those that most named first. */
  readonly missing: readonly string[]
  /** All digests that keepers named. */
  readonly listed: ReadonlySet<string>
  /** Keepers that answered. */
  readonly answered: number
}

/**
 * Asks keepers what they have, and fetches what is not known yet, each record from one of those that named it.
 *
 * @param init.known - Digests that need not be fetched.
 */
export async function readKeepers(
  client: KeeperClient,
  init: { peers: readonly PeerId[]; subject: Uint8Array; known: ReadonlySet<string>; enough: number },
  options: AbortOptions = {}
): Promise<KeepersReading> {
  const named = new Map<PeerId, string[]>()
  const listed = new Set<string>()
  const list = async (peer: PeerId, signal: AbortSignal): Promise<void> => {
    const digests = await client.list(peer, init.subject, { signal })
    for (const digest of digests) listed.add(digest)
    named.set(
      peer,
      digests.filter((digest) => !init.known.has(digest))
    )
  }
  await firstOf(init, list, options)
  options.signal?.throwIfAborted()
  const records = await fetchAll(client, { named, subject: init.subject }, options)
  return { records, missing: stillMissing(named, records), listed, answered: named.size }
}

/**
 * Tries peers in order, `enough` at a time, until as many have succeeded. When half of them have, the others get
 * {@link patienceMs} more, then their signal fires.
 *
 * @returns How many succeeded.
 */
export async function firstOf(
  init: { peers: readonly PeerId[]; enough: number },
  task: (peer: PeerId, signal: AbortSignal) => Promise<void>,
  options: AbortOptions = {}
): Promise<number> {
  const waiting = [...init.peers]
  const workers = Math.min(init.enough, waiting.length)
  const late = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, late.signal]) : late.signal
  let patience: ReturnType<typeof setTimeout> | undefined
  let succeeded = 0
  const worker = async (): Promise<void> => {
    for (let peer = waiting.shift(); peer !== undefined && !signal.aborted; peer = waiting.shift()) {
      if (!(await succeeds(task(peer, signal)))) continue
      if (++succeeded >= workers / 2) patience ??= setTimeout(() => late.abort(), patienceMs)
      return
    }
  }
  await Promise.all(Array.from({ length: workers }, worker))
  clearTimeout(patience)
  return succeeded
}

async function succeeds(task: Promise<void>): Promise<boolean> {
  return task.then(
    () => true,
    () => false
  )
}

/** A page that is never full and always promises more would go on for ever. */
const pagesMax = Math.ceil(shelfLimits.recordsPerSubjectMax / idsPerPageMax) + 1

/**
 * Rounds: each unknown digest is assigned to one keeper that named it; a keeper that fails, or delivers nothing of
 * what it named, is out. Ends when nothing is left that a keeper in good standing has named.
 */
async function fetchAll(
  client: KeeperClient,
  { named, subject }: { named: ReadonlyMap<PeerId, string[]>; subject: Uint8Array },
  options: AbortOptions
): Promise<Map<string, FeedbackRecord>> {
  const records = new Map<string, FeedbackRecord>()
  const trusted = new Map(named)
  for (;;) {
    const shares = shareOut(trusted, records)
    if (shares.size === 0) return records
    await Promise.all(
      Array.from(shares, async ([peer, digests]) => {
        const got = await client.get(peer, { subject, digests }, options).catch(() => [])
        if (got.length === 0) trusted.delete(peer)
        for (const record of got) records.set(bytesToHex(recordDigest(record.id)), record)
      })
    )
    options.signal?.throwIfAborted()
  }
}

/** For each keeper the digests to ask of it in this round: each digest once, spread over those that named it. */
function shareOut(named: ReadonlyMap<PeerId, string[]>, records: ReadonlyMap<string, unknown>): Map<PeerId, string[]> {
  const holders = new Map<string, PeerId[]>()
  for (const [peer, digests] of named) {
    for (const digest of digests) {
      if (!records.has(digest)) holders.set(digest, [...(holders.get(digest) ?? []), peer])
    }
  }
  const shares = new Map<PeerId, string[]>()
  for (const [digest, peers] of holders) {
    const peer = peers.toSorted((a, b) => (shares.get(a)?.length ?? 0) - (shares.get(b)?.length ?? 0))[0]
    const share = peer && (shares.get(peer) ?? [])
    if (peer && share && share.length < idsPerGetMax) shares.set(peer, [...share, digest])
  }
  return shares
}

function stillMissing(named: ReadonlyMap<PeerId, string[]>, records: ReadonlyMap<string, unknown>): string[] {
  const votes = new Map<string, number>()
  for (const digest of Array.from(named.values()).flat()) {
    if (!records.has(digest)) votes.set(digest, (votes.get(digest) ?? 0) + 1)
  }
  return Array.from(votes)
    .toSorted(([, a], [, b]) => b - a)
    .map(([digest]) => digest)
}

/**
 * One record out of an answer.
 *
 * @returns Nothing for a record that has expired by this clock: an honest keeper may be an hour behind.
 */
function openWanted(bytes: Uint8Array, wanted: Wanted, nowMs: number): FeedbackRecord[] {
  const record = openInTime(bytes, nowMs)
  if (record === undefined) return []
  if (!wanted.digests.includes(bytesToHex(recordDigest(record.id)))) {
    throw new ProtocolError('not-asked-for', `${record.id} was not asked for`)
  }
  if (!sameBytes(record.content.subject, wanted.subject)) {
    throw new ProtocolError('wrong-subject', `${record.id} is about somebody else`)
  }
  return [record]
}

function openInTime(bytes: Uint8Array, nowMs: number): FeedbackRecord | undefined {
  try {
    return openFeedback(bytes, { nowMs })
  } catch (error) {
    if (error instanceof ProtocolError && (error.code === 'expired' || error.code === 'not-yet-valid')) return undefined
    throw error
  }
}
