/**
 * One question, one answer, one stream: how located sets, messages and mailboxes talk.
 *
 * The asker writes one length-prefixed question and ends its side; the answerer writes one length-prefixed answer and
 * ends its own. Lengths are unsigned varints and are bounded before a byte of the body is buffered. Whatever happens,
 * both sides end or reset the stream within the time given.
 */
import type { AbortOptions, Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { Queue } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import { RecordError, decodeCanonical } from '@souk/records'
import { createDeadline, type Deadline } from './deadline.ts'
import { Desk } from './desk.ts'
import { type Dialler, peerOf, reach } from './dialling.ts'
import { readFrame, writeFrame } from './frame.ts'
import { blockOf } from './guard/address.ts'
import type { Budget } from './guard/bucket.ts'
import { createPaces } from './pace.ts'
import { ProtocolError, type ProtocolErrorCode } from './protocol-error.ts'

/** The least that an exchange needs of libp2p. */
export type ExchangeHost = Pick<Libp2p, 'peerId' | 'handle' | 'unhandle'> & Dialler

/** Who pays for what: token buckets and scores, kept elsewhere. */
export interface Guard {
  /** Takes `cost` from what `peer` may still do on `protocol`; false when it has used that up. */
  allow(peer: PeerId, protocol: string, cost: number): boolean
  /** As {@link allow}, from what all peers of its address, and of its block of addresses, may do together. */
  allowAddress(peer: PeerId, protocol: string, cost: number): boolean
  /** Takes what an answer has cost, into debt if it must: until that is paid back nothing is allowed. */
  charge(peer: PeerId, protocol: string, cost: number): void
  /** Tells that `peer` did what no honest peer does. */
  punish(peer: PeerId, code: string): void
}

/** Allows everything: for tests and closed networks. */
export const openGuard: Guard = { allow: () => true, allowAddress: () => true, charge: () => {}, punish: () => {} }

/** Bounds of one protocol. */
export interface ExchangeLimits {
  readonly questionBytesMax: number
  readonly answerBytesMax: number
  /** From the opening of the stream to its end, work included. */
  readonly timeoutMs: number
  /** Streams that one connection may have open. */
  readonly streamsPerConnectionMax: number
  /** Questions being answered at once, over all peers, and answers on their way. */
  readonly concurrencyMax: number
}

/** Answers questions of one protocol. Throwing resets the stream; an offence also costs the asker its standing. */
export type Answerer = (question: Uint8Array, asker: Asker) => Promise<Uint8Array>

/** Who asks. */
export interface Asker {
  readonly peer: PeerId
  readonly address: Multiaddr
  readonly signal: AbortSignal
}

/**
 * Registers the answering side.
 *
 * @returns What takes it away again; questions still open are cut.
 */
export async function serveExchange(
  components: { libp2p: ExchangeHost; guard: Guard },
  init: { protocol: string; limits: ExchangeLimits; answer: Answerer }
): Promise<() => Promise<void>> {
  const { libp2p, guard } = components
  const { protocol, limits } = init
  const desk = new Desk(limits.concurrencyMax)
  const open = new Set<Deadline>()
  const blocks = new WeakMap<Multiaddr, string>()
  // One for all: it is said as often as somebody asks too much, and a stack is most of what it would cost.
  const overBudget = new ProtocolError('refused', 'this peer, or its address, has used up what it may ask')

  /** An address stays what it is for as long as its connection; taking it apart takes as long as reading a question. */
  const blockOfAddress = (address: Multiaddr): string => {
    const block = blocks.get(address) ?? blockOf(address)
    blocks.set(address, block)
    return block
  }

  const onStream = async (stream: Stream, connection: Connection): Promise<void> => {
    const { remotePeer } = connection
    const isOver = !guard.allow(remotePeer, protocol, 1)
    if (isOver && !guard.allow(remotePeer, 'refusal', 1)) guard.punish(remotePeer, `${protocol}:too-many-messages`)
    if (isOver || !guard.allowAddress(remotePeer, protocol, 1)) {
      stream.abort(overBudget)
      return
    }
    using deadline = createDeadline(Math.min(questionMs, limits.timeoutMs), tookTooLong)
    open.add(deadline)
    await answerOne(stream, connection, { ...init, guard, deadline, desk, blockOfAddress })
    open.delete(deadline)
  }
  await libp2p.handle(protocol, onStream, {
    maxInboundStreams: limits.streamsPerConnectionMax,
    runOnLimitedConnection: true
  })
  return async () => {
    await libp2p.unhandle(protocol)
    for (const deadline of open) deadline.abort(new ProtocolError('refused', `${protocol} is being stopped`))
  }
}

/**
 * Asks one peer one question.
 *
 * @throws {@link ProtocolError} `unreachable`, `timed-out`, `stream-broken` or `too-large`; the caller's own abort
 * reason when `options.signal` fires.
 */
export async function askExchange(
  libp2p: ExchangeHost,
  target: PeerId | Multiaddr | Multiaddr[],
  question: Uint8Array,
  init: { protocol: string; limits: ExchangeLimits },
  options: AbortOptions = {}
): Promise<Uint8Array> {
  const { protocol, limits } = init
  if (question.length > limits.questionBytesMax) {
    throw new ProtocolError('too-large', `${question.length} bytes are more than the ${limits.questionBytesMax} asked`)
  }
  const timeout = AbortSignal.timeout(limits.timeoutMs)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  try {
    const stream = await dial(libp2p, target, protocol, signal)
    return await askOn(stream, question, { answerBytesMax: limits.answerBytesMax, signal })
  } catch (cause) {
    options.signal?.throwIfAborted()
    if (timeout.aborted) throw new ProtocolError('timed-out', `no answer within ${limits.timeoutMs} ms`, { cause })
    throw cause
  }
}

/** Asks one peer one question, as {@link askExchange} does, when it is that peer's turn. */
export type Ask = (
  target: PeerId | Multiaddr | Multiaddr[],
  question: Uint8Array,
  options?: AbortOptions & {
    /** What the answer has at most, for the reckoning; next to nothing when left out. */
    readonly answerBytes?: number
  }
) => Promise<Uint8Array>

/**
 * Whoever asks a peer for more than its guard grants, or on more streams than one connection may have, is refused, and
 * then cut off: honest questions wait instead.
 *
 * @param init.pace - In units as the guard counts them, a little below what it grants.
 */
export function createAsk(libp2p: ExchangeHost, init: { protocol: string; limits: ExchangeLimits; pace: Budget }): Ask {
  const paceOf = createPaces(init.pace)
  // The other side counts a stream until it has seen its end: half of what it grants are being ended meanwhile.
  const queueOf = createQueues(Math.ceil(init.limits.streamsPerConnectionMax / 2))
  return async (target, question, { answerBytes = 0, ...options } = {}) => {
    const ask = (): Promise<Uint8Array> => askExchange(libp2p, target, question, init, options)
    const peer = peerOf(target)
    if (peer === undefined) return ask()
    await paceOf(peer)(options, exchangeUnits({ questionBytes: question.length, answerBytes }))
    try {
      return await queueOf(peer).add(ask, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      throw error
    }
  }
}

/** A queue for each peer that has anything in it. */
function createQueues(concurrency: number): (peer: PeerId) => Queue<Uint8Array> {
  const queues = new Map<string, Queue<Uint8Array>>()
  return (peer) => {
    const id = peer.toString()
    const known = queues.get(id)
    if (known !== undefined) return known
    const queue = new Queue<Uint8Array>({ concurrency })
    queue.addEventListener('idle', () => {
      if (queue.size === 0) queues.delete(id)
    })
    queues.set(id, queue)
    return queue
  }
}

/**
 * Decodes what a peer sent: canonical dag-cbor, a map.
 *
 * @throws {@link ProtocolError} `malformed` or `too-large`.
 */
export function decodeMap(bytes: Uint8Array, bytesMax: number): Record<string, unknown> {
  try {
    const value = decodeCanonical(bytes, { bytesMax })
    if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
      return value as Record<string, unknown>
    }
  } catch (cause) {
    const code = cause instanceof RecordError && cause.code === 'too-large' ? 'too-large' : 'malformed'
    throw new ProtocolError(code, `not canonical dag-cbor: ${(cause as Error).message}`, { cause })
  }
  throw new ProtocolError('malformed', 'a question and an answer are maps')
}

/** Asserts a peer's shape. */
export function expectShape(condition: boolean, expected: string): asserts condition {
  if (!condition) throw new ProtocolError('malformed', expected)
}

/** What the other side made wrong on purpose or by a broken program; anything else may be bad luck. */
export function isOffence(code: ProtocolErrorCode): boolean {
  return offences.has(code)
}

const offences = new Set<ProtocolErrorCode>([
  'malformed',
  'too-large',
  'not-feedback',
  'below-floor',
  'wrong-subject',
  'ids-not-ascending',
  'not-asked-for',
  'bad-version',
  'weak-key',
  'not-openable',
  'bad-padding',
  'bad-frank',
  'bad-signature'
])

interface AnswerContext {
  readonly protocol: string
  readonly limits: ExchangeLimits
  readonly answer: Answerer
  readonly guard: Guard
  readonly deadline: Deadline
  readonly desk: Desk
  readonly blockOfAddress: (address: Multiaddr) => string
}

async function answerOne(stream: Stream, connection: Connection, context: AnswerContext): Promise<void> {
  const { limits, guard, deadline, protocol, desk } = context
  const { signal } = deadline
  const peer = connection.remotePeer
  const openedMs = performance.now()
  const release = abortWith(stream, signal)
  try {
    const question = await readFrame(stream, { bytesMax: limits.questionBytesMax })
    deadline.extend(limits.timeoutMs - (performance.now() - openedMs))
    if (!guard.allow(peer, protocol, question.length / questionBytesPerUnit)) {
      throw new ProtocolError('refused', 'this peer has used up what it may send')
    }
    const answer = await answerAt(desk, question, { connection, context })
    guard.charge(peer, protocol, answer.length / answerBytesPerUnit)
    desk.hand(stream)
    await writeFrame(stream, answer, { signal })
    await endGently(stream, signal)
  } catch (error) {
    const code = codeOf(error)
    if (isOffence(code)) guard.punish(peer, `${protocol}:${code}`)
    stream.abort(error as Error)
  } finally {
    desk.taken(stream)
    release()
  }
}

async function answerAt(
  desk: Desk,
  question: Uint8Array,
  { connection, context }: { connection: Connection; context: AnswerContext }
): Promise<Uint8Array> {
  const { remotePeer: peer, remoteAddr: address } = connection
  const block = context.blockOfAddress(address)
  if (!desk.enter(block)) throw new ProtocolError('refused', 'too many questions at once')
  try {
    const { signal } = context.deadline
    return await Promise.race([context.answer(question, { peer, address, signal }), endOf(signal)])
  } finally {
    desk.leave(block)
  }
}

async function dial(
  libp2p: ExchangeHost,
  target: PeerId | Multiaddr | Multiaddr[],
  protocol: string,
  signal: AbortSignal
): Promise<Stream> {
  try {
    const connection = await reach(libp2p, target, { signal })
    return await connection.newStream([protocol], { signal, runOnLimitedConnection: true })
  } catch (cause) {
    throw new ProtocolError('unreachable', `no stream for ${protocol}: ${(cause as Error).message}`, { cause })
  }
}

async function askOn(
  stream: Stream,
  question: Uint8Array,
  { answerBytesMax, signal }: { answerBytesMax: number; signal: AbortSignal }
): Promise<Uint8Array> {
  const release = abortWith(stream, signal)
  try {
    await writeFrame(stream, question, { signal })
    await stream.close({ signal })
    const answer = await readFrame(stream, { bytesMax: answerBytesMax })
    endSoon(stream)
    return answer
  } catch (cause) {
    stream.abort(cause as Error)
    const code = codeOf(cause)
    throw new ProtocolError(code, `the exchange broke off: ${(cause as Error).message}`, { cause })
  } finally {
    release()
  }
}

/** What a guard takes of its budget for a question and its answer. */
export function exchangeUnits({ questionBytes, answerBytes }: { questionBytes: number; answerBytes: number }): number {
  return 1 + questionBytes / questionBytesPerUnit + answerBytes / answerBytesPerUnit
}

const questionBytesPerUnit = 1024

/** Of an answer as much costs what a question does, 0.8 ms with its stream: the longest, 64 records of 1 kB, three times that. */
const answerBytesPerUnit = 32 * 1024

/** A question is on its way when its stream opens: one that has not come by then was never meant to. */
const questionMs = 10_000

/** A peer that neither reads nor ends its side is cut after this. */
const endGraceMs = 2000

async function endGently(stream: Stream, signal: AbortSignal): Promise<void> {
  await stream.close({ signal })
  endSoon(stream)
}

/** Resets a stream that the other side does not end in time, so that none stays open for ever. */
function endSoon(stream: Stream): void {
  if (stream.status !== 'open' && stream.status !== 'closing') return
  const timer = setTimeout(() => stream.abort(new Error('the other side did not end the stream')), endGraceMs)
  timer.unref()
  stream.addEventListener('close', () => clearTimeout(timer), { once: true })
}

function tookTooLong(): ProtocolError {
  return new ProtocolError('timed-out', 'the exchange took too long')
}

/** Rejects when the signal fires: work that does not heed it holds no place. */
function endOf(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new ProtocolError('timed-out', 'the answer took too long')), {
      once: true
    })
  })
}

/** Cuts the stream when the signal fires. */
function abortWith(stream: Stream, signal: AbortSignal): () => void {
  const onAbort = (): void => stream.abort(tookTooLong())
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  return () => signal.removeEventListener('abort', onAbort)
}

function codeOf(error: unknown): ProtocolErrorCode {
  return error instanceof ProtocolError ? error.code : 'stream-broken'
}
