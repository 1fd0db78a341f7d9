import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader } from '../src/frame.ts'
import { cut } from './support/pieces.ts'

const bytesMax = 1000
const slackBytes = 64 * 1024

describe('a reader of a frame', () => {
  it('gives what is in it, once, however it is cut, and not what follows', () => {
    const contents = fc.uint8Array({ maxLength: bytesMax })
    const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(contents, fc.uint8Array({ maxLength: 50 }), pieces, (content, following, sizes) => {
        const reader = new FrameReader({ bytesMax, framesMax: 1 })
        const taken = cut(joined(framed(content), following), sizes).flatMap((part) => reader.take(part))
        expect(taken).toEqual([content])
      })
    )
  })

  it('gives all frames of a side, in order, however they are cut, and knows whether it is within one', () => {
    const contents = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 })
    const pieces = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(contents, fc.nat({ max: 1 }), pieces, (all, missing, sizes) => {
        const bytes = joined(...all.map(framed))
        const reader = new FrameReader({ bytesMax })
        const taken = cut(bytes.subarray(0, bytes.length - missing), sizes).flatMap((part) => reader.take(part))
        const isCut = missing > 0 && all.length > 0
        expect(taken).toEqual(isCut ? all.slice(0, -1) : all)
        // All that was cut off a frame of nothing is its length.
        expect(reader.isWithin).toBe(isCut && all.at(-1)!.length > 0)
      })
    )
  })

  it('gives a frame of many kilobytes that comes byte by byte', () => {
    const content = new Uint8Array(128 * 1024).fill(3)
    const { length } = content
    const head = Uint8Array.of((length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14)
    const reader = new FrameReader({ bytesMax: length })
    const taken: Uint8Array[] = []
    for (const byte of joined(head, content)) taken.push(...reader.take(Uint8Array.of(byte)))
    expect(taken).toEqual([content])
  })

  it('gives bytes of their own, also of what a socket gives', () => {
    const bytes = Buffer.from(framed(new Uint8Array(10)))
    const reader = new FrameReader({ bytesMax })
    const frames = [...reader.take(bytes.subarray(0, -1)), ...reader.take(bytes.subarray(-1)), ...reader.take(bytes)]
    bytes.fill(1)
    expect(frames).toEqual([new Uint8Array(10), new Uint8Array(10)])
  })

  it('takes a length at its bound, and refuses one above it before anything of it has come', () => {
    expect(new FrameReader({ bytesMax }).take(framed(new Uint8Array(bytesMax)))[0]?.length).toBe(bytesMax)
    const head = framed(new Uint8Array(bytesMax + 1)).subarray(0, 2)
    expect(() => new FrameReader({ bytesMax }).take(head)).toThrow(expect.objectContaining({ code: 'too-large' }))
  })

  it('refuses a length that does not end, however little it says', () => {
    const endless = new FrameReader({ bytesMax })
    const dripping = (): unknown => Array.from({ length: 5 }, () => endless.take(Uint8Array.of(0x80)))
    expect(dripping).toThrow(expect.objectContaining({ code: 'too-large' }))
  })

  it('keeps no more than one frame and what may come with it', () => {
    const reader = new FrameReader({ bytesMax, framesMax: 1 })
    expect(reader.take(framed(new Uint8Array(10)))[0]?.length).toBe(10)
    expect(reader.take(new Uint8Array(slackBytes))).toEqual([])
    expect(() => reader.take(new Uint8Array(bytesMax))).toThrow(expect.objectContaining({ code: 'too-large' }))
  })
})

function framed(content: Uint8Array): Uint8Array {
  const { length } = content
  return joined(length < 128 ? Uint8Array.of(length) : Uint8Array.of((length & 0x7f) | 0x80, length >> 7), content)
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
