import type { Metrics, MultiaddrConnection, Stream, StreamMessageEvent } from '@libp2p/interface'
import { type Framing, framingOf, negotiation } from './framing.ts'
import { inRounds } from './rounds.ts'

/** Called with everything that arrives, before anybody has looked at it. */
export interface MeterSink {
  /** Of what we send: so much may wait for one stream because the peer does not read. */
  readonly unsentBytesMax: number
  /** Raw bytes of a connection, handshake included. */
  onConnectionBytes(connection: MultiaddrConnection, bytes: number): void
  /** One frame of a stream that the peer opened. */
  onStreamFrame(stream: Stream, bytes: number): void
  /** One frame of a stream that we opened: we asked for it. */
  onAnswer(stream: Stream, bytes: number): void
  /** A length that no message has: its reader is not to see it. */
  onBadLength(source: Stream | MultiaddrConnection): void
  /** A stream for gossip, which nobody but us writes to. */
  onGossipTo(stream: Stream): void
}

/**
 * A libp2p `Metrics` that measures nothing but hands every connection and stream to a meter: the one hook that sees
 * all of them, whatever the protocol.
 *
 * Not by listening to `message`: a stream with a listener gives its data away, so that a meter that listens before the
 * real reader does would swallow the first bytes. The meter stands in front of `onData`, which takes data from the
 * transport.
 */
export function createMeter(sink: MeterSink): Metrics {
  return {
    ...silentMetrics,
    trackMultiaddrConnection: (connection) => {
      mendWebSocket(connection)
      const frame = framer(
        negotiation((protocol) => protocol === '/noise'),
        () => sink.onBadLength(connection)
      )
      const inRound = inRounds(connection)
      const look = (data: Data): void => {
        inRound(data.byteLength)
        sink.onConnectionBytes(connection, data.byteLength)
        frame(data)
      }
      // What came while the socket waited for its turn lies there already.
      look(earlyData(connection))
      before(connection, look)
    },
    trackProtocolStream: (stream) => {
      stream.maxWriteBufferLength ??= sink.unsentBytesMax
      if (stream.direction === 'outbound' && stream.protocol.startsWith('/meshsub/')) sink.onGossipTo(stream)
      const isOurs = stream.direction === 'outbound'
      const frame = framer(framingOf(stream.protocol), () => sink.onBadLength(stream))
      // What came together with the agreement on the protocol lies there already.
      frame(earlyData(stream))
      before(stream, (data) => {
        if (isOurs) sink.onAnswer(stream, data.byteLength)
        else sink.onStreamFrame(stream, data.byteLength)
        frame(data)
      })
    }
  }
}

/**
 * libp2p ends a WebSocket with status 1006, which no WebSocket lets itself be told: what we cut off would stay open, and
 * its bytes go on coming in. Nor does it have one wait, as a browser's cannot.
 */
function mendWebSocket(connection: object): void {
  const { websocket } = connection as { websocket?: Closable & Partial<NodeWebSocket> }
  if (websocket === undefined) return
  Object.assign(connection, {
    sendReset: () => (websocket.terminate === undefined ? websocket.close() : websocket.terminate()),
    sendPause: () => websocket.pause?.(),
    sendResume: () => websocket.resume?.()
  })
}

interface Closable {
  close(): void
}

/** What the WebSockets of a server can besides: those that we open ourselves cannot. */
interface NodeWebSocket {
  terminate(): void
  pause(): void
  resume(): void
}

export type Data = StreamMessageEvent['data']

interface DataSource {
  onData?: (this: object, data: Data) => void
}

/** Looks at data before its reader does. What the looker ends has no reader any more when the data gets there. */
export function before(source: object, look: (data: Data) => void): void {
  const inner = (source as DataSource).onData
  if (inner === undefined) return
  ;(source as DataSource).onData = (data) => {
    look(data)
    inner.call(source, data)
  }
}

/** Follows messages; does nothing where there is no framing to follow. */
export function framer(framing: Framing | undefined, onBad: () => void): (data: Data) => void {
  return (data) => {
    if (framing === undefined || framing.isOver) return
    const parts = data instanceof Uint8Array ? [data] : [...data]
    if (!parts.every((part) => framing.take(part))) onBad()
  }
}

function earlyData(source: object): Data {
  return (source as { readBuffer?: Data }).readBuffer ?? new Uint8Array()
}

const silent = {
  update: () => {},
  increment: () => {},
  decrement: () => {},
  reset: () => {},
  observe: () => {},
  timer: () => () => {}
}

/** libp2p asks for gauges and counters wherever it finds a `Metrics`; these keep nothing. */
const silentMetrics = {
  registerMetric: () => silent,
  registerMetricGroup: () => silent,
  registerCounter: () => silent,
  registerCounterGroup: () => silent,
  registerHistogram: () => silent,
  registerHistogramGroup: () => silent,
  registerSummary: () => silent,
  registerSummaryGroup: () => silent,
  traceFunction: <F>(_name: string, fn: F): F => fn,
  createTrace: () => undefined
} as unknown as Metrics
