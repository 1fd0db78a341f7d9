import type { Metrics, MultiaddrConnection, Stream } from '@libp2p/interface'
import { TokenBucket, type Budget } from './bucket.ts'
import { unsentBytesMax } from './limits.ts'

/** Called with everything that arrives, before anybody has looked at it. */
export interface MeterSink {
  /** Raw bytes of a connection, handshake included. */
  onConnectionBytes(connection: MultiaddrConnection, bytes: number): void
  /** One frame of a stream that the peer opened. */
  onStreamFrame(stream: Stream, bytes: number): void
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
      letReset(connection)
      before(connection, (bytes) => sink.onConnectionBytes(connection, bytes))
    },
    trackProtocolStream: (stream) => {
      stream.maxWriteBufferLength ??= unsentBytesMax
      if (stream.direction === 'outbound' && stream.protocol.startsWith('/meshsub/')) sink.onGossipTo(stream)
      if (stream.direction === 'inbound') before(stream, (bytes) => sink.onStreamFrame(stream, bytes))
    }
  }
}

/** Takes tokens for every call; calls `onEmpty` each time that too few are left. */
export function meterOf(budget: Budget, now: () => number, onEmpty: () => void): (cost: number) => void {
  const bucket = new TokenBucket(budget, now())
  return (cost) => {
    if (!bucket.take(cost, now())) onEmpty()
  }
}

/**
 * libp2p ends a WebSocket with status 1006, which no WebSocket lets itself be told: what we cut off would stay open, and
 * its bytes go on coming in.
 */
function letReset(connection: object): void {
  const { websocket } = connection as { websocket?: { close(): void; terminate?: () => void } }
  if (websocket === undefined) return
  Object.assign(connection, {
    sendReset: () => (websocket.terminate === undefined ? websocket.close() : websocket.terminate())
  })
}

interface DataSource {
  onData?: (this: object, data: { byteLength: number }) => void
}

function before(source: object, count: (bytes: number) => void): void {
  const inner = (source as DataSource).onData
  if (inner === undefined) return
  ;(source as DataSource).onData = (data) => {
    count(data.byteLength)
    inner.call(source, data)
  }
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
