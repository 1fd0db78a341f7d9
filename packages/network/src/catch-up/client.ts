import type { PeerId, Stream } from '@libp2p/interface'
import { createReconciler, NegentropyError } from '@souk/negentropy'
import { type Channel, recordIdOfDigest } from '@souk/records'
import { createDeadline } from '../deadline.ts'
import type { RecordGate } from '../gate.ts'
import { SyncError } from './error.ts'
import {
  decodeChanges,
  decodeNews,
  decodePartitions,
  decodeReconciled,
  decodeRecords,
  decodeTail,
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
  newsPagesMax,
  newsTwiceMax,
  rangesPerMessageMax,
  reconcileBytesAhead,
  reconcilersMax,
  requestsAhead,
  sessionMsMax,
  tailsAhead,
  unworkedMin,
  wantedPerRequestMax,
  withheldMin,
  workedShareMin,
  writesAhead
} from './limits.ts'
import { createLink, endStream, type Link } from './link.ts'
import type { Partition, PartitionId, PeerCursor, RecordReader, SyncSource } from './source.ts'

/** What one session brought. */
export interface CatchUpReport {
  readonly peer: PeerId
  /** Records fetched, and of those the ones that were new and sound. */
  readonly fetched: number
  readonly stored: number
  /** Of all frames, both ways, with the lengths before them. */
  readonly bytes: number
  /** Questions asked; several may have been under way at once. */
  readonly questions: number
  /** True when the peer holds nothing of these channels that we did not have. */
  readonly equal: boolean
}

/** What fetching needs. */
export interface SyncClientComponents {
  readonly source: SyncSource
  readonly gate: RecordGate
  readonly records: Pick<RecordReader, 'lastSequence'>
  /** Partitions of which we refused records lately; sessions add to it. */
  readonly refused: Set<string>
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
  // A signal that is nobody's but `any`'s is forgotten when it fires while nobody listens (decision 0316).
  using limit = createDeadline(sessionMsMax, () => new SyncError('broken', 'the session took too long'))
  const signal = AbortSignal.any([options.signal, limit.signal])
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

/** What is known of records that are taken. */
interface Taking {
  /** Their ids, where they were asked for one by one. */
  readonly asked?: readonly Uint8Array[]
  /** The partition to remember if one of them is not stored. */
  readonly refusedFrom?: string
}

class ClientSession {
  readonly #source: SyncSource
  readonly #gate: RecordGate
  readonly #records: Pick<RecordReader, 'lastSequence'>
  readonly #refused: Set<string>
  readonly #link: Link
  readonly #peer: PeerId
  /** Answers on their way through the gate and to the disk. */
  readonly #writing: Promise<void>[] = []
  #asked = 0
  #fetched = 0
  #stored = 0
  #unworked = 0
  #bytes = 0
  #questions = 0
  #equal = true

  constructor({ source, gate, records, refused }: SyncClientComponents, link: Link, peer: PeerId) {
    this.#source = source
    this.#gate = gate
    this.#records = records
    this.#refused = refused
    this.#link = link
    this.#peer = peer
  }

  get report(): CatchUpReport {
    return {
      peer: this.#peer,
      fetched: this.#fetched,
      stored: this.#stored,
      bytes: this.#bytes,
      questions: this.#questions,
      equal: this.#equal
    }
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
    // While we stored next to nothing from elsewhere, what is new there is new here: no need to compare ids first.
    if (this.#records.lastSequence - cursor.ours <= newsTwiceMax) return this.#followNews(scope, cursor)
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
      saved = this.#keepPlace(name, { epoch, sequence })
      saved.catch(() => undefined)
      isDone = done
    }
    await saved
    return isDone
  }

  /** As {@link #followLog}, with the records themselves in each page. */
  async #followNews(scope: Scope, { epoch, ...cursor }: PeerCursor): Promise<boolean> {
    const name = cursorName(this.#peer, scope)
    let after = cursor.sequence
    let asking = this.#askSoon({ kind: 'news', scope, epoch, after })
    let saved: Promise<void> = Promise.resolve()
    let isDone = false
    for (let page = 0; page < newsPagesMax && !isDone; page++) {
      const { done, records, sequence, ...answer } = decodeNews(await asking)
      if (answer.epoch !== epoch) return false
      if (!done && sequence <= after) throw new SyncError('bad-frame', 'a change log that goes nowhere')
      after = sequence
      if (!done) asking = this.#askSoon({ kind: 'news', scope, epoch, after })
      this.#count(records.length)
      await this.#take(records)
      await saved
      saved = this.#keepPlace(name, { epoch, sequence })
      saved.catch(() => undefined)
      isDone = done
    }
    await saved
    return isDone
  }

  /** Once everything taken so far is in the store. */
  async #keepPlace(name: string, place: Omit<PeerCursor, 'ours'>): Promise<void> {
    await this.#written()
    await this.#source.saveCursor(name, { ...place, ours: this.#records.lastSequence })
  }

  async #compare(scope: Scope): Promise<void> {
    const ours = await this.#source.partitions(scope)
    const answer = decodePartitions(await this.#ask({ kind: 'partitions', scope, summary: summaryOf(ours) }), scope)
    for (const group of groupsOf(unequal(ours, answer, scope))) {
      this.#equal = false
      const isTaken = await severalAtOnce(group, tailsAhead, (partition) => this.#takeTail(partition))
      const differing = group.filter((_partition, index) => isTaken[index] === false)
      const needed = await Promise.all(differing.map((partition) => this.#reconcile(partition)))
      await this.#fetch(needed.flat())
    }
    const { epoch, sequence } = answer
    const name = cursorName(this.#peer, scope)
    if (lackedIn(answer, ours) <= newsTwiceMax) return this.#keepPlace(name, { epoch, sequence })
    // What it lacks it will have from us soon, or from others: its log would bring us our own records back.
    await this.#written()
    await this.#source.forgetCursor(name)
  }

  /**
   * Takes what the peer has after all that we have, if it has that too. False when it does not, and where we refused some
   * of such a bulk before: it would come again, while ids are looked up first.
   */
  async #takeTail(partition: Partition): Promise<boolean> {
    const name = `${partition.market} ${partitionName(partition)}`
    const items = await this.#source.items(partition)
    if (this.#refused.has(name) || items.size >= partition.count) return false
    const count = items.size
    const stretch = {
      beforeMs: count === 0 ? 0 : items.timestampMs(count - 1) + 1,
      count,
      fingerprint: items.fingerprint(0, count)
    }
    let got = 0
    let asking = this.#askSoon({ kind: 'tail', partition, ...stretch, skip: 0 })
    for (let skip = 0, left = 1; left > 0;) {
      const answer = decodeTail(await asking)
      if (answer.left === undefined) return false
      if (answer.consumed === 0 && answer.left > 0) throw new SyncError('bad-frame', 'an answer that goes nowhere')
      skip += answer.consumed
      left = answer.left
      this.#count(answer.consumed)
      if (left > 0) asking = this.#askSoon({ kind: 'tail', partition, ...stretch, skip })
      await this.#take(answer.records, { refusedFrom: name })
      if (this.#isHardlyWorked()) return true
      got += answer.records.length
      if (skip >= withheldMin && got === 0) throw withheld(skip)
    }
    return true
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
    this.#count(ids.length)
    const wanted: Uint8Array[] = []
    for (const some of slices([...uniqueDigests(ids).values()], idsPerLookup)) {
      wanted.push(...(await this.#source.wanted(some)))
    }
    if (wanted.length > 0) await this.#fetchWanted(wanted)
  }

  #count(ids: number): void {
    this.#asked += ids
    if (this.#asked > idsPerSessionMax)
      throw new SyncError('too-many-ids', `more than ${idsPerSessionMax} in a session`)
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
      const { consumed, records } = decodeRecords(await first.answer)
      if (consumed === 0 || consumed > first.digests.length) {
        throw new SyncError('bad-frame', 'an answer to nothing asked')
      }
      await this.#take(records, { asked: first.digests })
      if (consumed < first.digests.length) requests.unshift(first.digests.slice(consumed))
      if (this.#isHardlyWorked()) requests.length = 0
    }
    if (this.#fetched === before && wanted.length >= withheldMin) {
      throw withheld(wanted.length)
    }
  }

  /** Hands the records of one answer to the gate; returns when there is room for the next. */
  async #take(records: readonly Uint8Array[], how: Taking = {}): Promise<void> {
    this.#fetched += records.length
    if (this.#writing.length >= writesAhead) await this.#writing.shift()
    const write = this.#accept(records, how)
    write.catch(() => {})
    this.#writing.push(write)
  }

  /** The peer has little but what too little work was done for; the rest may wait for an hour in which less is asked. */
  #isHardlyWorked(): boolean {
    return this.#unworked >= unworkedMin && this.#unworked > (1 - workedShareMin) * this.#fetched
  }

  /** Everything taken so far is in the store. */
  async #written(): Promise<void> {
    await Promise.all(this.#writing)
  }

  async #accept(records: readonly Uint8Array[], { asked, refusedFrom }: Taking): Promise<void> {
    const results = await this.#gate.acceptMany(records, {
      from: this.#peer,
      via: 'catch-up',
      ...(asked && { asked: new Set(asked.map(recordIdOfDigest)) })
    })
    const refused = results.find(({ verdict }) => verdict === 'reject')
    if (refused !== undefined) throw new SyncError('refused-record', `the peer sent a record with ${refused.code}`)
    this.#stored += results.filter(({ verdict }) => verdict === 'accept').length
    this.#unworked += results.filter(({ code }) => code === 'too-little-work').length
    if (refusedFrom !== undefined && results.some(({ verdict }) => verdict !== 'accept')) this.#refused.add(refusedFrom)
  }

  async #ask(question: Question): Promise<Uint8Array> {
    const frame = encodeQuestion(question)
    const answer = await this.#link.ask(frame)
    this.#bytes += framedBytes(frame) + framedBytes(answer)
    this.#questions++
    return answer
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

/** Records of ours that the peer does not hold, at the least. */
function lackedIn({ partitions }: PartitionsAnswer, ours: readonly Partition[]): number {
  if (partitions === 'equal') return 0
  const theirs = new Map(partitions.map((one) => [partitionName(one), one.count]))
  return ours.reduce((sum, one) => sum + Math.max(0, one.count - (theirs.get(partitionName(one)) ?? 0)), 0)
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

/** With the length that goes before it. */
function framedBytes({ length }: Uint8Array): number {
  return length + (length < 128 ? 1 : length < 16_384 ? 2 : 3)
}

function withheld(listed: number): SyncError {
  return new SyncError('withheld-records', `none of ${listed} records that the peer listed`)
}

/** In order, `most` under way at a time. */
async function severalAtOnce<T, R>(list: readonly T[], most: number, task: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const rest = list.entries()
  const work = async (): Promise<void> => {
    for (const [index, one] of rest) results[index] = await task(one)
  }
  await Promise.all(Array.from({ length: most }, work))
  return results
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
