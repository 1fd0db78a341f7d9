import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { createReconciler, NegentropyError, type Reconciled, type Reconciler } from '@souk/negentropy'
import { recordIdOfDigest, sameBytes } from '@souk/records'
import { createDeadline } from '../deadline.ts'
import { createTurns, type Turns } from '../gossip/turns.ts'
import { blockOf } from '../guard/address.ts'
import type { Guard } from '../guard/guard.ts'
import { Answers } from './answers.ts'
import { Begun } from './begun.ts'
import { isOffence, SyncError } from './error.ts'
import {
  type ChangesAnswer,
  decodePlace,
  decodeQuestion,
  encodeChanges,
  encodeNews,
  encodePartitions,
  encodeReconciled,
  encodeRecords,
  encodeRefusal,
  encodeTail,
  type Question,
  type Scope,
  summaryOf,
  type TailQuestion,
  type WantAnswer
} from './frames.ts'
import {
  answerBytesMax,
  frameBytesMax,
  frameHeaderBytesMax,
  newsBytesMax,
  newsRowsMax,
  newsRowsMin,
  partitionsMax,
  rangesPerMessageMax,
  rangesPerRangeMax,
  reconcilersMax,
  recordsPerRead,
  sessionMsMax,
  sessionsPerPeerMax,
  syncProtocol,
  turnMs,
  wantedPerRequestMax,
  workBudget,
  workTurnMs
} from './limits.ts'
import { createLink, endStream, type Link } from './link.ts'
import { createPacer, type Pacer, type Rest } from './pacer.ts'
import { type Guest, Places } from './places.ts'
import type { PartitionId, RecordReader, SyncSource } from './source.ts'

/** What serving needs. */
export interface SyncServerComponents {
  readonly source: SyncSource
  readonly records: RecordReader
  readonly guard: Guard
}

export interface SyncServerInit {
  /** Sessions at once, over all peers. */
  readonly sessionsMax: number
  readonly clock: () => number
  /** Milliseconds that this thread has worked so far: what comparing sets takes is measured. */
  readonly cpuMs: () => number
  /** A peer says that it has news. */
  readonly onHint: (peer: PeerId) => void
}

/** Answers peers that catch up: one stream a session, one question at a time. */
export function createSyncServer(
  components: SyncServerComponents,
  init: SyncServerInit
): (stream: Stream, connection: Connection) => Promise<void> {
  const { guard } = components
  const { clock, cpuMs, sessionsMax: most } = init
  const places = new Places({ most, perPeerMax: sessionsPerPeerMax, turnMs, clock })
  const turns = createTurns(workTurnMs)
  const pacer = createPacer({ budget: workBudget, turns, clock, cpuMs })
  const answers = new Answers(() => components.records.lastSequence)

  return async (stream, { remotePeer: peer, remoteAddr }) => {
    using ending = createDeadline(sessionMsMax, () => new SyncError('broken', 'the session took too long'))
    const { signal } = ending
    const guest: Guest = {
      peer: peer.toString(),
      block: blockOf(remoteAddr),
      leave: () => {
        const reason = new SyncError('busy', 'others wait')
        ending.abort(reason)
        stream.abort(reason)
      }
    }
    // Work that waits for its turn is nobody's any more when its peer has gone.
    stream.addEventListener('close', () => ending.abort(new SyncError('broken', 'the peer has gone')), { once: true })
    const link = createLink(stream, signal)
    const session = new Session(components, {
      link,
      peer,
      onHint: init.onHint,
      places,
      guest,
      pacer,
      answers,
      turns,
      signal
    })
    try {
      await session.run()
      await endStream(stream)
    } catch (error) {
      if (error instanceof SyncError && isOffence(error)) guard.punish(peer, `${syncProtocol}:${error.code}`)
      stream.abort(error as Error)
    } finally {
      places.leave(guest)
    }
  }
}

interface SessionInit {
  readonly link: Link
  readonly peer: PeerId
  readonly onHint: (peer: PeerId) => void
  readonly places: Places
  readonly guest: Guest
  readonly pacer: Pacer
  readonly answers: Answers
  readonly turns: Turns
  readonly signal: AbortSignal
}

class Session {
  readonly #components: SyncServerComponents
  readonly #init: SessionInit
  readonly #reconcilers = new Map<string, Reconciler>()
  readonly #begun = new Begun()

  constructor(components: SyncServerComponents, init: SessionInit) {
    this.#components = components
    this.#init = init
  }

  /** Until the client ends its side. */
  async run(): Promise<void> {
    const { link, peer, places, guest, turns } = this.#init
    for (;;) {
      const frame = await this.#next()
      if (frame === undefined) return
      const question = decodeQuestion(frame)
      const allowed = this.#components.guard.allow(peer, syncProtocol, costOf(question, frame))
      if (question.kind === 'hint') return this.#onHint()
      if (!allowed) return this.#refuse('over-budget')
      if (!places.take(guest)) return this.#refuse('busy')
      for (let turn = turns.wait(); turn !== undefined; turn = turns.wait()) await turn
      const answer = await this.#answer(question, frame)
      if (answer === undefined) return this.#refuse('over-budget')
      await link.write(answer)
    }
  }

  /** An honest peer comes again in a few seconds; one that does not wait pays for it in the end. */
  async #refuse(code: 'busy' | 'over-budget'): Promise<void> {
    const { link, peer } = this.#init
    const { guard } = this.#components
    if (!guard.allow(peer, 'sync-refusal')) guard.punish(peer, `${syncProtocol}:too-many-messages`)
    await link.write(encodeRefusal(code))
  }

  /** The client's next question; undefined when it has no more. */
  async #next(): Promise<Uint8Array | undefined> {
    try {
      return await this.#init.link.read()
    } catch (error) {
      if (error instanceof SyncError && (error.cause as Error | undefined)?.name === 'UnexpectedEOFError')
        return undefined
      throw error
    }
  }

  #onHint(): void {
    const { peer, onHint } = this.#init
    if (this.#components.guard.allow(peer, 'sync-hint')) onHint(peer)
  }

  /** Undefined when the peer has used up what it may make us do. */
  async #answer(question: Exclude<Question, { kind: 'hint' }>, frame: Uint8Array): Promise<Uint8Array | undefined> {
    const { answers } = this.#init
    switch (question.kind) {
      case 'partitions':
        this.#begun.list(question.scope)
        return this.#work(() => this.#partitions(question.scope, question.summary))
      case 'changes':
      case 'news': {
        const { scope, after, kind } = question
        this.#begun.follow(scope, after)
        const answer = await answers.to(frame, () =>
          kind === 'news' ? this.#news(scope, question) : this.#changes(scope, question)
        )
        this.#begun.followed(scope, decodePlace(answer).sequence)
        return answer
      }
      case 'reconcile':
        return this.#reconcile(question.partition, question.message)
      case 'want':
        return answers.to(frame, () => this.#want(question.digests))
      case 'tail':
        return this.#tail(question)
    }
  }

  /** Comparing sets is our work for a few bytes of theirs: it is paced, and charged for what it took. */
  async #work<T>(task: (rest: Rest) => Promise<T>): Promise<T | undefined> {
    const { peer, pacer, signal, guest } = this.#init
    const { guard } = this.#components
    if (!guard.allow(peer, 'sync-work', 0)) return undefined
    return pacer.run(task, {
      signal,
      parties: [guest.block, guest.peer],
      charge: (tookMs) => guard.charge(peer, 'sync-work', tookMs)
    })
  }

  async #partitions(scope: Scope, summary: Uint8Array): Promise<Uint8Array> {
    const { source, records } = this.#components
    const place = { epoch: source.epoch, sequence: records.lastSequence }
    const partitions = await source.partitions(scope)
    const equal = summaryOf(partitions).every((byte, index) => byte === summary[index])
    return encodePartitions({ ...place, partitions: equal ? 'equal' : partitions.slice(0, partitionsMax) }, scope)
  }

  async #changes(scope: Scope, { epoch, after }: { epoch: string; after: number }): Promise<Uint8Array> {
    const { source, records } = this.#components
    const sequence = records.lastSequence
    const unknown: ChangesAnswer = { epoch: source.epoch, sequence, done: true, digests: [] }
    if (epoch !== source.epoch) return encodeChanges(unknown)
    const { changes, next, done } = await source.changesSince(after, scope)
    return encodeChanges({ epoch, sequence: next, done, digests: changes.map(({ digest }) => digest) })
  }

  /** What reading a partition takes is not the asker's: it stays in memory for whoever comes next. */
  async #reconcile(partition: PartitionId, message: Uint8Array): Promise<Uint8Array | undefined> {
    const name = `${partition.market} ${partition.channel} ${partition.day}`
    const reconciler = this.#reconcilers.get(name) ?? (await this.#start(name, partition))
    return this.#work(async (rest) => {
      const { reply, done } = await this.#compare(reconciler, message, rest)
      if (done) this.#reconcilers.delete(name)
      return encodeReconciled(reply ?? new Uint8Array(0))
    })
  }

  async #compare(reconciler: Reconciler, message: Uint8Array, rest: Rest): Promise<Reconciled> {
    try {
      const steps = reconciler.reconcileInSteps(message)
      for (;;) {
        const { value, done } = steps.next()
        if (done === true) return value
        await rest()
      }
    } catch (cause) {
      if (!(cause instanceof NegentropyError)) throw cause
      const code = cause.code === 'asked-again' ? cause.code : 'bad-reconciliation'
      throw new SyncError(code, `${cause.code}: ${cause.message}`, { cause })
    }
  }

  async #start(name: string, partition: PartitionId): Promise<Reconciler> {
    const items = await this.#components.source.items(partition)
    if (items.size > 0) this.#begun.compare(partition)
    const reconciler = createReconciler(items, {
      initiator: false,
      frameBytesMax: frameBytesMax - frameHeaderBytesMax,
      messageBytesMax: frameBytesMax,
      rangesMax: rangesPerMessageMax,
      rangesPerRangeMax
    })
    this.#reconcilers.set(name, reconciler)
    const [oldest] = this.#reconcilers.keys()
    if (this.#reconcilers.size > reconcilersMax && oldest !== undefined) this.#reconcilers.delete(oldest)
    return reconciler
  }

  /** A page of the change log with its records; a smaller one where they are large. */
  async #news(scope: Scope, { epoch, after }: { epoch: string; after: number }): Promise<Uint8Array> {
    const { source, records } = this.#components
    const sequence = records.lastSequence
    if (epoch !== source.epoch) return encodeNews({ epoch: source.epoch, sequence, done: true, records: [] })
    for (let limit = newsRowsMax; ; limit /= 4) {
      const { changes, next, done } = await source.changesSince(after, { ...scope, limit })
      const found = await records.getBytes(changes.map(({ digest }) => recordIdOfDigest(digest)))
      const held = found.filter((one) => one !== undefined)
      const bytes = held.reduce((sum, { length }) => sum + length, 0)
      if (bytes <= newsBytesMax || limit === newsRowsMin)
        return encodeNews({ epoch, sequence: next, done, records: held })
    }
  }

  /** What comes after the stretch that the client holds, if we hold the same. */
  async #tail(question: TailQuestion): Promise<Uint8Array | undefined> {
    const { partition, beforeMs, count, fingerprint, skip } = question
    const items = await this.#components.source.items(partition)
    const found = await this.#work(async () => {
      const from = items.rank({ timestampMs: beforeMs, idPrefix: new Uint8Array(0) })
      const begin = Math.min(items.size, from + skip)
      const isSame = from === count && sameBytes(items.fingerprint(0, from), fingerprint)
      const ids = isSame ? items.ids(begin, Math.min(items.size, begin + wantedPerRequestMax)) : undefined
      return { ids, after: items.size - begin }
    })
    if (found === undefined) return undefined
    if (found.ids === undefined) return encodeTail({ left: undefined, consumed: 0, records: [] })
    const { consumed, records } = await this.#recordsOf(digestsIn(found.ids))
    return encodeTail({ left: found.after - consumed, consumed, records })
  }

  async #want(digests: readonly Uint8Array[]): Promise<Uint8Array> {
    return encodeRecords(await this.#recordsOf(digests))
  }

  /** As many as fit one answer, in the order asked for; what is not held any more is left out. */
  async #recordsOf(digests: readonly Uint8Array[]): Promise<WantAnswer> {
    const records: Uint8Array[] = []
    let [bytes, consumed] = [0, 0]
    while (consumed < digests.length) {
      const some = digests.slice(consumed, consumed + recordsPerRead).map(recordIdOfDigest)
      for (const record of await this.#components.records.getBytes(some)) {
        bytes += record?.length ?? 0
        if (bytes > answerBytesMax && records.length > 0) return { consumed, records }
        if (record !== undefined) records.push(record)
        consumed++
      }
    }
    return { consumed, records }
  }
}

/**
 * What can be told of a question before it is answered: one for itself, one for each record asked for, and what its
 * bytes take to read. A unit is about 20 µs (docs/decisions/0175); a row of a change log takes a tenth of that.
 */
function costOf(question: Question, frame: Uint8Array): number {
  if (question.kind === 'want') return 1 + question.digests.length
  if (question.kind === 'changes') return changesCost
  if (question.kind === 'news' || question.kind === 'tail') return recordsCost
  if (question.kind === 'partitions') return partitionsCost
  return 1 + frame.length / 64
}

/**
 * A page of a thousand rows is read whatever is in it: 3 ms for a question of sixty bytes, charged as 20, so that nobody has
 * more than a third of a second of it at once and 6 ms of each after that. A client follows twenty pages at most.
 */
const changesCost = 1000

/** What a list of partitions costs beside the comparing, which is measured. A session asks for one of each market. */
const partitionsCost = 50

/** As much as asking for the most records that come with it. */
const recordsCost = 1 + newsRowsMax

function digestsIn(ids: Uint8Array): Uint8Array[] {
  return Array.from({ length: ids.length / 32 }, (_, index) => ids.subarray(index * 32, (index + 1) * 32))
}
