import { compareBytes, decodeCanonical, encodeCanonical, sameBytes } from '@souk/records'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { concat, linkTo } from './generators/parts.ts'

const bytesMax = 64 * 1024
const codeOf = (bytes: Uint8Array): string => {
  try {
    decodeCanonical(bytes, { bytesMax })
    return 'ok'
  } catch (error) {
    return (error as { code: string }).code
  }
}
const nested = (levels: number): unknown => (levels === 0 ? 0 : [nested(levels - 1)])
const brackets = (levels: number): number[] => Array.from({ length: levels }, () => 0x81)
const depthAs = (wrap: (inner: Uint8Array) => Uint8Array, levels: number): Uint8Array =>
  levels === 0 ? Uint8Array.of(0) : wrap(depthAs(wrap, levels - 1))

describe('depth', () => {
  test.each([
    ['eight arrays', encodeCanonical(nested(8)), 'ok'],
    ['nine arrays', encodeCanonical(nested(9)), 'too-deep'],
    ['eight arrays around an empty map', Uint8Array.of(...brackets(8), 0xa0), 'too-deep'],
    ['seven arrays around an empty map', Uint8Array.of(...brackets(7), 0xa0), 'ok'],
    ['nine maps', depthAs((inner) => concat([0xa1, 0x61, 0x61], inner), 9), 'too-deep'],
    ['many arrays side by side', encodeCanonical(Array.from({ length: 100 }, () => [[]])), 'ok'],
    ['a byte string full of brackets', encodeCanonical(new Uint8Array(100).fill(0x81)), 'ok'],
    ['a text full of brackets', encodeCanonical('\u0081'.repeat(100)), 'ok'],
    ['a link beside arrays', encodeCanonical([linkTo('a'), nested(7)]), 'ok'],
    ['an array that says it has 2^32 items', Uint8Array.of(0x9a, 255, 255, 255, 255), 'not-cbor'],
    ['a text that says it has 2^53 bytes', Uint8Array.of(0x7b, 0, 0x20, 0, 0, 0, 0, 0, 0), 'not-cbor']
  ])('%s', (_, bytes, code) => expect(codeOf(bytes)).toBe(code))
})

describe('names that JavaScript objects have', () => {
  test.each(['__proto__', 'constructor', 'toString', 'asCID', '/', 'bytes'])(
    'a map may or may not use "%s"',
    (name) => {
      const bytes = concat([0xa1, 0x60 | name.length], new TextEncoder().encode(name), encodeCanonical({ polluted: 1 }))
      expect(['ok', 'not-canonical']).toContain(codeOf(bytes))
      expect(({} as { polluted?: number }).polluted).toBeUndefined()
    }
  )

  test('a map that looks like a link to the codec is refused or stays a map', () => {
    const lookalike = { '/': 1, bytes: 1, version: 1, code: 0x55, multihash: { code: 0x12 } }
    const names = Object.keys(lookalike).toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))
    const bytes = concat(
      [0xa5],
      ...names.flatMap((name) => [encodeCanonical(name), encodeCanonical(lookalike[name as keyof typeof lookalike])])
    )
    expect(codeOf(bytes)).toBe('not-canonical')
  })
})

test('what is decoded is encoded to the same bytes, and shares no memory with them', () => {
  const values = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string({ unit: 'grapheme' }),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Number.isInteger(n)),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 40 }),
      fc.string().map(linkTo),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(
        fc.string().filter((name) => name !== '__proto__'),
        tie('value'),
        { maxKeys: 4 }
      )
    )
  })).value
  fc.assert(
    fc.property(values, (value) => {
      const bytes = encodeCanonical(value)
      const copy = new Uint8Array(bytes)
      const decoded = decodeCanonical(copy, { bytesMax })
      copy.fill(0)
      expect(encodeCanonical(decoded)).toEqual(bytes)
    }),
    { numRuns: 500 }
  )
})

test('whatever decodes is its value’s one form', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      if (codeOf(bytes) !== 'ok') return
      expect(encodeCanonical(decodeCanonical(bytes, { bytesMax }))).toEqual(bytes)
    }),
    { numRuns: 5000 }
  )
})

test('a link is a link again', () => {
  const link = linkTo('block')
  const { here } = decodeCanonical(encodeCanonical({ here: link }), { bytesMax }) as { here: CID }
  expect(CID.asCID(here)?.equals(link)).toBe(true)
})

test('bytes are compared byte by byte, shorter first', () => {
  const sorted = [[], [0], [0, 0], [0, 1], [1], [255]].map((bytes) => Uint8Array.from(bytes))
  expect(sorted.toReversed().toSorted(compareBytes)).toEqual(sorted)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
      expect(sameBytes(a, b)).toBe(compareBytes(a, b) === 0)
      expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(Buffer.compare(a, b)))
    })
  )
})
