import { readFileSync } from 'node:fs'
import { decode, encode } from '@ipld/dag-cbor'
import { sameBytes } from '@souk/records'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { describe, expect, test } from 'vitest'
import { readPlain } from '../src/plain.ts'
import { concat, linkTo } from './generators/parts.ts'

/** What the codec makes of bytes that are its value's one form, else undefined: the answer that needs two passes. */
function slowly(bytes: Uint8Array): unknown {
  try {
    const value = decode(bytes)
    return sameBytes(encode(value), bytes) ? value : undefined
  } catch {
    return undefined
  }
}

const names = ['a', 'b', 'bb', '', 'é', '1', '10', '2', '__proto__', 'constructor', 'toString', 'asCID', '/', 'bytes']
const values: fc.Arbitrary<unknown> = fc
  .letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.string({ unit: 'grapheme' }),
      fc.string({ minLength: 250, maxLength: 300 }),
      fc.constantFrom('\u{feff}', '\u{feff}a', '\u0000', '\u{fffd}'),
      fc.maxSafeInteger(),
      fc.constantFrom(23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
      fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n - 1n }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.uint8Array({ maxLength: 40 }),
      fc.string().map(linkTo),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), tie('value'), { maxKeys: 5 })
    )
  }))
  .value.filter(isEncodable)

/** The codec takes a map whose "/" is its "bytes" for a link, whatever they are, and fails. */
function isEncodable(value: unknown): boolean {
  try {
    return encode(value).length > 0
  } catch {
    return false
  }
}

/** Expects that what is not undefined is what the codec says, in its one form. */
function expectAgreement(bytes: Uint8Array): void {
  const plain = readPlain(bytes)
  if (plain === undefined) return
  expect(sameBytes(encode(plain), bytes)).toBe(true)
  expect(plain).toEqual(slowly(bytes))
}

test('says of what is canonical what the codec says', () => {
  fc.assert(
    fc.property(values, (value) => {
      const bytes = encode(value)
      expect([undefined, slowly(bytes)]).toContainEqual(readPlain(bytes))
      expectAgreement(bytes)
    }),
    { numRuns: 1000 }
  )
})

test('takes no bytes for canonical that are not', () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom('set', 'insert', 'delete')), {
    minLength: 1,
    maxLength: 3
  })
  fc.assert(
    fc.property(values, edits, (value, changes) => {
      const bytes = [...encode(value)]
      for (const [at, byte, how] of changes) {
        if (how === 'insert') bytes.splice(at % (bytes.length + 1), 0, byte)
        else bytes.splice(at % bytes.length || 0, 1, ...(how === 'set' ? [byte] : []))
      }
      expectAgreement(Uint8Array.from(bytes))
    }),
    { numRuns: 5000 }
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 10 }), expectAgreement), { numRuns: 5000 })
})

test('shares no memory with what it read', () => {
  const bytes = encode({ link: linkTo('block'), bytes: Uint8Array.of(1, 2, 3) })
  const copy = new Uint8Array(bytes)
  const plain = readPlain(copy)
  copy.fill(0)
  expect(encode(plain)).toEqual(bytes)
})

describe('leaves to the codec', () => {
  const link = concat([0xd8, 42, 0x58, 37, 0], linkTo('block').bytes)
  test.each([
    ['a float', encode(0.5)],
    ['a number of 64 bits', encode(2n ** 60n)],
    ['a negative number below -2^53', encode(-(2n ** 60n))],
    ['nine lists', Uint8Array.of(...Array.from({ length: 9 }, () => 0x81), 0)],
    ['an empty map within eight lists', Uint8Array.of(...Array.from({ length: 8 }, () => 0x81), 0xa0)],
    ['a name of every object', encode({ constructor: 1 })],
    ['a name that sets a prototype', concat([0xa1, 0x69], new TextEncoder().encode('__proto__'), [0xa0])],
    ['what looks like a link to the codec', encode({ '/': 1 })],
    ['names out of order', Uint8Array.of(0xa2, 0x61, 0x62, 0, 0x61, 0x61, 0)],
    ['a longer name before a shorter', Uint8Array.of(0xa2, 0x62, 0x61, 0x61, 0, 0x61, 0x62, 0)],
    ['a name twice', Uint8Array.of(0xa2, 0x61, 0x61, 0, 0x61, 0x61, 0)],
    ['a number as a name', Uint8Array.of(0xa1, 1, 0)],
    ['undefined', Uint8Array.of(0xf7)],
    ['a list of indefinite length', Uint8Array.of(0x9f, 0, 0xff)],
    ['23 in two bytes', Uint8Array.of(0x18, 23)],
    ['255 in three bytes', Uint8Array.of(0x19, 0, 255)],
    ['65,535 in five bytes', Uint8Array.of(0x1a, 0, 0, 255, 255)],
    ['2^32 - 1 in nine bytes', Uint8Array.of(0x1b, 0, 0, 0, 0, 255, 255, 255, 255)],
    ['a byte order mark', encode('\u{feff}')],
    ['a text of broken UTF-8', Uint8Array.of(0x61, 0xff)],
    ['an encoded surrogate', Uint8Array.of(0x63, 0xed, 0xa0, 0x80)],
    ['a text that ends beyond the end', Uint8Array.of(0x62, 0x61)],
    ['a list that ends beyond the end', Uint8Array.of(0x82, 0)],
    ['a list of 2^32 items', Uint8Array.of(0x9a, 255, 255, 255, 255)],
    ['a byte behind the end', Uint8Array.of(0, 0)],
    ['nothing at all', new Uint8Array()],
    ['another tag', concat([0xd8, 43], link.subarray(2))],
    ['a tag in three bytes', concat([0xd9, 0, 42], link.subarray(2))],
    ['a link without its zero', concat([0xd8, 42, 0x58, 36], linkTo('block').bytes)],
    ['a link that is a text', Uint8Array.of(0xd8, 42, 0x61, 0)],
    ['a link that is none', Uint8Array.of(0xd8, 42, 0x43, 0, 1, 2)]
  ])('%s', (_, bytes) => expect(readPlain(bytes)).toBeUndefined())
})

test('reads every record that is sound without the codec, but for one with floats', () => {
  const path = new URL('./vectors/records.json', import.meta.url)
  const { valid } = JSON.parse(readFileSync(path, 'utf8')) as { valid: { name: string; bytesHex: string }[] }
  const unread = valid.filter(({ bytesHex }) => {
    const envelope = readPlain(new Uint8Array(Buffer.from(bytesHex, 'hex'))) as { body: Uint8Array } | undefined
    return envelope === undefined || readPlain(envelope.body) === undefined
  })
  expect(unread.map(({ name }) => name)).toEqual(['listing with a field of a later version'])
  expect(valid.length).toBeGreaterThan(10)
})

test('a link is a link again', () => {
  const link = linkTo('block')
  const { here } = readPlain(encode({ here: link })) as { here: CID }
  expect(CID.asCID(here)?.equals(link)).toBe(true)
})
