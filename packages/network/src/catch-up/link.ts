import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
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
  const inTime = createClock(signal)
  const reads = createTurns()
  const writes = createTurns()
  const read = (): Promise<Uint8Array> =>
    reads(async () => (await attempt(inTime((options) => frames.read(options)))).subarray())
  const write = (frame: Uint8Array): Promise<void> =>
    writes(() => attempt(inTime((options) => frames.write(frame, options))))
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

/**
 * Gives each frame its time, and ends the link with the first that takes longer. One signal for all of them: two of its
 * own for each frame, and a timer that fires when all is long over, were a sixth of what a small answer costs.
 */
function createClock(signal: AbortSignal): <T>(task: (options: { signal: AbortSignal }) => Promise<T>) => Promise<T> {
  const late = new AbortController()
  const options = { signal: AbortSignal.any([signal, late.signal]) }
  return async (task) => {
    const timer = setTimeout(() => late.abort(new Error('a frame took too long')), frameTimeoutMs).unref()
    try {
      return await task(options)
    } finally {
      clearTimeout(timer)
    }
  }
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
