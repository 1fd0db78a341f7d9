import { NegentropyError } from './error.ts'
import type { ItemSet } from './item-set.ts'
import { boundWithin, endBound, startBound, type Bound } from './item.ts'
import {
  bucketsMax,
  denseMin,
  denseShareMin,
  frameBytesFloor,
  frameBytesMaxDefault,
  idBytes,
  idsMaxDefault,
  listedDenseMax,
  listedMax,
  messageBytesMaxDefault,
  protocolVersion,
  rangesMaxDefault,
  rangesPerStep,
  resultsMaxDefault,
  roundsMaxDefault
} from './limits.ts'
import { type Interval, MessageWriter, readMessage, readVersion, type Range } from './message.ts'
import { Told } from './told.ts'
import { noBytes } from './varint.ts'

/** How one side of a session behaves. Every bound has its default and reason in `limits.ts`. */
export interface ReconcilerInit {
  /** True for the side that calls {@link Reconciler.initiate} and learns the difference. */
  initiator: boolean
  /** The largest message to send, at least 4,096 bytes; what does not fit goes into later rounds. */
  frameBytesMax?: number
  /** The largest message to accept. */
  messageBytesMax?: number
  /** Messages to accept in the session. */
  roundsMax?: number
  /** Ranges to accept, and to send, in one message; at least 64. */
  rangesMax?: number
  /**
   * Ranges to accept for each range that we sent last and that asks for any, and for the start of a session: an honest peer
   * cuts one into 16 at most. No bound by default, for the protocol has none: a peer may then open with the dearest message there is.
   */
  rangesPerRangeMax?: number
  /** Ids to accept in one message. */
  idsMax?: number
  /** Ids to report in the session. */
  resultsMax?: number
}

/** What one message brought. */
export interface Reconciled {
  /** The message to send next; absent when the initiator has nothing more to ask. */
  reply?: Uint8Array
  /** Ids that only we have. Always empty for the responder. */
  have: Uint8Array[]
  /** Ids that only the peer says it has. Always empty for the responder. May name one id again in a later round. */
  need: Uint8Array[]
  /** For the initiator: the sets are reconciled. For the responder: the reply asks for nothing more. */
  done: boolean
}

/** One session between two sets, from one side. Not to be used again after `done` or an error. */
export interface Reconciler {
  /** The first message; the initiator calls it once. */
  initiate(): Uint8Array
  /**
   * Answers one message of the peer.
   *
   * @throws NegentropyError with a code of the peer's doing: end the session and count it against the peer.
   */
  reconcile(message: Uint8Array): Reconciled
  /**
   * The same in small pieces: the largest message there is takes ten milliseconds, and a caller has others to see to.
   * What is in hand is finished before the next message is begun.
   *
   * @returns Yields after every few ranges, about a tenth of a millisecond; the set may change between.
   */
  reconcileInSteps(message: Uint8Array): Generator<undefined, Reconciled, undefined>
}

/**
 * Starts one side of a session.
 *
 * @param items - What we have. It may change between two messages and between two steps, not within a call.
 * @throws NegentropyError `bad-limit`.
 */
export function createReconciler(items: ItemSet, init: ReconcilerInit): Reconciler {
  return new Session(items, init)
}

/** Work that may be put aside wherever it yields. */
type Steps<T> = Generator<undefined, T, undefined>

interface Located {
  readonly range: Range
  readonly stretch: Stretch
}

/** A stretch of our own items and the bound that ends it on the wire. */
interface Stretch {
  readonly begin: number
  readonly end: number
  readonly upper: Bound
}

class Session implements Reconciler {
  readonly #items: ItemSet
  readonly #init: Required<ReconcilerInit>
  #state: 'fresh' | 'open' | 'ended' = 'fresh'
  #rounds = 0
  #results = 0
  /**
   * Ranges of ours that the next message answers; the start of a session counts as one. What a responder has listed is
   * answered by asking nothing more about it.
   */
  #asked = 1
  /** By a responder; an initiator asks what it wants to know. */
  readonly #told: Told | undefined

  constructor(items: ItemSet, init: ReconcilerInit) {
    this.#items = items
    this.#init = withDefaults(init)
    this.#told = init.initiator ? undefined : new Told()
  }

  initiate(): Uint8Array {
    if (!this.#init.initiator || this.#state !== 'fresh') {
      throw new NegentropyError('misuse', 'initiate() is for the initiator, once, at the start')
    }
    this.#state = 'open'
    const reply = this.#reply()
    reply.split({ begin: 0, end: this.#items.size, upper: endBound })
    return this.#send(reply)
  }

  reconcile(message: Uint8Array): Reconciled {
    const steps = this.reconcileInSteps(message)
    for (;;) {
      const { value, done } = steps.next()
      if (done === true) return value
    }
  }

  *reconcileInSteps(message: Uint8Array): Steps<Reconciled> {
    if (this.#state === 'ended') throw new NegentropyError('session-ended', 'a message after the end of the session')
    if (this.#init.initiator && this.#state === 'fresh') throw new NegentropyError('misuse', 'initiate() comes first')
    this.#state = 'ended'
    const result = yield* this.#answer(asPlainBytes(message))
    if (!result.done) this.#state = 'open'
    return result
  }

  *#answer(message: Uint8Array): Steps<Reconciled> {
    if (++this.#rounds > this.#init.roundsMax) {
      throw new NegentropyError('too-many-rounds', `more than ${this.#init.roundsMax} messages in one session`)
    }
    if (readVersion(message, this.#init) !== protocolVersion) return this.#offerVersion()
    const rangesMax = Math.min(this.#init.rangesMax, this.#init.rangesPerRangeMax * this.#asked)
    const ranges = readMessage(message, { ...this.#init, rangesMax })
    return yield* this.#init.initiator ? this.#asInitiator(ranges) : this.#asResponder(ranges)
  }

  /** A responder tells the version it speaks, and the peer may start again with that (protocol V1, "Message"). */
  #offerVersion(): Reconciled {
    if (this.#init.initiator) throw new NegentropyError('bad-version', 'the peer does not speak version 1')
    return { reply: Uint8Array.of(protocolVersion), have: [], need: [], done: true }
  }

  *#asInitiator(ranges: readonly Range[]): Steps<Reconciled> {
    const have: Uint8Array[] = []
    const need: Uint8Array[] = []
    const reply = this.#reply()
    for (const located of this.#located(ranges)) {
      if (located === undefined) {
        yield
        continue
      }
      const { range, stretch } = located
      if (range.kind === 'ids') {
        const difference = compareIds(this.#items.ids(stretch.begin, stretch.end), range.ids)
        have.push(...difference.onlyOurs)
        need.push(...difference.onlyTheirs)
        this.#count(difference)
        reply.skip(stretch)
      } else if (!reply.answer(range, stretch)) break
    }
    const message = this.#send(reply)
    return message.length === 1 ? { have, need, done: true } : { reply: message, have, need, done: false }
  }

  *#asResponder(ranges: readonly Range[]): Steps<Reconciled> {
    this.#told?.begin(ranges)
    const reply = this.#reply()
    for (const located of this.#located(ranges)) {
      if (located === undefined) {
        yield
        continue
      }
      const { range, stretch } = located
      if (!(range.kind === 'ids' ? reply.answerIds(range.ids, stretch) : reply.answer(range, stretch))) break
    }
    const message = this.#send(reply)
    this.#told?.end(reply.compared)
    return { reply: message, have: [], need: [], done: message.length === 1 }
  }

  /** Each range of a message with our own items in it; undefined now and then, when a step ends. */
  *#located(ranges: readonly Range[]): Generator<Located | undefined, void, undefined> {
    let [lower, begin] = [startBound, 0]
    for (const [at, range] of ranges.entries()) {
      if (at % rangesPerStep === rangesPerStep - 1) {
        yield undefined
        begin = this.#items.rank(lower)
      }
      const { upper } = range
      const end = upper.timestampMs === Infinity ? this.#items.size : this.#items.rank(upper)
      yield { range, stretch: { begin, end, upper } }
      ;[lower, begin] = [upper, end]
    }
  }

  #count({ onlyOurs, onlyTheirs }: Difference): void {
    this.#results += onlyOurs.length + onlyTheirs.length
    if (this.#results > this.#init.resultsMax) {
      throw new NegentropyError('too-many-results', `more than ${this.#init.resultsMax} ids reported in one session`)
    }
  }

  #send(reply: Reply): Uint8Array {
    const message = reply.finish()
    this.#asked = Math.max(1, this.#init.initiator ? reply.ranges : reply.compared.length)
    return message
  }

  #reply(): Reply {
    return new Reply(this.#items, this.#init, this.#told)
  }
}

/** A message in the making that knows where in our items it has got to. */
class Reply {
  readonly #items: ItemSet
  readonly #writer: MessageWriter
  readonly #told: Told | undefined
  readonly #isResponder: boolean
  #at = 0
  #full = false
  /** Fingerprints of the peer's that were looked at, and how many of them were not ours. */
  #looked = 0
  #unequal = 0

  constructor(items: ItemSet, init: Required<ReconcilerInit>, told: Told | undefined) {
    this.#items = items
    this.#isResponder = !init.initiator
    this.#told = told
    this.#writer = new MessageWriter(init)
  }

  /** Asks nothing about a stretch. */
  skip({ end, upper }: Stretch): true {
    this.#writer.skip(upper)
    this.#at = end
    return true
  }

  /** Answers a range that is not a list; false when the frame is full. */
  answer(range: Exclude<Range, { kind: 'ids' }>, stretch: Stretch): boolean {
    if (range.kind === 'skip') return this.skip(stretch)
    const ours = this.#items.fingerprint(stretch.begin, stretch.end)
    this.#looked++
    if (equalBytes(ours, range.fingerprint)) return this.skip(stretch)
    this.#unequal++
    return this.split(stretch)
  }

  /** Answers the initiator's list with ours, or with a skip when both are equal; false when the frame is full. */
  answerIds(theirs: Uint8Array, stretch: Stretch): boolean {
    const count = stretch.end - stretch.begin
    if (count * idBytes === theirs.length) {
      const { onlyOurs } = compareIds(this.#items.ids(stretch.begin, stretch.end), theirs)
      if (onlyOurs.length === 0) return this.skip(stretch)
    }
    return this.#list(stretch)
  }

  /** Lists a small stretch and cuts a large one into fingerprints; false when the frame is full. */
  split({ begin, end, upper }: Stretch): boolean {
    this.#at = begin
    const count = end - begin
    if (count <= this.#listedMax()) return this.#list({ begin, end, upper })
    const buckets = bucketsFor(count)
    for (let i = 1; i <= buckets; i++) {
      const cut = begin + Math.floor((count * i) / buckets)
      const bound = i === buckets ? upper : this.#boundAt(cut)
      if (!this.#putFingerprint({ begin: this.#at, end: cut, upper: bound })) return false
    }
    return true
  }

  get ranges(): number {
    return this.#writer.ranges
  }

  get compared(): readonly Interval[] {
    return this.#writer.compared
  }

  finish(): Uint8Array {
    if (this.#full) this.#writer.putRest(this.#items.fingerprint(this.#at, this.#items.size))
    return this.#writer.finish()
  }

  /** Where nearly all that is asked about differs, a finer cut would find the same of its parts. */
  #listedMax(): number {
    const isDense = this.#unequal >= denseMin && this.#unequal >= this.#looked * denseShareMin
    return isDense && this.#isResponder ? listedDenseMax : listedMax
  }

  #putFingerprint({ begin, end, upper }: Stretch): boolean {
    this.#told?.compare(this.#items.size)
    const written = this.#writer.putFingerprint(upper, this.#items.fingerprint(begin, end))
    if (!written) return this.#stop()
    this.#at = end
    return true
  }

  /** Writes our ids, as many as the frame takes; the rest of the space then goes into the closing fingerprint. */
  #list({ begin, end, upper }: Stretch): boolean {
    const fitting = this.#writer.idsFitting()
    const cut = Math.min(end, begin + fitting)
    if (fitting < 0 || (cut === begin && cut < end)) return this.#stop()
    this.#told?.list(cut - begin, this.#items.size)
    const room = this.#writer.putIds(cut === end ? upper : this.#boundAt(cut), cut - begin)
    this.#items.copyIds({ begin, end: cut }, room)
    this.#at = cut
    return cut === end || this.#stop()
  }

  #stop(): false {
    this.#full = true
    return false
  }

  /** The shortest bound between an item of ours and the one before it. */
  #boundAt(index: number): Bound {
    const [before, timestampMs] = [this.#items.timestampMs(index - 1), this.#items.timestampMs(index)]
    if (before !== timestampMs) return { timestampMs, idPrefix: noBytes }
    const ids = this.#items.ids(index - 1, index + 1)
    return boundWithin(timestampMs, { before: ids.subarray(0, idBytes), after: ids.subarray(idBytes) })
  }
}

interface Difference {
  readonly onlyOurs: Uint8Array[]
  readonly onlyTheirs: Uint8Array[]
}

/** Compares two lists of ids as sets. Strings as keys: the engine seeds their hash, so no peer can aim collisions. */
function compareIds(ours: Uint8Array, theirs: Uint8Array): Difference {
  const theirsByKey = new Map<string, Uint8Array>()
  for (const id of eachId(theirs)) theirsByKey.set(keyOf(id), id)
  const onlyOurs = eachId(ours).filter((id) => !theirsByKey.delete(keyOf(id)))
  return { onlyOurs, onlyTheirs: Array.from(theirsByKey.values(), (id) => id.slice()) }
}

function eachId(ids: Uint8Array): Uint8Array[] {
  return Array.from({ length: ids.length / idBytes }, (_, i) => ids.subarray(i * idBytes, (i + 1) * idBytes))
}

function keyOf(id: Uint8Array): string {
  return String.fromCharCode(...id)
}

/** Small stretches are cut so that listing one part later costs about what the fingerprints cost now. */
function bucketsFor(count: number): number {
  return Math.min(bucketsMax, Math.ceil(Math.sqrt(1.5 * count)))
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** A view without the `slice` of Node's `Buffer`, which shares memory instead of copying it. */
function asPlainBytes({ buffer, byteOffset, length }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length)
}

function withDefaults(init: ReconcilerInit): Required<ReconcilerInit> {
  const filled = {
    frameBytesMax: frameBytesMaxDefault,
    messageBytesMax: messageBytesMaxDefault,
    roundsMax: roundsMaxDefault,
    rangesMax: rangesMaxDefault,
    rangesPerRangeMax: Infinity,
    idsMax: idsMaxDefault,
    resultsMax: resultsMaxDefault,
    ...init
  }
  checkLimit('frameBytesMax', filled.frameBytesMax, frameBytesFloor)
  checkLimit('messageBytesMax', filled.messageBytesMax, 1)
  checkLimit('roundsMax', filled.roundsMax, 1)
  checkLimit('rangesMax', filled.rangesMax, 64)
  if (filled.rangesPerRangeMax !== Infinity) checkLimit('rangesPerRangeMax', filled.rangesPerRangeMax, bucketsMax + 2)
  checkLimit('idsMax', filled.idsMax, 0)
  checkLimit('resultsMax', filled.resultsMax, 0)
  return filled
}

function checkLimit(name: string, value: number, floor: number): void {
  if (!Number.isSafeInteger(value) || value < floor) {
    throw new NegentropyError('bad-limit', `${name} is ${value}; it is an integer of at least ${floor}`)
  }
}
