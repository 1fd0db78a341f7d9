import type { AbortOptions, Stream } from '@libp2p/interface'
import { concatBytes } from '@noble/hashes/utils.js'
import { ProtocolError } from './protocol-error.ts'

/** How much one side may send. */
export interface FrameBounds {
  /** Of one frame. */
  readonly bytesMax: number
  /** How many it sends; without end by default. What follows the last is counted, and not looked at. */
  readonly framesMax?: number
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
export function readFrame(stream: Stream, { bytesMax }: Pick<FrameBounds, 'bytesMax'>): Promise<Uint8Array> {
  const reader = new FrameReader({ bytesMax, framesMax: 1 })
  let isRead = false
  return new Promise((resolve, reject) => {
    stream.addEventListener('message', ({ data }) => {
      try {
        const [frame] = reader.take(data.subarray())
        if (frame === undefined) return
        isRead = true
        resolve(frame)
      } catch (error) {
        reject(error)
        stream.abort(error as Error)
      }
    })
    stream.addEventListener('close', ({ error }) => isRead || reject(error ?? endedEarly()), { once: true })
    onLast(stream, () => isRead || reject(endedEarly()))
  })
}

/**
 * All frames that a side sends, as many at a time as have come together. While whoever takes them is busy, the stream is
 * paused as soon as more comes, so that the other side waits.
 *
 * Ends when the other side has ended its own; throws {@link ProtocolError} `too-large` for a length over the bound and
 * `stream-broken` for an end within a frame, and what the stream ended with when that was no good end.
 */
export async function* readFrames(stream: Stream, bounds: FrameBounds): AsyncGenerator<Uint8Array[], void> {
  const reader = new FrameReader(bounds)
  let ready: Uint8Array[] = []
  let end: { readonly error?: unknown } | undefined
  let wake: (() => void) | undefined
  const endWith = (error?: unknown): void => {
    end ??= { error }
    wake?.()
  }
  stream.addEventListener('message', ({ data }) => {
    if (end !== undefined) return
    try {
      for (const frame of reader.take(data.subarray())) ready.push(frame)
    } catch (error) {
      return endWith(error)
    }
    if (wake === undefined && stream.readStatus === 'readable') stream.pause()
    if (ready.length > 0) wake?.()
  })
  stream.addEventListener('close', ({ error }) => endWith(error), { once: true })
  onLast(stream, () => stream.readStatus === 'paused' || endWith())
  for (;;) {
    // What has come is given even when it was the last, or something wrong came behind it.
    if (ready.length > 0) {
      const frames = ready
      ready = []
      yield frames
    } else if (end !== undefined) {
      if (end.error !== undefined) throw end.error
      if (reader.isWithin) throw endedEarly()
      return
    } else if (stream.readStatus === 'paused') {
      stream.resume()
      if (stream.remoteWriteStatus === 'closed') endWith()
    } else {
      await new Promise<void>((resolve) => (wake = resolve))
      wake = undefined
    }
  }
}

/** Writes a frame, and waits while the other side does not read. */
export async function writeFrame(stream: Stream, bytes: Uint8Array, options: AbortOptions = {}): Promise<void> {
  await writeFrames(stream, [bytes], options)
}

/** As {@link writeFrame}, several in one piece. */
export async function writeFrames(
  stream: Stream,
  frames: readonly Uint8Array[],
  options: AbortOptions = {}
): Promise<void> {
  const piece = concatBytes(...frames.flatMap((frame) => [lengthOf(frame.length), frame]))
  if (!stream.send(piece)) await stream.onDrain(options)
}

/** Takes what comes in pieces; see {@link readFrame} and {@link readFrames}. */
export class FrameReader {
  readonly #bytesMax: number
  #framesLeft: number
  /** Of a frame that is not there whole; grows with what comes, not with what its length promises. */
  #held: Uint8Array = noBytes
  #heldBytes = 0
  /** With so many something can be told: where a length ends, or a frame. */
  #neededBytes = 1
  #strayBytes = 0

  constructor({ bytesMax, framesMax = Infinity }: FrameBounds) {
    this.#bytesMax = bytesMax
    this.#framesLeft = framesMax
  }

  /** True when something of a frame has come and not all of it. */
  get isWithin(): boolean {
    return this.#heldBytes > 0
  }

  /**
   * @returns The frames that are whole with this part, in order; copies.
   * @throws {@link ProtocolError} `too-large`; frames of the same part are lost with it.
   */
  take(part: Uint8Array): Uint8Array[] {
    if (this.#framesLeft === 0) return this.#stray(part.length)
    const bytes = this.#heldBytes === 0 ? part : this.#hold(part)
    if (bytes.length < this.#neededBytes) {
      if (bytes === part) this.#hold(part)
      return []
    }
    const frames: Uint8Array[] = []
    let at = 0
    while (this.#framesLeft > 0) {
      const head = this.#headAt(bytes, at)
      this.#neededBytes = head === undefined ? bytes.length - at + 1 : head.bytes + head.length
      if (head === undefined || bytes.length - at < this.#neededBytes) break
      // Not `slice`: what comes from a socket is a Buffer, whose pieces are not their own.
      frames.push(new Uint8Array(bytes.subarray(at + head.bytes, at + this.#neededBytes)))
      at += this.#neededBytes
      this.#framesLeft--
    }
    const rest = bytes.subarray(at)
    this.#held = noBytes
    this.#heldBytes = 0
    if (this.#framesLeft === 0) this.#stray(rest.length)
    else if (rest.length > 0) this.#hold(rest)
    return frames
  }

  /** @returns All that is held then. */
  #hold(part: Uint8Array): Uint8Array {
    const length = this.#heldBytes + part.length
    if (length > this.#held.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#held.length))
      larger.set(this.#held.subarray(0, this.#heldBytes))
      this.#held = larger
    }
    this.#held.set(part, this.#heldBytes)
    this.#heldBytes = length
    return this.#held.subarray(0, length)
  }

  #stray(bytes: number): never[] {
    this.#strayBytes += bytes
    if (this.#strayBytes > strayBytesMax) throw new ProtocolError('too-large', 'more than the frames of a side')
    return []
  }

  #headAt(bytes: Uint8Array, at: number): { length: number; bytes: number } | undefined {
    let [length, read] = [0, 0]
    for (;;) {
      const byte = bytes[at + read]
      if (byte === undefined) return undefined
      length += (byte & 0x7f) * 128 ** read++
      if (length > this.#bytesMax) throw new ProtocolError('too-large', `a frame of more than ${this.#bytesMax} bytes`)
      if (byte < 0x80) return { length, bytes: read }
      if (read === lengthBytesMax) throw new ProtocolError('too-large', 'a length that does not end')
    }
  }
}

/** All frames are bounded far below what these can say. */
const lengthBytesMax = 4

/** What the transport may deliver with the same piece after the last frame. */
const strayBytesMax = 64 * 1024

const noBytes = new Uint8Array()

/** What came with the end is read after it: in this turn, or when a listener has been given what lies there. */
function onLast(stream: Stream, end: () => void): void {
  const onEnd = (): void => void setImmediate(end)
  if (stream.remoteWriteStatus === 'writable') stream.addEventListener('remoteCloseWrite', onEnd, { once: true })
  else onEnd()
}

function endedEarly(): ProtocolError {
  return new ProtocolError('stream-broken', 'the other side ended the stream before a frame was there')
}

function lengthOf(bytes: number): Uint8Array {
  const head: number[] = []
  let rest = bytes
  for (; rest >= 0x80; rest >>>= 7) head.push((rest & 0x7f) | 0x80)
  return Uint8Array.of(...head, rest)
}
