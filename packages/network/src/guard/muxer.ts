import assert from 'node:assert'
import type { MessageStream, Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { negotiation } from './framing.ts'
import { smallFrameBytes, trifleWeight, windowShare } from './limits.ts'
import { type Data, framer } from './meter.ts'

/** Told of what a multiplexer takes in below all protocols. */
export interface MuxerSink {
  /** So much may wait for one connection because the peer does not read. */
  readonly unsentBytesMax: number
  /** A multiplexer begins, over this connection. */
  onMuxer(muxer: StreamMuxer, connection: MessageStream): void
  /** A frame that carries little or nothing: a ping, a window, the end of a stream. @param weight - How many it counts as. */
  onSmallFrame(muxer: StreamMuxer, weight: number): void
  /** A ping, besides. */
  onPing(muxer: StreamMuxer): void
  /** The other side opens a stream. */
  onOpen(muxer: StreamMuxer): void
  /** A stream that the other side opened has ended before the two agreed on what it was for. */
  onUnused(muxer: StreamMuxer): void
  /** Bytes for a stream that there is not, or that nobody reads yet: no protocol's meter sees them. */
  onStray(muxer: StreamMuxer, bytes: number): void
  /** What is no attempt to agree on a stream's protocol. */
  onBadLength(muxer: StreamMuxer): void
  /** True for protocols that a stream may be opened for. */
  isSpoken(protocol: string): boolean
  /** The other side has opened a stream. True when the sink sees to it that the two agree on its protocol; else libp2p does. */
  takes(muxer: StreamMuxer, stream: Stream): boolean
}

/**
 * Yamux that tells of its frames. A protocol sees only data; pings, windows and streams that are opened and reset at
 * once are answered below it, at twelve bytes each for the attacker.
 *
 * What cannot be sent since the other side does not read is bounded here too: libp2p keeps any amount of it. And windows
 * are opened again a part at a time, not after each frame.
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
        connection.maxWriteBufferLength = sink.unsentBytesMax
        const muxer = factory.createStreamMuxer(connection)
        sink.onMuxer(muxer, connection)
        return watch(muxer, connection, sink)
      }
    })
  }
}

interface Frame {
  readonly header: { readonly type: number; readonly flag: number; readonly streamID: number; readonly length: number }
  readonly data?: Data
}

/** What a frame carries, on its way out. */
interface Sent {
  prepend(head: Uint8Array): void
}

/** As in the specification of Yamux. */
const [dataType, windowType, pingType] = [0, 1, 2]
const [synFlag, ackFlag] = [1, 2]

/** Of yamux's `StreamState`: before one's own first frame on a stream, opened by oneself and by the other side. */
const [initState, openedState] = [0, 2]

/** Private parts of yamux, which has no hook for any of this; fails with the first connection if a version moves them. */
interface YamuxParts {
  handleFrame: (frame: Frame) => void
  readonly handleStreamMessage: (frame: Frame) => void
  sendFrame: (header: Frame['header'], data?: Sent) => boolean
  readonly send: (bytes: Uint8Array | Sent) => boolean
  _newStream: (...made: unknown[]) => YamuxStream
  safeDispatchEvent: (type: string, detail: { readonly detail: YamuxStream }) => boolean
}

type YamuxStream = Stream & {
  readonly streamId: number
  /** Of `StreamState`. */
  readonly state: number
  /** Of what the other side may send, and of that what is left. */
  readonly recvWindow: number
  readonly recvWindowCapacity: number
  sendWindowUpdate: () => void
}

function watch(muxer: StreamMuxer, connection: MessageStream, sink: MuxerSink): StreamMuxer {
  const yamux = muxer as Omit<StreamMuxer, 'safeDispatchEvent'> & YamuxParts
  const { handleFrame: handle, handleStreamMessage: handleForStream, _newStream: make, safeDispatchEvent: tell } = yamux
  assert(handle !== undefined && make !== undefined, 'yamux takes in its frames, and makes its streams, elsewhere')
  assert(handleForStream !== undefined && yamux.sendFrame !== undefined, 'yamux has its frames go elsewhere')
  sendQuietly(yamux)
  assert(tell !== undefined, 'yamux tells of its streams in another way')
  const streams = new Map<number, Stream>()
  const taken = new WeakSet<Stream>()
  const agreeing = new WeakMap<Stream, (data: Data) => void>()
  const end = (stream: YamuxStream): void => {
    streams.delete(stream.streamId)
    const isUnused = stream.direction === 'inbound' && stream.protocol === ''
    // With a connection all its streams end, whatever they were about to be for.
    if (isUnused && muxer.status === 'open' && connection.status === 'open') sink.onUnused(muxer)
  }
  yamux._newStream = (...made) => {
    const stream = make.apply(muxer, made)
    streams.set(stream.streamId, stream)
    stream.addEventListener('close', () => end(stream), { once: true })
    openWindowByParts(stream)
    return stream
  }
  yamux.safeDispatchEvent = (type, event) => {
    if (type !== 'stream' || !sink.takes(muxer, event.detail)) return tell.call(muxer, type, event)
    taken.add(event.detail)
    return true
  }
  yamux.handleFrame = (frame) => {
    // Of what is cut off there may be thousands of frames more in what has come already.
    if (connection.status !== 'open') return
    const stream = frame.header.type === dataType ? streams.get(frame.header.streamID) : undefined
    count(muxer, { frame, stream }, sink)
    const isFollowed = stream?.protocol === '' && !taken.has(stream)
    if (isFollowed && frame.data !== undefined) follow(stream, { muxer, sink, agreeing })(frame.data)
    if (muxer.status !== 'open') return
    const { type, streamID } = frame.header
    // As yamux does itself, but for a description of each frame that it makes for a log which nobody writes.
    if (streamID !== 0 && (type === dataType || type === windowType)) handleForStream.call(muxer, frame)
    else handle.call(muxer, frame)
  }
  return muxer
}

/** Sends frames without the description of each that yamux makes for its log. */
function sendQuietly(yamux: YamuxParts): void {
  yamux.sendFrame = (header, data) => {
    const head = headOf(header)
    if (data === undefined) return yamux.send(head)
    data.prepend(head)
    return yamux.send(data)
  }
}

const headBytes = 12

/** Version 0, type, flags, stream and length, big-endian. */
function headOf({ type, flag, streamID, length }: Frame['header']): Uint8Array {
  const head = new Uint8Array(headBytes)
  const view = new DataView(head.buffer)
  view.setUint8(1, type)
  view.setUint16(2, flag)
  view.setUint32(4, streamID)
  view.setUint32(8, length)
  return head
}

/**
 * Yamux tells the sender after each frame that it may send as much again: a frame more, encrypted and written, for every
 * frame of gossip. Until a share of the window has been used nobody waits for that.
 */
function openWindowByParts(stream: YamuxStream): void {
  const update = stream.sendWindowUpdate
  assert(update !== undefined, 'yamux opens its windows elsewhere')
  stream.sendWindowUpdate = () => {
    // The first frame opens the stream, or says that it is open; when that was an answer, this is none.
    const isSaid = stream.state !== initState && stream.state !== openedState
    const isNeeded = !isSaid || stream.recvWindow - stream.recvWindowCapacity >= stream.recvWindow * windowShare
    if (isNeeded) update.call(stream)
  }
}

function count(
  muxer: StreamMuxer,
  { frame, stream }: { frame: Frame; stream: Stream | undefined },
  sink: MuxerSink
): void {
  const { type, flag, length } = frame.header
  const isSmall = length < smallFrameBytes
  const isTrifle = isSmall && type === windowType && flag === 0
  if (isSmall || type !== dataType) sink.onSmallFrame(muxer, isTrifle ? trifleWeight : 1)
  if (type === pingType) sink.onPing(muxer)
  else if ((flag & (synFlag | ackFlag)) === synFlag) sink.onOpen(muxer)
  if (type === dataType && length > 0 && !isRead(stream)) sink.onStray(muxer, length)
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

/** Streams are given to their protocol when both sides have agreed on one. */
function isRead(stream: Stream | undefined): boolean {
  return stream !== undefined && (stream.protocol !== '' || stream.direction === 'outbound')
}
