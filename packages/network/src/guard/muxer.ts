import assert from 'node:assert'
import type { MessageStream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { smallFrameBytes, unsentBytesMax } from './limits.ts'

/** Told of what a multiplexer takes in below all protocols. */
export interface MuxerSink {
  /** A frame that carries little or nothing: a ping, a window, the end of a stream. */
  onSmallFrame(muxer: StreamMuxer): void
  /** The other side opens a stream. */
  onOpen(muxer: StreamMuxer): void
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
  readonly header: { readonly flag: number; readonly length: number; readonly type: number }
}

const [dataType, synFlag, ackFlag] = [0, 1, 2]

function watch(muxer: StreamMuxer, sink: MuxerSink): StreamMuxer {
  const framed = muxer as StreamMuxer & { handleFrame?: (frame: Frame) => void }
  const handle = framed.handleFrame
  assert(handle !== undefined, 'yamux takes in its frames elsewhere')
  framed.handleFrame = (frame) => {
    const { type, flag, length } = frame.header
    if (type !== dataType || length < smallFrameBytes) sink.onSmallFrame(muxer)
    if ((flag & synFlag) !== 0 && (flag & ackFlag) === 0 && type !== pingType) sink.onOpen(muxer)
    if (muxer.status === 'open') handle.call(muxer, frame)
  }
  return muxer
}

const pingType = 2
