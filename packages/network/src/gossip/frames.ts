import { rpcBytesMax, rpcLengthBytesMax } from './limits.ts'

/** Takes a stream apart into the frames that stand on it: an unsigned varint for the length, and so many bytes. */
export interface FrameReader {
  /**
   * @returns The frames that are complete now. They share memory with what came.
   * @throws RangeError at a length that no frame has.
   */
  take(chunk: Uint8Array): Uint8Array[]
}

/** Copies only what comes in pieces, each byte once. */
export function createFrameReader(): FrameReader {
  let parts: Uint8Array[] = []
  let partsBytes = 0
  /** No frame is complete before so many bytes are there. */
  let neededBytes = 1
  return {
    take(chunk) {
      parts.push(chunk)
      partsBytes += chunk.length
      if (partsBytes < neededBytes) return []
      const bytes = parts.length === 1 ? chunk : joined(parts, partsBytes)
      const frames: Uint8Array[] = []
      let at = 0
      for (;;) {
        const head = lengthAt(bytes, at)
        neededBytes = head === undefined ? bytes.length - at + 1 : head.sizeBytes + head.length
        if (head === undefined || at + neededBytes > bytes.length) break
        frames.push(bytes.subarray(at + head.sizeBytes, at + neededBytes))
        at += neededBytes
      }
      partsBytes = bytes.length - at
      parts = partsBytes === 0 ? [] : [bytes.subarray(at)]
      return frames
    }
  }
}

/** Undefined while its end is not there. */
function lengthAt(bytes: Uint8Array, at: number): { length: number; sizeBytes: number } | undefined {
  let length = 0
  for (let index = 0; index < rpcLengthBytesMax; index++) {
    const byte = bytes[at + index]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) * 128 ** index
    if (length > rpcBytesMax) break
    if (byte < 0x80) return { length, sizeBytes: index + 1 }
  }
  throw new RangeError(`a frame of gossip has at most ${rpcBytesMax} bytes`)
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
