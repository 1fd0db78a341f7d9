import type { PeerId, Stream } from '@libp2p/interface'
import { createReconciler, NegentropyError } from '@souk/negentropy'
import { type Channel, recordIdOfDigest } from '@souk/records'
import type { RecordGate } from '../gate.ts'
import { SyncError } from './error.ts'
import {
  decodeChanges,
  decodePartitions,
  decodeReconciled,
  decodeRecords,
  encodeQuestion,
  type PartitionsAnswer,
  type Question,
  type Scope,
  summaryOf
} from './frames.ts'
import {
  changePagesMax,
  frameBytesMax,
  frameHeaderBytesMax,
  idsPerSessionMax,
  rangesPerMessageMax,
  reconcileBytesAhead,
  reconcilersMax,
  requestsAhead,
  sessionMsMax,
  wantedPerRequestMax,
  withheldMin,
  writesAhead
} from './limits.ts'
import { createLink, endStream, type Link } from './link.ts'
import type { Partition, PartitionId, SyncSource } from './source.ts'

/** What one session brought. */
export interface CatchUpReport {
  readonly peer: PeerId
  /** Records fetched, and of those the ones that were new and sound. */
  readonly fetched: number
  readonly stored: number
  readonly bytes: number
  /** True when the peer holds nothing of these channels that we did not have. */
  readonly equal: boolean
}

/** What fetching needs. */
export interface SyncClientComponents {
  readonly source: SyncSource
  readonly gate: RecordGate
}

/** What to ask for. */
export interface SessionScope {
  readonly peer: PeerId
  readonly scopes: readonly Scope[]
  /** `news`: only what the peer's log has since last time, where we have a cursor. `all`: then compare everything. */
  readonly depth: 'news' | 'all'
}

/**
 * Fetches over one stream what the peer has and we lack.
 *
 * @throws {@link SyncError}
 */
export async function runSession(
  components: SyncClientComponents,
  stream: Stream,
  { peer, scopes, depth }: SessionScope,
  options: { signal: AbortSignal }
): Promise<CatchUpReport> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(sessionMsMax)])
  const session = new ClientSession(components, createLink(stream, signal), peer)
  try {
    for (const scope of scopes) await session.catchUp(scope, depth)
    await endStream(stream)
    return session.report
  } catch (error) {
    stream.abort(error as Error)
    throw error
  }
}

class ClientSession {
  readonly #source: SyncSource
  readonly #gate: RecordGate
  readonly #link: Link
  readonly #peer: PeerId
  /** Answers on their way through the gate and to the disk. */
  readonly #writing: Promise<void>[] = []
  #asked = 0
  #fetched = 0
  #stored = 0
  #bytes = 0
  #equal = true

  constructor({ source, gate }: SyncClientComponents, link: Link, peer: PeerId) {
    this.#source = source
    this.#gate = gate
    this.#link = link
    this.#peer = peer
  }

  get report(): CatchUpReport {
    return { peer: this.#peer, fetched: this.#fetched, stored: this.#stored, bytes: this.#bytes, equal: this.#equal }
  }

  async catchUp(scope: Scope, depth: SessionScope['depth']): Promise<void> {
    const followed = await this.#followLog(scope)
    if (depth === 'all' || !followed) await this.#compare(scope)
  }

  /** Takes what came after our cursor. False when we have none that the peer knows, or it is too far behind. */
  async #followLog(scope: Scope): Promise<boolean> {
    const name = cursorName(this.#peer, scope)
    const cursor = await this.#source.cursor(name)
    if (cursor === undefined) return false
    const { epoch } = cursor
    let after = cursor.sequence
    let asking = this.#askSoon({ kind: 'changes', scope, epoch, after })
    let saved: Promise<void> = Promise.resolve()
    let isDone = false
    for (let page = 0; page < changePagesMax && !isDone; page++) {
      const { done, digests, sequence, ...answer } = decodeChanges(await asking)
      if (answer.epoch !== epoch) return false
      if (!done && sequence <= after) throw new SyncError('bad-frame', 'a change log that goes nowhere')
      after = sequence
      // The next page comes in while this one is fetched, and this one is written while the next one is.
      if (!done) asking = this.#askSoon({ kind: 'changes', scope, epoch, after })
      await this.#fetch(digests)
      await saved
      saved = this.#written().then(() => this.#source.saveCursor(name, { epoch, sequence }))
      saved.catch(() => undefined)
      isDone = done
    }
    await saved
    return isDone
  }

  async #compare(scope: Scope): Promise<void> {
    const ours = await this.#source.partitions(scope)
    const answer = decodePartitions(await this.#ask({ kind: 'partitions', scope, summary: summaryOf(ours) }), scope)
    for (const group of groupsOf(unequal(ours, answer, scope))) {
      this.#equal = false
      const needed = await Promise.all(group.map((partition) => this.#reconcile(partition)))
      await this.#fetch(needed.flat())
    }
    await this.#written()
    const { epoch, sequence } = answer
    await this.#source.saveCursor(cursorName(this.#peer, scope), { epoch, sequence })
  }

  /** The ids that only the peer has. */
  async #reconcile(partition: PartitionId): Promise<Uint8Array[]> {
    const reconciler = createReconciler(await this.#source.items(partition), {
      initiator: true,
      frameBytesMax: frameBytesMax - frameHeaderBytesMax,
      messageBytesMax: frameBytesMax,
      rangesMax: rangesPerMessageMax,
      resultsMax: idsPerSessionMax
    })
    const needed: Uint8Array[] = []
    let message: Uint8Array | undefined = reconciler.initiate()
    while (message !== undefined) {
      const answer = decodeReconciled(await this.#ask({ kind: 'reconcile', partition, message }))
      const { need, reply } = blamed(() => reconciler.reconcile(answer))
      needed.push(...need)
      message = reply
    }
    return needed
  }

  async #fetch(ids: readonly Uint8Array[]): Promise<void> {
    if (ids.length === 0) return
    this.#asked += ids.length
    if (this.#asked > idsPerSessionMax)
      throw new SyncError('too-many-ids', `more than ${idsPerSessionMax} in a session`)
    const wanted: Uint8Array[] = []
    for (const some of slices([...uniqueDigests(ids).values()], idsPerLookup)) {
      wanted.push(...(await this.#source.wanted(some)))
    }
    if (wanted.length > 0) await this.#fetchWanted(wanted)
  }

  /** Asks ahead, so that the next answers come in while the last ones are verified and written. */
  async #fetchWanted(wanted: readonly Uint8Array[]): Promise<void> {
    const requests = slices(wanted, wantedPerRequestMax)
    const ahead: { digests: Uint8Array[]; answer: Promise<Uint8Array> }[] = []
    const before = this.#fetched
    for (;;) {
      for (let next = requests.shift(); next !== undefined; next = requests.shift()) {
        ahead.push({ digests: next, answer: this.#askSoon({ kind: 'want', digests: next }) })
        if (ahead.length === requestsAhead) break
      }
      const first = ahead.shift()
      if (first === undefined) break
      const rest = await this.#take(first.digests, await first.answer)
      if (rest.length > 0) requests.unshift(rest)
    }
    if (this.#fetched === before && wanted.length >= withheldMin) {
      throw new SyncError('withheld-records', `none of ${wanted.length} records that the peer listed`)
    }
  }

  /** Hands the records of one answer to the gate. Returns the ids that the answer did not reach. */
  async #take(digests: Uint8Array[], answer: Uint8Array): Promise<Uint8Array[]> {
    const { consumed, records } = decodeRecords(answer)
    if (consumed === 0 || consumed > digests.length) throw new SyncError('bad-frame', 'an answer to nothing asked')
    this.#fetched += records.length
    this.#bytes += answer.length
    if (this.#writing.length >= writesAhead) await this.#writing.shift()
    const write = this.#accept(records, digests)
    write.catch(() => {})
    this.#writing.push(write)
    return digests.slice(consumed)
  }

  /** Everything taken so far is in the store. */
  async #written(): Promise<void> {
    await Promise.all(this.#writing)
  }

  async #accept(records: readonly Uint8Array[], digests: readonly Uint8Array[]): Promise<void> {
    const asked = new Set(digests.map(recordIdOfDigest))
    const results = await this.#gate.acceptMany(records, { from: this.#peer, via: 'catch-up', asked })
    const refused = results.find(({ verdict }) => verdict === 'reject')
    if (refused !== undefined) throw new SyncError('refused-record', `the peer sent a record with ${refused.code}`)
    this.#stored += results.filter(({ verdict }) => verdict === 'accept').length
  }

  #ask(question: Question): Promise<Uint8Array> {
    return this.#link.ask(encodeQuestion(question))
  }

  /** As {@link #ask}, for an answer that is awaited later: a failure in between is not unhandled. */
  #askSoon(question: Question): Promise<Uint8Array> {
    const answer = this.#ask(question)
    answer.catch(() => {})
    return answer
  }
}

/** Ids in one look-up of our store. */
const idsPerLookup = 8192

/** What is most use to a person comes first: who sells, what is for sale, how it went. */
const channelOrder = ['people', 'listings', 'feedback']

/** Partitions that the peer holds other than we do, in the order in which they are fetched. */
function unequal(ours: readonly Partition[], { partitions }: PartitionsAnswer, { market }: Scope): Partition[] {
  if (partitions === 'equal') return []
  const held = new Map(ours.map((one) => [partitionName(one), one]))
  const rank = ({ channel }: { channel: Channel }): number => channelOrder.indexOf(channel.split('/')[0] ?? '')
  const differing = partitions.filter((theirs) => {
    const mine = held.get(partitionName(theirs))
    return mine === undefined || mine.count !== theirs.count || !sameBytes(mine.fingerprint, theirs.fingerprint)
  })
  return differing.map((one) => ({ ...one, market })).toSorted((a, b) => rank(a) - rank(b) || a.day - b.day)
}

/** Groups whose answers together fit the stream's buffer, going by what the peer says it holds. */
function groupsOf(partitions: readonly Partition[]): Partition[][] {
  const groups: Partition[][] = []
  let room = 0
  for (const partition of partitions) {
    const bytes = Math.min(frameBytesMax, frameHeaderBytesMax + partition.count * 40)
    const last = groups.at(-1)
    if (last === undefined || bytes > room || last.length === reconcilersMax) {
      groups.push([partition])
      room = reconcileBytesAhead - bytes
    } else {
      last.push(partition)
      room -= bytes
    }
  }
  return groups
}

function blamed<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (!(cause instanceof NegentropyError)) throw cause
    throw new SyncError('bad-reconciliation', `${cause.code}: ${cause.message}`, { cause })
  }
}

function slices<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, at) => list.slice(at * size, (at + 1) * size))
}

function uniqueDigests(digests: readonly Uint8Array[]): Map<string, Uint8Array> {
  return new Map(digests.map((digest) => [digestKey(digest), digest]))
}

function digestKey(digest: Uint8Array): string {
  return String.fromCharCode(...digest)
}

function partitionName({ channel, day }: { channel: Channel; day: number }): string {
  return `${channel} ${day}`
}

/** Cursors are kept for a peer, a market and the channels asked for: new channels start from nothing. */
function cursorName(peer: PeerId, { market, channels }: Scope): string {
  return `${peer.toString()} ${market} ${channels.toSorted().join(',')}`
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
