import { cleanText, isCleanLine, isCleanText } from '@souk/records'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

describe('what is clean', () => {
  test.each([
    ['plain', 'A lens', true, true],
    ['other scripts', 'عدسة 镜头 👩🏽‍🔧', true, true],
    ['a right-to-left mark', 'abc\u200fdef', true, true],
    ['two lines', 'a\nb', false, true],
    ['a tab', 'a\tb', false, true],
    ['a carriage return', 'a\r\nb', false, false],
    ['a null', 'a\0b', false, false],
    ['next line (C1)', 'a\u0085b', false, false],
    ['a line separator', 'a\u2028b', false, false],
    ['a right-to-left override', 'a\u202eb', false, false],
    ['an isolate', 'a\u2066b', false, false],
    ['a byte order mark', '\ufeffab', false, false],
    ['half a surrogate pair', 'a\ud83d', false, false],
    ['a noncharacter', 'a\uffff', false, false],
    ['NFD', 'Ko\u0308ln', false, false],
    ['space at the end', 'ab ', false, true],
    ['nothing but a space', ' ', false, true]
  ])('%s', (_, text, asLine, asText) => {
    expect(isCleanLine(text)).toBe(asLine)
    expect(isCleanText(text)).toBe(asText)
  })
})

test.each([
  ['Ko\u0308ln\r\n', 'Köln'],
  ['a\rb\u2028c', 'a\nb\nc'],
  ['lens\u202egnp.exe', 'lensgnp.exe'],
  ['\ufeff a\0b ', 'ab'],
  ['o\u202e\u0308', 'ö'],
  ['\ud83d', '']
])('cleaning %j gives %j', (text, cleaned) => expect(cleanText(text)).toBe(cleaned))

test('whatever a person types is clean after cleaning, and stays as it is when cleaned again', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' })), (text) => {
      const cleaned = cleanText(text)
      expect(isCleanText(cleaned)).toBe(true)
      expect(cleanText(cleaned)).toBe(cleaned)
    }),
    { numRuns: 2000 }
  )
})
