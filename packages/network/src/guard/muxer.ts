import assert from 'node:assert'
import type { MessageStream, Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { negotiation } from './framing.ts'
import { smallFrameBytes, unsentBytesMax } from './limits.ts'
import { type Data, framer } from './meter.ts'

/** Told of what a multiplexer takes in below all protocols. */
export interface MuxerSink {
  /** A frame that carries little or nothing: a ping, a window, the end of a stream. */
  onSmallFrame(muxer: StreamMuxer): void
  /** The other side opens a stream. */
  onOpen(muxer: StreamMuxer): void
  /** Bytes for a stream that there is not, or that nobody reads yet: no protocol's meter sees them. */
  onStray(muxer: StreamMuxer, bytes: number): void
  /** What is no attempt to agree on a stream's protocol. */
  onBadLength(muxer: StreamMuxer): void
  /** True for protocols that a stream may be opened for. */
  isSpoken(protocol: string): boolean
}

/**
 * Yamux that tells of its frames. A protocol sees only data; pings, windows and streams that are opened and reset at
 * once are answered below it, at twelve bytes each for the attacker.
 *
 * What cannot be sent since the other side does not read is bounded here too: libp2p keeps any amount of it.
 */
export function watchMuxer<Components>(
  create: (components: Components) => StreamMuxerFactory,
  sink: MuxerSink
): (components: Components) => StreamMuxerFactory {
  return (components) => {
    const factory = create(components)
    // All but one method as it is: libp2p finds out by symbols what this is.
    return Object.assign(Object.create(factory) as StreamMuxerFactory, {
      createStreamMuxer: (connection: MessageStream) => {
        connection.maxWriteBufferLength = unsentBytesMax
        return watch(factory.createStreamMuxer(connection), sink)
      }
    })
  }
}

interface Frame {
  readonly header: { readonly type: number; readonly flag: number; readonly streamID: number; readonly length: number }
  readonly data?: Data
}

/** As in the specification of Yamux. */
const [dataType, pingType] = [0, 2]
const [synFlag, ackFlag] = [1, 2]

function watch(muxer: StreamMuxer, sink: MuxerSink): StreamMuxer {
  const framed = muxer as StreamMuxer & { handleFrame?: (frame: Frame) => void }
  const handle = framed.handleFrame
  assert(handle !== undefined, 'yamux takes in its frames elsewhere')
  const agreeing = new WeakMap<Stream, (data: Data) => void>()
  framed.handleFrame = (frame) => {
    count(muxer, frame, sink)
    const stream = unread(muxer, frame)
    if (stream !== undefined && frame.data !== undefined) follow(stream, { muxer, sink, agreeing })(frame.data)
    if (muxer.status === 'open') handle.call(muxer, frame)
  }
  return muxer
}

function count(muxer: StreamMuxer, frame: Frame, sink: MuxerSink): void {
  const { type, flag, length } = frame.header
  if (type !== dataType || length < smallFrameBytes) sink.onSmallFrame(muxer)
  if (type !== pingType && (flag & (synFlag | ackFlag)) === synFlag) sink.onOpen(muxer)
  if (type === dataType && length > 0 && !isRead(streamOf(muxer, frame))) sink.onStray(muxer, length)
}

/** The stream that a frame of data is for, where its two sides have yet to agree on a protocol. */
function unread(muxer: StreamMuxer, frame: Frame): Stream | undefined {
  if (frame.header.type !== dataType) return undefined
  const stream = streamOf(muxer, frame)
  return stream?.protocol === '' ? stream : undefined
}

function follow(
  stream: Stream,
  { muxer, sink, agreeing }: { muxer: StreamMuxer; sink: MuxerSink; agreeing: WeakMap<Stream, (data: Data) => void> }
): (data: Data) => void {
  let frame = agreeing.get(stream)
  if (frame === undefined) {
    const isAgreed = stream.direction === 'inbound' ? (name: string) => sink.isSpoken(name) : isAnswer
    frame = framer(negotiation(isAgreed), () => sink.onBadLength(muxer))
    agreeing.set(stream, frame)
  }
  return frame
}

/** What we proposed is one that we speak, though we may not let ourselves be asked for it. */
function isAnswer(message: string): boolean {
  return message !== '/multistream/1.0.0' && message !== 'na'
}

function streamOf({ streams }: StreamMuxer, { header }: Frame): Stream | undefined {
  const id = `${header.streamID}`
  return streams.find((one) => one.id === id)
}

/** Streams are given to their protocol when both sides have agreed on one. */
function isRead(stream: Stream | undefined): boolean {
  return stream !== undefined && (stream.protocol !== '' || stream.direction === 'outbound')
}
