import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readVarint, varintLength, writeVarint } from '../src/varint.ts'
import { fromHex, toHex } from './session.ts'
import vectors from './vectors/protocol-v1.json' with { type: 'json' }

describe('varint', () => {
  it.each(vectors.varints)('writes $value as $hex and reads it back', ({ value, hex }) => {
    expect(toHex(written(value))).toBe(hex)
    expect(readVarint({ bytes: fromHex(hex), at: 0 })).toBe(value)
  })

  it.each(vectors.invalidVarints)('refuses "$hex": $code', ({ hex, code }) => {
    expect(() => readVarint({ bytes: fromHex(hex), at: 0 })).toThrow(expect.objectContaining({ code }))
  })

  it('reads what it wrote, and only that form', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = written(value)
        const cursor = { bytes, at: 0 }
        expect([readVarint(cursor), cursor.at]).toEqual([value, bytes.length])
      })
    )
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 10 }), (bytes) => {
        const cursor = { bytes, at: 0 }
        let value: number
        try {
          value = readVarint(cursor)
        } catch {
          return
        }
        expect(toHex(written(value))).toBe(toHex(bytes.subarray(0, cursor.at)))
      })
    )
  })
})

function written(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  const length = writeVarint(bytes, 0, value)
  expect(varintLength(value)).toBe(length)
  return bytes.subarray(0, length)
}
