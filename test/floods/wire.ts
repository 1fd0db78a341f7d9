import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { Connection, Libp2p, Metrics, MultiaddrConnection, Stream } from '@libp2p/interface'
import { RPC } from '@libp2p/gossipsub/message'
import { noise } from '@libp2p/noise'
import { tcp, type TCPSocketOptions } from '@libp2p/tcp'
import { getNetConfig } from '@libp2p/utils'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

/** Where an attack goes. */
export interface Target {
  /** A multiaddr with the victim's peer id. */
  readonly tcp: string
  readonly ws: string
}

/** A peer made by hand: libp2p's transports and nothing that would keep it honest. */
export interface Hostile extends AsyncDisposable {
  readonly libp2p: Libp2p
  readonly connection: Connection
  /** Resolves when the victim has ended the connection. */
  readonly cut: Promise<void>
}

export interface HostileInit {
  /** The address that it comes from, such as 127.5.0.1: all of 127.0.0.0/8 is this machine. */
  readonly from: string
  readonly signal?: AbortSignal
  /** Streams that the victim opens are given to this, by protocol; those of other protocols are refused. */
  readonly handlers?: Readonly<Record<string, (stream: Stream) => void>>
  /** Sees the raw connection before the handshake. */
  readonly onRaw?: (connection: MultiaddrConnection) => void
}

export const gossipProtocol = '/meshsub/1.2.0'

/** A new identity that connects to the victim. */
export async function connectHostile(target: string, init: HostileInit): Promise<Hostile> {
  const libp2p = await createLibp2p({
    // A WebSocket comes from 127.0.0.1, whatever is asked.
    transports: [tcp({ dialOpts: { localAddress: init.from } as TCPSocketOptions }), webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ enableKeepAlive: false, maxOutboundStreams: 10_000 })],
    connectionMonitor: { enabled: false },
    metrics: () => rawMetrics(init.onRaw)
  })
  try {
    for (const [protocol, handler] of Object.entries(init.handlers ?? {})) {
      await libp2p.handle(protocol, handler, { maxInboundStreams: 1000, runOnLimitedConnection: true })
    }
    const connection = await libp2p.dial(multiaddr(target), init.signal ? { signal: init.signal } : {})
    const cut = new Promise<void>((resolve) => {
      connection.addEventListener('close', () => resolve(), { once: true })
      if (connection.status !== 'open') resolve()
    })
    return { libp2p, connection, cut, [Symbol.asyncDispose]: async () => libp2p.stop() }
  } catch (error) {
    await libp2p.stop()
    throw error
  }
}

/** The least that libp2p needs of a `Metrics`: the one hook that sees connections before their handshake. */
function rawMetrics(onRaw: HostileInit['onRaw']): Metrics {
  const silent = { update() {}, increment() {}, decrement() {}, reset() {}, observe() {}, timer: () => () => {} }
  const register = (): typeof silent => silent
  return {
    trackMultiaddrConnection: onRaw ?? (() => undefined),
    trackProtocolStream: () => {},
    registerMetric: register,
    registerMetricGroup: register,
    registerCounter: register,
    registerCounterGroup: register,
    registerHistogram: register,
    registerHistogramGroup: register,
    registerSummary: register,
    registerSummaryGroup: register,
    traceFunction: <F>(_name: string, fn: F): F => fn,
    createTrace: () => undefined
  }
}

/** One gossipsub RPC with its length before it. */
export function rpcFrame(rpc: Partial<RPC>): Uint8Array {
  return prefixed(RPC.encode({ subscriptions: [], messages: [], ...rpc }))
}

/** Bytes with their length before them as an unsigned varint, as libp2p's protocols frame what they say. */
export function prefixed(bytes: Uint8Array): Uint8Array {
  const length: number[] = []
  for (let rest = bytes.length; rest > 0 || length.length === 0; rest = Math.floor(rest / 128)) {
    length.push((rest % 128) + (rest >= 128 ? 128 : 0))
  }
  const frame = new Uint8Array(length.length + bytes.length)
  frame.set(length)
  frame.set(bytes, length.length)
  return frame
}

/**
 * Sends frames as fast as the victim takes them, until they run out or the stream ends.
 *
 * @returns How many were handed to the stream.
 */
export async function pour(stream: Stream, frames: Iterable<Uint8Array>, signal: AbortSignal): Promise<number> {
  let sent = 0
  for (const frame of frames) {
    if (signal.aborted || stream.status !== 'open' || stream.writeStatus !== 'writable') break
    if (!stream.send(frame)) await drained(stream, signal)
    if (++sent % 16 === 0) await setImmediate()
  }
  return sent
}

/** The next drain, or the end of the stream; `onDrain()` of libp2p resolves at once from its second call. */
async function drained(stream: Stream, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const done = (): void => resolve()
  stream.addEventListener('drain', done, { once: true })
  stream.addEventListener('close', done, { once: true })
  signal.addEventListener('abort', done, { once: true })
  await promise
  stream.removeEventListener('drain', done)
  stream.removeEventListener('close', done)
  signal.removeEventListener('abort', done)
}

/** The same thing for ever, or something new each time. */
export function* endless<T>(make: (index: number) => T): Generator<T> {
  for (let index = 0; ; index++) yield make(index)
}

/** A bare TCP connection from an address; undefined when it was refused. */
export async function bareSocket(target: string, from: string): Promise<Socket | undefined> {
  const { host, port } = getNetConfig(multiaddr(target))
  const socket = connect({ host, port: port ?? 0, localAddress: from })
  // What becomes of it afterwards is the victim's doing, and expected.
  socket.on('error', () => undefined)
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => undefined)
  return socket.readyState === 'open' ? socket : undefined
}
