import assert from 'node:assert'
import {
  type Connection,
  type Libp2p,
  LimitedConnectionError,
  type Metrics,
  type PeerStore,
  type Stream,
  type StreamHandler,
  type StreamHandlerOptions,
  TooManyInboundProtocolStreamsError
} from '@libp2p/interface'
import { Agreement } from './agreement.ts'
import { agreementMs } from './limits.ts'
import type { Data } from './meter.ts'

/** What libp2p's registrar has, which its interface does not show. */
interface Registrar {
  readonly handlers: ReadonlyMap<string, { readonly handler: StreamHandler; readonly options: StreamHandlerOptions }>
  readonly middleware: ReadonlyMap<string, unknown>
}

/** What is done with streams that others open. */
export interface IncomingSink {
  /** What is no attempt to agree on a stream's protocol. */
  onBadLength(): void
  /** The two have agreed: what comes from now on is the protocol's. */
  onAgreed(stream: Stream): void
  /** More of its protocol than one connection may have, or none that is spoken over a relay. Never one of a circuit. */
  onRefused(): void
}

/** Takes over a stream that the other side has opened. */
export type Incoming = (stream: Stream, connection: Connection, sink: IncomingSink) => void

/**
 * What libp2p does with a stream that somebody opens, in the order in which libp2p does it, but for {@link Agreement} in
 * place of its own, and without a signal and a timer for each: who does not agree in time is ended by who looks through
 * all streams every second.
 *
 * @returns Undefined for a host that has no such registrar, whose streams are its own.
 */
export function createIncoming(libp2p: Libp2p, metrics: Metrics): Incoming | undefined {
  const registrar = registrarOf(libp2p)
  if (registrar === undefined) return undefined
  const parts = { registrar, peerStore: libp2p.peerStore, metrics }
  const spoken = spokenOf(registrar.handlers)
  return (stream, connection, sink) => {
    agree(stream, {
      agreement: new Agreement(spoken),
      onBadLength: () => sink.onBadLength(),
      onAgreed: () => {
        sink.onAgreed(stream)
        admit(parts, stream, connection).catch((error: Error) => {
          stream.abort(error)
          if (isRefusal(error) && !isCircuit(stream)) sink.onRefused()
        })
      }
    })
  }
}

/** Ends streams whose other side has not said in time what they are for; to be called every second or so. */
export function endUndecided(connections: readonly Pick<Connection, 'streams'>[], nowMs: number): void {
  for (const { streams } of connections) {
    for (const stream of streams) {
      const isUndecided = stream.direction === 'inbound' && stream.protocol === ''
      if (isUndecided && nowMs - stream.timeline.open >= agreementMs) {
        stream.abort(new Error('no protocol was agreed on in time'))
      }
    }
  }
}

function registrarOf(libp2p: Libp2p): Registrar | undefined {
  const registrar = (libp2p as Libp2p & { components?: { registrar?: Registrar } }).components?.registrar
  if (registrar === undefined) return undefined
  assert(registrar.handlers instanceof Map, 'libp2p keeps its handlers elsewhere')
  assert(registrar.middleware instanceof Map, 'libp2p keeps its middleware elsewhere')
  return registrar
}

/** Sorted, as libp2p lists them; made again when there are more or fewer. */
function spokenOf(handlers: Registrar['handlers']): () => ReadonlySet<string> {
  let spoken = new Set<string>()
  return () => {
    const isSame = spoken.size === handlers.size && spoken.values().every((name) => handlers.has(name))
    if (!isSame) spoken = new Set([...handlers.keys()].toSorted())
    return spoken
  }
}

/** A stream's way to take in what comes, and the end of it. */
type Receiver = Stream & {
  readonly readBuffer: { sublist(): Exclude<Data, Uint8Array>; consume(bytes: number): void }
  onData: (data: Data) => void
  onRemoteCloseWrite: () => void
}

interface AgreeInit {
  readonly agreement: Agreement
  readonly onBadLength: () => void
  readonly onAgreed: () => void
}

/** Stands before what a stream takes in until there is somebody to read it. */
function agree(stream: Stream, { agreement, onBadLength, onAgreed }: AgreeInit): void {
  const receiver = stream as Receiver
  const { onData, onRemoteCloseWrite } = receiver
  assert(onData !== undefined && onRemoteCloseWrite !== undefined, 'streams take in their data elsewhere')
  assert(receiver.readBuffer !== undefined, 'streams keep their data elsewhere')
  const stop = (): void => {
    Object.assign(receiver, { onData, onRemoteCloseWrite })
  }
  receiver.onRemoteCloseWrite = () => {
    stop()
    stream.abort(new Error('ended before its protocol was agreed on'))
  }
  receiver.onData = (data) => {
    const { reply, state } = agreement.take(data.subarray())
    if (state === 'bad') return onBadLength()
    if (!say(stream, reply) || state === 'waiting') return
    stop()
    stream.protocol = agreement.protocol
    if (agreement.rest.length > 0) receiver.onData(agreement.rest)
    onAgreed()
  }
  // What came together with the end of the handshake lies there already.
  const early = receiver.readBuffer.sublist()
  receiver.readBuffer.consume(early.byteLength)
  if (early.byteLength > 0) receiver.onData(early)
  if (stream.protocol === '' && stream.remoteWriteStatus === 'closed') receiver.onRemoteCloseWrite()
}

/** @returns False for a stream that takes nothing any more. */
function say(stream: Stream, reply: Uint8Array | undefined): boolean {
  try {
    if (reply !== undefined) stream.send(reply)
    return true
  } catch (error) {
    stream.abort(error as Error)
    return false
  }
}

interface Admission {
  readonly registrar: Registrar
  readonly peerStore: PeerStore
  readonly metrics: Metrics
}

async function admit(
  { registrar, peerStore, metrics }: Admission,
  stream: Stream,
  connection: Connection
): Promise<void> {
  const { protocol } = stream
  assert(!registrar.middleware.has(protocol), 'nobody stands between streams and their protocols here')
  const { handler, options } = registrar.handlers.get(protocol) ?? noHandler(protocol)
  if (countOf(connection, protocol) > (options.maxInboundStreams ?? inboundStreamsDefault)) {
    throw new TooManyInboundProtocolStreamsError(`too many streams of ${protocol}`)
  }
  await peerStore.merge(connection.remotePeer, { protocols: [protocol] })
  metrics.trackProtocolStream(stream)
  if (connection.limits !== undefined && options.runOnLimitedConnection !== true) {
    throw new LimitedConnectionError('this protocol is not spoken over a relay')
  }
  await handler(stream, connection)
}

function isRefusal(error: Error): boolean {
  return error instanceof TooManyInboundProtocolStreamsError || error instanceof LimitedConnectionError
}

/** A relay opens these for all who come over it, as many as they like. */
function isCircuit({ protocol }: Stream): boolean {
  return protocol.startsWith('/libp2p/circuit/')
}

function noHandler(protocol: string): never {
  throw new Error(`${protocol} was spoken a moment ago`)
}

/** As libp2p has it for protocols that do not say. */
const inboundStreamsDefault = 32

function countOf({ streams }: Connection, protocol: string): number {
  let count = 0
  for (const stream of streams) if (stream.direction === 'inbound' && stream.protocol === protocol) count++
  return count
}
