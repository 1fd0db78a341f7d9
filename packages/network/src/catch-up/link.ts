import type { Stream } from '@libp2p/interface'
import { type LengthPrefixedStream, lpStream } from '@libp2p/utils'
import { SyncError } from './error.ts'
import { endGraceMs, frameBytesMax, frameTimeoutMs } from './limits.ts'

/** Frames over one stream, either side. Writing waits until the other side takes the bytes. */
export interface Link {
  /** @throws {@link SyncError} `broken`, `frame-too-large` */
  read(): Promise<Uint8Array>
  write(frame: Uint8Array): Promise<void>
  /** Writes, and reads the next answer in turn; several may be under way. */
  ask(frame: Uint8Array): Promise<Uint8Array>
}

/**
 * Bounded in size before a byte of a frame is kept, and in time for each frame.
 *
 * @param signal - Ends everything under way.
 */
export function createLink(stream: Stream, signal: AbortSignal): Link {
  const frames = lpStream(stream, { maxDataLength: frameBytesMax })
  const reads = createTurns()
  const writes = createTurns()
  const read = (): Promise<Uint8Array> => reads(() => readFrame(frames, signal))
  const write = (frame: Uint8Array): Promise<void> =>
    writes(() => attempt(frames.write(frame, { signal: deadline(signal) })))
  return {
    read,
    write,
    ask: async (frame) => {
      await write(frame)
      return read()
    }
  }
}

/** Ends our side, and resets a stream whose other side is not ended in time: half-open ones would add up. */
export async function endStream(stream: Stream): Promise<void> {
  await stream.close({ signal: AbortSignal.timeout(endGraceMs) })
  if (stream.status !== 'open' && stream.status !== 'closing') return
  const timer = setTimeout(() => stream.abort(new Error('the other side did not end the stream')), endGraceMs)
  timer.unref()
  stream.addEventListener('close', () => clearTimeout(timer), { once: true })
}

async function readFrame(frames: LengthPrefixedStream, signal: AbortSignal): Promise<Uint8Array> {
  const frame = await attempt(frames.read({ signal: deadline(signal) }))
  return frame.subarray()
}

function deadline(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(frameTimeoutMs)])
}

async function attempt<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (cause) {
    const name = (cause as Error).name
    if (name === 'InvalidDataLengthError' || name === 'InvalidDataLengthLengthError') {
      throw new SyncError('frame-too-large', `a frame above ${frameBytesMax} bytes`, { cause })
    }
    if (name === 'InvalidMessageLengthError') throw new SyncError('bad-frame', 'a frame has no length', { cause })
    throw new SyncError('broken', `the stream broke off: ${(cause as Error).message}`, { cause })
  }
}

/** Runs tasks one after the other; none starts after one has failed. */
export function createTurns(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const turn = last.then(task)
    last = turn
    turn.catch(() => {})
    return turn
  }
}
