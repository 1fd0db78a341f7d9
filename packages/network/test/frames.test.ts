import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFrameReader } from '../src/gossip/frames.ts'

const mebibyte = 2 ** 20

describe('frames of gossip', () => {
  it('are what was sent, however it is cut into pieces', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 })
    const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(messages, pieces, (list, sizes) => {
        const reader = createFrameReader()
        const frames = cut(joined(list.map(framed)), sizes).flatMap((part) => reader.take(part))
        expect(frames.map((frame) => [...frame])).toEqual(list.map((message) => [...message]))
      })
    )
  })

  it('are given away with the piece that completes them', () => {
    const reader = createFrameReader()
    expect(reader.take(Uint8Array.of(2, 7))).toEqual([])
    expect(reader.take(Uint8Array.of(8, 1, 9, 3))).toEqual([Uint8Array.of(7, 8), Uint8Array.of(9)])
    expect(reader.take(Uint8Array.of(1, 1))).toEqual([])
    expect(reader.take(Uint8Array.of(1, 0))).toEqual([Uint8Array.of(1, 1, 1), new Uint8Array()])
  })

  it('are not copied when they come whole', () => {
    const piece = joined([framed(new Uint8Array(300)), framed(new Uint8Array(5))])
    const buffers = createFrameReader()
      .take(piece)
      .map(({ buffer }) => buffer)
    expect(buffers).toEqual([piece.buffer, piece.buffer])
  })

  it('have four mebibytes at most, and a length that ends', () => {
    const largest = createFrameReader()
    expect(largest.take(lengthOf(4 * mebibyte))).toEqual([])
    expect(() => createFrameReader().take(lengthOf(4 * mebibyte + 1))).toThrow(RangeError)
    const endless = createFrameReader()
    const zeros = Array.from({ length: 9 }, () => codeOf(() => endless.take(Uint8Array.of(0x80))))
    expect(zeros.indexOf('RangeError')).toBe(7)
  })

  it('of four mebibytes come together from a thousand pieces', () => {
    const reader = createFrameReader()
    reader.take(lengthOf(4 * mebibyte))
    const piece = new Uint8Array(4096)
    const frames = Array.from({ length: 1024 }, () => reader.take(piece)).flat()
    expect(frames.map(({ length }) => length)).toEqual([4 * mebibyte])
  })
})

function lengthOf(bytes: number): Uint8Array {
  const [low, middle, high, top] = [0, 7, 14, 21].map((shift) => (bytes >> shift) & 0x7f)
  return Uint8Array.of((low ?? 0) | 0x80, (middle ?? 0) | 0x80, (high ?? 0) | 0x80, top ?? 0)
}

function framed(message: Uint8Array): Uint8Array {
  const { length } = message
  return joined([length < 128 ? Uint8Array.of(length) : Uint8Array.of((length & 0x7f) | 0x80, length >> 7), message])
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]))
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let [at, index] = [0, 0]; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  return parts
}

function codeOf(task: () => unknown): string | undefined {
  try {
    task()
    return undefined
  } catch (error) {
    return (error as Error).name
  }
}
