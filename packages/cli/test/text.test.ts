import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { moneyText, printable, printableJson, printableLines, timeText, tokenText } from '../src/text.ts'
import { totalText } from '../src/views.ts'

/** What a terminal could obey or hide, tested one by one rather than with the pattern under test. */
function isHarmless(text: string): boolean {
  return Array.from(text).every((character) => {
    const code = character.codePointAt(0) ?? 0
    const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0)
    const isBidi = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code === 0x200f
    return !isControl && !isBidi
  })
}

const hostile = fc.string({
  unit: fc.constantFrom(
    '\u001b',
    '[',
    '2',
    'J',
    ']',
    '0',
    ';',
    '\u0007',
    'a',
    '\u009b',
    '\r',
    '\n',
    '\u202e',
    '\u2028',
    '\u200b',
    '\ud800',
    '😀',
    '\\',
    '\t',
    'm'
  )
})

describe('peers’ text on a terminal', () => {
  test.each([
    ['\u001b[2J\u001b[Hgone', 'gone'],
    ['\u001b]0;title\u0007shown', 'shown'],
    ['\u009b31mred', 'red'],
    ['abc\u202Ecba', 'abccba'],
    ['a\r\nb\tc', 'a b c'],
    ['\u001b', '']
  ])('%j is shown as %j', (text, shown) => expect(printable(text)).toBe(shown))

  test('one line is harmless whatever comes', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(printable(text)).toSatisfy(isHarmless)
      })
    )
  })

  test('several lines are harmless between their line ends', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(printableLines(text).replaceAll('\n', '')).toSatisfy(isHarmless)
      })
    )
  })

  test('JSON is harmless and means the same', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const json = printableJson({ [text]: text })
        expect(json).toSatisfy(isHarmless)
        expect(JSON.parse(json)).toEqual({ [text]: text })
      })
    )
  })
})

describe('amounts and times', () => {
  test.each([
    [{ minor: '1250', currency: 'EUR' }, '12.50 EUR'],
    [{ minor: '500', currency: 'JPY' }, '500 JPY'],
    [{ minor: '7', currency: 'eip155:1/slip44:60' }, '7 eip155:1/slip44:60'],
    [undefined, '']
  ])('%j is %s', (money, text) => expect(moneyText(money)).toBe(text))

  test.each([
    ['500000000000000000', 18, '0.5 ETH'],
    ['1000000', 6, '1 ETH'],
    ['10', 0, '10 ETH'],
    [undefined, 18, '']
  ])('%s with %i decimals is %s', (minor, decimals, text) =>
    expect(tokenText(minor, { decimals, symbol: 'ETH' })).toBe(text)
  )

  test('a time is UTC to the second', () => expect(timeText(1_763_843_940_123)).toBe('2025-11-22T20:39:00Z'))
})

test('a total is in its own currency, in whole tokens where the node knows the token', () => {
  const currency = `eip155:31337/erc20:0x${'2'.repeat(40)}`
  const total = { minor: '20500000', currency } as const
  const escrow = {
    chain: 'eip155:31337',
    contract: `0x${'1'.repeat(40)}`,
    id: `0x${'3'.repeat(64)}`,
    token: `0x${'2'.repeat(40)}`,
    amount: '20500000',
    status: 'funded',
    certainty: 'final'
  } as const
  expect(totalText({ total: { minor: '1250', currency: 'EUR' } })).toBe('12.50 EUR')
  expect(totalText({ total, escrow: { ...escrow, symbol: 'tEUR', decimals: 6 } })).toBe('20.5 tEUR')
  expect(totalText({ total, escrow })).toBe(`20500000 ${currency}`)
})
