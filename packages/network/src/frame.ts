import type { Stream } from '@libp2p/interface'
import { ProtocolError } from './protocol-error.ts'

/** How much one side may send of a frame. */
export interface FrameBounds {
  readonly bytesMax: number
}

/**
 * The one frame that a side of an exchange sends: its length as an unsigned varint, and as many bytes. Reading it a byte
 * at a time, as libp2p's reader does, takes a promise, a list and an error for each byte of the length.
 *
 * Rejects with {@link ProtocolError} `too-large` for a length over the bound and for bytes beyond what a frame within it
 * can bring, and with what the stream ended with when it ends too soon; it is for others to end it in time.
 *
 * @returns A copy, which is the caller's.
 */
export function readFrame(stream: Stream, { bytesMax }: FrameBounds): Promise<Uint8Array> {
  const reader = new FrameReader(bytesMax)
  let isRead = false
  return new Promise((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      try {
        const frame = reader.take(data.subarray())
        if (frame === undefined) return
        isRead = true
        resolve(frame)
      } catch (error) {
        reject(error)
        stream.abort(error as Error)
      }
    })
    stream.addEventListener('close', ({ error }) => isRead || reject(error ?? endedEarly()), { once: true })
    // What came with the end is read after it: in this turn, or when the listener above has been given what lies there.
    const end = (): void => {
      if (!isRead) setImmediate(() => isRead || reject(endedEarly()))
    }
    if (stream.remoteWriteStatus === 'writable') stream.addEventListener('remoteCloseWrite', end, { once: true })
    else end()
  })
}

/** Writes a frame, and waits while the other side does not read. */
export async function writeFrame(stream: Stream, bytes: Uint8Array, options: { signal: AbortSignal }): Promise<void> {
  const head = lengthOf(bytes.length)
  const frame = new Uint8Array(head.length + bytes.length)
  frame.set(head)
  frame.set(bytes, head.length)
  if (!stream.send(frame)) await stream.onDrain(options)
}

/** Takes what comes in pieces; see {@link readFrame}. */
export class FrameReader {
  readonly #bytesMax: number
  #parts: Uint8Array[] = []
  #bytes = 0
  #isOver = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /**
   * @returns The frame, once it is there.
   * @throws {@link ProtocolError} `too-large`.
   */
  take(part: Uint8Array): Uint8Array | undefined {
    this.#bytes += part.length
    if (this.#bytes > this.#bytesMax + slackBytes) throw new ProtocolError('too-large', 'more than one frame of a side')
    if (this.#isOver) return undefined
    this.#parts.push(part)
    const head = this.#head()
    if (head === undefined || this.#bytes < head.bytes + head.length) return undefined
    this.#isOver = true
    const bytes = joined(this.#parts, this.#bytes)
    this.#parts = []
    // Not `slice`: what comes from a socket is a Buffer, whose pieces are not their own.
    return new Uint8Array(bytes.subarray(head.bytes, head.bytes + head.length))
  }

  #head(): { length: number; bytes: number } | undefined {
    let [length, read] = [0, 0]
    for (const part of this.#parts) {
      for (const byte of part) {
        length += (byte & 0x7f) * 128 ** read++
        if (length > this.#bytesMax)
          throw new ProtocolError('too-large', `a frame of more than ${this.#bytesMax} bytes`)
        if (byte < 0x80) return { length, bytes: read }
        if (read === lengthBytesMax) throw new ProtocolError('too-large', 'a length that does not end')
      }
    }
    return undefined
  }
}

/** All frames are bounded far below what these can say. */
const lengthBytesMax = 4

/** A length prefix, and what the transport may deliver with the same piece after the frame. */
const slackBytes = 64 * 1024

function endedEarly(): ProtocolError {
  return new ProtocolError('stream-broken', 'the other side ended the stream before a frame was there')
}

function lengthOf(bytes: number): Uint8Array {
  const head: number[] = []
  let rest = bytes
  for (; rest >= 0x80; rest >>>= 7) head.push((rest & 0x7f) | 0x80)
  return Uint8Array.of(...head, rest)
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = parts
  if (parts.length === 1 && first !== undefined) return first
  const bytes = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
