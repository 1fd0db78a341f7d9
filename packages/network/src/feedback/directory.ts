/**
 * Where feedback lives in the network: as a DHT value under its own digest, and in the located set of its subject.
 * One object does both sides: it publishes and finds for this node, and keeps for others what is near to it.
 */
import type { AbortOptions, IdentifyResult, Libp2p, PeerId } from '@libp2p/interface'
import type { KadDHT } from '@libp2p/kad-dht'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { recordDigest, type RecordId, sameBytes } from '@souk/records'
import { type ExchangeHost, type Guard, openGuard } from '../exchange.ts'
import type { Budget } from '../guard/bucket.ts'
import { dhtProtocol } from '../dht/limits.ts'
import { createTurns } from '../gossip/turns.ts'
import { createPace } from '../pace.ts'
import { ProtocolError } from '../protocol-error.ts'
import type { KeyValueStore } from '../store.ts'
import { createClosestPeers, distanceOf } from './closest.ts'
import { serveShelf } from './keeper.ts'
import {
  checkTurnMs,
  dhtConcurrencyMax,
  dhtFetchesPerFindMax,
  keepersMax,
  lookupTimeoutMs,
  pace as paceDefault,
  republishCheckMs
} from './limits.ts'
import { createKeeperClient, firstOf, readKeepers } from './reader.ts'
import { createRepublisher } from './republish.ts'
import { createShelf, type ShelfLimits } from './shelf.ts'
import { type FeedbackRecord, getValue, openFeedback, putValue } from './value.ts'

/** The least that a directory needs. */
export interface FeedbackDirectoryComponents {
  readonly libp2p: ExchangeHost &
    Pick<Libp2p, 'addEventListener' | 'removeEventListener' | 'getConnections' | 'getPeers' | 'logger'>
  /** Made with `feedbackDhtInit()`, or its replicas refuse all feedback. */
  readonly dht: Pick<KadDHT, 'get' | 'put' | 'getClosestPeers' | 'getMode'>
  /** A sublevel of its own. */
  readonly store: KeyValueStore
  readonly guard?: Guard
}

export interface FeedbackDirectoryInit {
  readonly now?: () => number
  /** Of what this node keeps for others. */
  readonly limits?: Partial<ShelfLimits>
  /** Of what this node puts and compares; what it looks for does not wait. */
  readonly pace?: Budget
  /** True for those whose feedback is not kept for others. */
  readonly refuses?: (author: Uint8Array) => boolean
  /** Told when {@link FeedbackDirectory.held} has changed by somebody's doing. */
  readonly onChanged?: () => void
}

/** How far a published record got. */
export interface Published {
  /** Peers that confirmed the DHT value. */
  readonly replicas: number
  /** Members of the located set that hold it, this node included when it is one. */
  readonly keepers: number
}

/** What the network says about a subject. */
export interface FoundFeedback {
  /** Each checked; in the order of their digests. Differing records of one author on one order are all there. */
  readonly records: readonly FeedbackRecord[]
  /** Keepers that answered, of {@link keepersMax} at most: few answers mean that more may exist. */
  readonly keepersAnswered: number
}

export interface FeedbackDirectory extends AsyncDisposable {
  /**
   * Puts a record where others look for it, and does so daily from now on. For one's own feedback and for what one
   * received. Many go at a pace, one that comes in between after two others at most. Reaching nobody is no error: it is
   * tried again when somebody is met who takes part in the DHT, and hourly.
   *
   * @throws {@link ProtocolError} `not-feedback` when the record is not one, `below-floor` when it has less work than all have.
   */
  publish(record: { readonly bytes: Uint8Array }, options?: AbortOptions): Promise<Published>
  /**
   * Has records put daily, as {@link FeedbackDirectory.publish} does: those that never were begin in the background, those
   * that are known keep their time. What {@link FeedbackDirectory.publish} would refuse is left out.
   */
  adopt(
    records: readonly { readonly id: RecordId; readonly bytes: Uint8Array }[],
    options?: AbortOptions
  ): Promise<void>
  /**
   * All feedback on a subject (32-byte public key) that its keepers, the DHT and this node have.
   *
   * @param options.known - Records that the caller has: they are not fetched, and not among what is found.
   */
  find(subject: Uint8Array, options?: AbortOptions & { readonly known?: readonly RecordId[] }): Promise<FoundFeedback>
  /** The feedback of one record id's digest (32 bytes) from the DHT. */
  get(digest: Uint8Array, options?: AbortOptions): Promise<FeedbackRecord | undefined>
  /**
   * Does what is due: puts values that would lapse, compares sets with their other keepers, drops what has expired.
   * Runs by itself every hour; costs nothing when nothing is due.
   */
  republish(options?: AbortOptions): Promise<void>
  /** What this node keeps for others. */
  held(): { readonly subjects: number; readonly records: number }
  /**
   * Drops what is kept here of an identity's own words; what others wrote about it stays.
   *
   * @returns How many records that were.
   */
  drop(author: Uint8Array): Promise<number>
}

export async function createFeedbackDirectory(
  components: FeedbackDirectoryComponents,
  init: FeedbackDirectoryInit = {}
): Promise<FeedbackDirectory> {
  const { libp2p, dht, store, guard = openGuard } = components
  const now = init.now ?? Date.now
  const log = libp2p.logger.forComponent('souk:feedback')
  const distance = (subject: Uint8Array): string => distanceOf(libp2p.peerId, subject)
  const shelf = await createShelf({ store }, { now, distance, ...(init.limits && { limits: init.limits }) })
  const client = createKeeperClient({ libp2p, guard }, { now })
  const closest = createClosestPeers({ libp2p, dht }, { now })
  const pace = createPace(init.pace ?? paceDefault)
  const stopping = new AbortController()
  /** Something was taken by nobody, or may have been before this node started. */
  let isWaiting = true

  const isSelf = (peer: PeerId): boolean => peer.equals(libp2p.peerId)

  /** Keepers may refuse for want of room; that is their answer, and the next nearest are not asked in their place. */
  async function spread(record: FeedbackRecord, options: AbortOptions): Promise<{ keepers: number; others: number }> {
    const count = { keepers: 0, others: 0 }
    const add = async (peer: PeerId, signal: AbortSignal): Promise<void> => {
      const kept = isSelf(peer)
        ? await shelf.add(record).catch(() => undefined)
        : (await client.add(peer, record.bytes, { signal })).status !== 'refused'
      if (kept) count.keepers++
      if (kept && !isSelf(peer)) count.others++
    }
    const peers = await closest.of(record.content.subject, options)
    await firstOf({ peers, enough: keepersMax }, add, options)
    return count
  }

  async function put(record: FeedbackRecord, options: AbortOptions): Promise<Published & { isTaken: boolean }> {
    const [replicas, { keepers, others }] = await Promise.all([putTo(record, options), spread(record, options)])
    const isTaken = replicas + others > 0
    if (isTaken) await republisher.taken(record)
    else isWaiting = true
    return { replicas, keepers, isTaken }
  }

  /** A query with nobody in the routing table would wait for somebody. */
  async function putTo(record: FeedbackRecord, options: AbortOptions): Promise<number> {
    if (libp2p.getPeers().length === 0) return 0
    return putValue(dht, record, { signal: bounded(options.signal) })
  }

  async function get(digest: Uint8Array, options: AbortOptions = {}): Promise<FeedbackRecord | undefined> {
    if (libp2p.getPeers().length === 0) return undefined
    return getValue(dht, digest, { signal: bounded(options.signal), nowMs: now() })
  }

  const republisher = createRepublisher(
    { store, shelf, client, closest, dht, libp2p, log },
    { now, pace, put: async (record, options) => (await put(record, options)).isTaken, putTo }
  )

  const inBackground = (work: Promise<unknown>): void =>
    void work.catch((error: unknown) => stopping.signal.aborted || log.error('republishing failed - %e', error))

  const putDue = (): void => {
    isWaiting = false
    inBackground(republisher.putDue({ signal: stopping.signal }))
  }

  const onMet = ({ detail }: CustomEvent<IdentifyResult>): void => {
    if (isWaiting && detail.protocols.includes(dhtProtocol)) putDue()
  }

  async function find(
    subject: Uint8Array,
    { known = [], ...options }: AbortOptions & { readonly known?: readonly RecordId[] } = {}
  ): Promise<FoundFeedback> {
    const callers = new Set(known.map((id) => bytesToHex(recordDigest(id))))
    const records = await ownRecords(subject)
    for (const digest of callers) records.delete(digest)
    const peers = (await closest.of(subject, options)).filter((peer) => !isSelf(peer))
    const reading = await readKeepers(
      client,
      { peers, subject, known: new Set([...callers, ...records.keys()]), enough: keepersMax },
      options
    )
    for (const [digest, record] of reading.records) records.set(digest, record)
    for (const record of await fetchValues(reading.missing, subject, options)) {
      records.set(bytesToHex(recordDigest(record.id)), record)
    }
    const inOrder = Array.from(records).toSorted(([a], [b]) => (a < b ? -1 : 1))
    return { records: inOrder.map(([, record]) => record), keepersAnswered: reading.answered }
  }

  /** What this node keeps, or publishes itself, about a subject. */
  async function ownRecords(subject: Uint8Array): Promise<Map<string, FeedbackRecord>> {
    const published = (await republisher.published()).filter((record) => sameBytes(record.content.subject, subject))
    const held = new Map<string, FeedbackRecord>()
    for (const record of [...(await shelf.records(subject)), ...published]) {
      if (record.expiresAtMs > now()) held.set(bytesToHex(recordDigest(record.id)), record)
    }
    return held
  }

  async function fetchValues(
    missing: readonly string[],
    subject: Uint8Array,
    options: AbortOptions
  ): Promise<FeedbackRecord[]> {
    const waiting = missing.slice(0, dhtFetchesPerFindMax)
    const found: FeedbackRecord[] = []
    const worker = async (): Promise<void> => {
      for (let digest = waiting.shift(); digest !== undefined; digest = waiting.shift()) {
        const record = await get(hexToBytes(digest), options)
        if (record !== undefined && sameBytes(record.content.subject, subject)) found.push(record)
      }
    }
    await Promise.all(Array.from({ length: dhtConcurrencyMax }, worker))
    return found
  }

  const { onChanged = () => {}, refuses = () => false } = init
  const stopServing = await serveShelf({ libp2p, dht, guard, shelf }, { now, onChanged, refuses })
  libp2p.addEventListener('peer:identify', onMet)
  const timer = setInterval(() => inBackground(republisher.run({ signal: stopping.signal })), republishCheckMs)
  timer.unref()

  return {
    async publish(record, options = {}) {
      const checked = openFeedback(record.bytes, { nowMs: now() })
      await republisher.remember(checked)
      await pace(options)
      const { replicas, keepers } = await put(checked, options)
      return { replicas, keepers }
    },
    async adopt(records, { signal } = {}) {
      const turns = createTurns(checkTurnMs)
      for (const { id, bytes } of records) {
        signal?.throwIfAborted()
        if (await republisher.isRemembered(id)) continue
        for (let turn = turns.wait(); turn !== undefined; turn = turns.wait()) await turn
        const checked = openIfGood(bytes, now())
        if (checked !== undefined) await republisher.remember(checked)
      }
      putDue()
    },
    find,
    get,
    republish: (options = {}) => republisher.run(options),
    held: () => ({ subjects: shelf.subjectCount(), records: shelf.count() }),
    drop: (author) => shelf.drop(author),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      libp2p.removeEventListener('peer:identify', onMet)
      stopping.abort()
      await stopServing()
      await republisher.idle()
    }
  }
}

function openIfGood(bytes: Uint8Array, nowMs: number): FeedbackRecord | undefined {
  try {
    return openFeedback(bytes, { nowMs })
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

function bounded(signal: AbortSignal | null | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(lookupTimeoutMs)
  return signal ? AbortSignal.any([signal, timeout]) : timeout
}
