/**
 * The frames of `/souk/block/1`, after docs/protocol/images.md section 2.
 */
import type { Stream } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import { cidBytes, decodeImageCid } from './cid.ts'
import { ImagesError } from './errors.ts'
import { lingerMs } from './limits.ts'

export const blockProtocol = '/souk/block/1'

/** What one peer asks another. */
export interface BlockQuestion {
  cid: CID
  /** Most bytes the asker takes. */
  bytesMax: number
}

/** Status byte of an answer. */
export const blockStatus = { here: 0, notHeld: 1, tooLarge: 2, busy: 3 } as const

const questionBytes = cidBytes + 4
const headBytes = 5

export function encodeQuestion({ cid, bytesMax }: BlockQuestion): Uint8Array {
  const frame = new Uint8Array(questionBytes)
  frame.set(cid.bytes)
  new DataView(frame.buffer).setUint32(cidBytes, bytesMax)
  return frame
}

/** An answer's head and, for status `here`, the block. */
export function encodeAnswer(status: number, block: Uint8Array = new Uint8Array()): Uint8Array {
  const frame = new Uint8Array(headBytes + block.length)
  frame[0] = status
  new DataView(frame.buffer).setUint32(1, block.length)
  frame.set(block, headBytes)
  return frame
}

/** @throws {@link ImagesError} `block-request-malformed` unless exactly one question of canonical form arrives. */
export async function readQuestion(stream: Stream): Promise<BlockQuestion> {
  const frame = new Uint8Array(questionBytes)
  let length = 0
  const isOrderlyEnd = watchEnd(stream)
  for await (const chunk of stream) {
    const bytes = chunk.subarray()
    if (length + bytes.length > questionBytes) throw malformedQuestion(`more than ${questionBytes} bytes`)
    frame.set(bytes, length)
    length += bytes.length
    if (length === questionBytes) return decodeQuestion(frame)
  }
  if (!isOrderlyEnd()) throw new Error('The stream was lost before its question')
  throw malformedQuestion(`${length} bytes instead of ${questionBytes}`)
}

/**
 * Reads an answer to the end of its block. No byte of the block is buffered before its length is known to be allowed.
 *
 * @throws {@link ImagesError} `block-refused` or `block-busy` for an honest no; `block-oversize`, `block-malformed`,
 *   `block-trailing` or `block-truncated` for what docs/protocol/images.md blames on the answerer; whatever ended the
 *   stream when it was reset.
 */
export async function readAnswer(stream: Stream, bytesMax: number): Promise<Uint8Array> {
  const head = new Uint8Array(headBytes)
  let block: Uint8Array | undefined
  let length = 0
  const isOrderlyEnd = watchEnd(stream)
  for await (const chunk of stream) {
    let bytes = chunk.subarray()
    if (block === undefined) {
      const taken = bytes.subarray(0, headBytes - length)
      head.set(taken, length)
      length += taken.length
      if (length < headBytes) continue
      block = new Uint8Array(lengthIn(head, bytesMax))
      length = 0
      bytes = bytes.subarray(taken.length)
    }
    if (length + bytes.length > block.length) throw new ImagesError('block-trailing', 'Bytes follow the block')
    block.set(bytes, length)
    length += bytes.length
    if (length === block.length) return block
  }
  const message = `The answer ended after ${length} of ${block?.length ?? headBytes} bytes`
  throw isOrderlyEnd() ? new ImagesError('block-truncated', message) : new Error(message)
}

/** Sees a stream to its end: what its peer has not ended within {@link lingerMs} is reset. Never throws. */
export function finish(stream: Stream): void {
  if (isOver(stream)) return
  const timer = setTimeout(() => stream.abort(new Error('The peer left its end open')), lingerMs)
  timer.unref()
  stream.addEventListener('close', () => clearTimeout(timer), { once: true })
  stream.close().catch((cause: unknown) => stream.abort(asError(cause)))
}

/** Resets the stream when the signal aborts; the result takes the listener off again. */
export function abortWith(stream: Stream, signal: AbortSignal): () => void {
  const onAbort = (): void => stream.abort(asError(signal.reason))
  signal.addEventListener('abort', onAbort, { once: true })
  return () => signal.removeEventListener('abort', onAbort)
}

export function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause))
}

/**
 * Whether the peer ended its side itself, now or before we came to look. A lost connection ends an iteration over the
 * stream too, without an error, and is nobody's doing.
 */
function watchEnd(stream: Stream): () => boolean {
  let isOrderly = stream.status === 'open' && stream.remoteWriteStatus === 'closed'
  stream.addEventListener('remoteCloseWrite', () => (isOrderly = true), { once: true })
  return () => isOrderly
}

function isOver(stream: Stream): boolean {
  return stream.status === 'closed' || stream.status === 'aborted' || stream.status === 'reset'
}

function decodeQuestion(frame: Uint8Array): BlockQuestion {
  try {
    const cid = decodeImageCid(frame.subarray(0, cidBytes))
    return { cid, bytesMax: new DataView(frame.buffer).getUint32(cidBytes) }
  } catch (cause) {
    throw malformedQuestion('not an image CID', cause)
  }
}

function malformedQuestion(why: string, cause?: unknown): ImagesError {
  return new ImagesError('block-request-malformed', `A block is asked for by its CID and a bound: ${why}`, { cause })
}

function lengthIn(head: Uint8Array, bytesMax: number): number {
  const status = head[0]
  const length = new DataView(head.buffer).getUint32(1)
  if (status === blockStatus.here) {
    if (length > bytesMax) throw new ImagesError('block-oversize', `${length} bytes offered, ${bytesMax} asked for`)
    if (length === 0) throw new ImagesError('block-malformed', 'An image of no bytes')
    return length
  }
  if (length !== 0 || status === undefined || status > blockStatus.busy) {
    throw new ImagesError('block-malformed', `Status ${status} with ${length} bytes is no answer`)
  }
  if (status === blockStatus.busy) throw new ImagesError('block-busy', 'The peer is busy; try later')
  throw new ImagesError('block-refused', 'The peer does not have this block, or not within the bound')
}
