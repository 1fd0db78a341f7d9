import type { Connection, PeerId, Stream } from '@libp2p/interface'
import { createReconciler, NegentropyError, type Reconciler } from '@souk/negentropy'
import { recordIdOfDigest } from '@souk/records'
import type { Guard } from '../guard/guard.ts'
import { isOffence, SyncError } from './error.ts'
import {
  type ChangesAnswer,
  decodeQuestion,
  encodeChanges,
  encodePartitions,
  encodeReconciled,
  encodeRecords,
  encodeRefusal,
  type Question,
  type Scope,
  summaryOf
} from './frames.ts'
import {
  answerBytesMax,
  frameBytesMax,
  frameHeaderBytesMax,
  partitionsMax,
  reconcilersMax,
  sessionMsMax,
  sessionsPerPeerMax,
  syncProtocol
} from './limits.ts'
import { createLink, endStream, type Link } from './link.ts'
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
  /** A peer says that it has news. */
  readonly onHint: (peer: PeerId) => void
}

/** Answers peers that catch up: one stream a session, one question at a time. */
export function createSyncServer(
  components: SyncServerComponents,
  init: SyncServerInit
): (stream: Stream, connection: Connection) => Promise<void> {
  const { guard } = components
  const places = new Places(init.sessionsMax)

  return async (stream, { remotePeer: peer }) => {
    const link = createLink(stream, AbortSignal.timeout(sessionMsMax))
    const session = new Session(components, { link, peer, onHint: init.onHint, places })
    try {
      await session.run()
      await endStream(stream)
    } catch (error) {
      if (error instanceof SyncError && isOffence(error)) guard.punish(peer, `${syncProtocol}:${error.code}`)
      stream.abort(error as Error)
    } finally {
      places.leave(session)
    }
  }
}

/** Who is being served. A stream takes its place with its first question, so that opening and leaving takes none. */
class Places {
  readonly #taken = new Map<object, string>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  /** False when all places are taken, or the peer's share of them. */
  take(session: object, peer: PeerId): boolean {
    if (this.#taken.has(session)) return true
    const name = peer.toString()
    const share = [...this.#taken.values()].filter((other) => other === name).length
    if (share >= sessionsPerPeerMax || this.#taken.size >= this.#most) return false
    this.#taken.set(session, name)
    return true
  }

  leave(session: object): void {
    this.#taken.delete(session)
  }
}

interface SessionInit {
  readonly link: Link
  readonly peer: PeerId
  readonly onHint: (peer: PeerId) => void
  readonly places: Places
}

class Session {
  readonly #components: SyncServerComponents
  readonly #init: SessionInit
  readonly #reconcilers = new Map<string, Reconciler>()

  constructor(components: SyncServerComponents, init: SessionInit) {
    this.#components = components
    this.#init = init
  }

  /** Until the client ends its side. */
  async run(): Promise<void> {
    const { link, peer, places } = this.#init
    for (;;) {
      const frame = await this.#next()
      if (frame === undefined) return
      const question = decodeQuestion(frame)
      const allowed = this.#components.guard.allow(peer, syncProtocol, costOf(question, frame))
      if (question.kind === 'hint') return this.#onHint()
      if (!allowed) return link.write(encodeRefusal('over-budget'))
      if (!places.take(this, peer)) return link.write(encodeRefusal('busy'))
      await link.write(await this.#answer(question))
    }
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

  #answer(question: Exclude<Question, { kind: 'hint' }>): Promise<Uint8Array> {
    switch (question.kind) {
      case 'partitions':
        return this.#partitions(question.scope, question.summary)
      case 'changes':
        return this.#changes(question.scope, question)
      case 'reconcile':
        return this.#reconcile(question.partition, question.message)
      case 'want':
        return this.#want(question.digests)
    }
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

  async #reconcile(partition: PartitionId, message: Uint8Array): Promise<Uint8Array> {
    const name = `${partition.market} ${partition.channel} ${partition.day}`
    const reconciler = this.#reconcilers.get(name) ?? (await this.#start(name, partition))
    try {
      const { reply, done } = reconciler.reconcile(message)
      if (done) this.#reconcilers.delete(name)
      return encodeReconciled(reply ?? new Uint8Array(0))
    } catch (cause) {
      if (!(cause instanceof NegentropyError)) throw cause
      throw new SyncError('bad-reconciliation', `${cause.code}: ${cause.message}`, { cause })
    }
  }

  async #start(name: string, partition: PartitionId): Promise<Reconciler> {
    const items = await this.#components.source.items(partition)
    const reconciler = createReconciler(items, {
      initiator: false,
      frameBytesMax: frameBytesMax - frameHeaderBytesMax,
      messageBytesMax: frameBytesMax
    })
    this.#reconcilers.set(name, reconciler)
    const [oldest] = this.#reconcilers.keys()
    if (this.#reconcilers.size > reconcilersMax && oldest !== undefined) this.#reconcilers.delete(oldest)
    return reconciler
  }

  /** As many as fit one answer, in the order asked for; what is not held any more is left out. */
  async #want(digests: readonly Uint8Array[]): Promise<Uint8Array> {
    const found = await this.#components.records.getBytes(digests.map(recordIdOfDigest))
    const records: Uint8Array[] = []
    let bytes = 0
    let consumed = 0
    for (const record of found) {
      bytes += record?.length ?? 0
      if (bytes > answerBytesMax && records.length > 0) break
      if (record !== undefined) records.push(record)
      consumed++
    }
    return encodeRecords({ consumed, records })
  }
}

/** One a question, one a record asked for, and what comparing ranges costs us: a hash for every thirty bytes. */
function costOf(question: Question, frame: Uint8Array): number {
  if (question.kind === 'want') return 1 + question.digests.length
  return 1 + frame.length / 64
}
