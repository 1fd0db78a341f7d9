import {
  addMoney,
  currencyDecimals,
  formatMoney,
  isCurrency,
  moneyFromWire,
  moneyToWire,
  parseMoney
} from '@souk/records'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const ether = 'eip155:1/slip44:60'
const currencies = fc.constantFrom('EUR', 'USD', 'JPY', 'BHD', 'CLF', 'IQD')

describe('parsing', () => {
  test.each([
    ['12.50', 'EUR', 1250n],
    ['12.5', 'EUR', 1250n],
    [' 12 ', 'EUR', 1200n],
    ['0', 'JPY', 0n],
    ['1.234', 'IQD', 1234n],
    ['007', 'EUR', 700n]
  ])('%s %s', (text, currency, minor) => expect(parseMoney(text, currency)).toEqual({ minor, currency }))

  test('the decimals of a token are given', () => {
    expect(parseMoney('0.015', ether, { decimals: 18 }).minor).toBe(15n * 10n ** 15n)
  })

  test.each([
    ['', 'EUR'],
    ['1.', 'EUR'],
    ['.5', 'EUR'],
    ['1,50', 'EUR'],
    ['1.505', 'EUR'],
    ['1.5', 'JPY'],
    ['-1', 'EUR'],
    ['1e3', 'EUR'],
    ['0x10', 'EUR'],
    ['١٢', 'EUR'],
    ['9'.repeat(31), 'EUR'],
    ['1', 'euro']
  ])('"%s" %s is refused', (text, currency) => {
    expect(() => parseMoney(text, currency)).toThrow(expect.objectContaining({ code: 'bad-money' }))
  })

  test('more than 39 digits are refused, however many decimals a token has', () => {
    const parse = () => parseMoney('9'.repeat(30), ether, { decimals: 18 })
    expect(parse).toThrow(expect.objectContaining({ code: 'bad-money' }))
  })

  test('what is written is read again', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), currencies, (minor, currency) => {
        const written = formatMoney({ minor, currency })
        const [amount = '', name] = written.split(' ')
        expect(name).toBe(currency)
        expect(parseMoney(amount, currency)).toEqual({ minor, currency })
      })
    )
  })
})

test.each([
  [1250n, 'EUR', '12.50 EUR'],
  [5n, 'EUR', '0.05 EUR'],
  [-5n, 'EUR', '-0.05 EUR'],
  [1250n, 'JPY', '1250 JPY'],
  [1n, 'CLF', '0.0001 CLF']
])('%d of %s is written %s', (minor, currency, text) => expect(formatMoney({ minor, currency })).toBe(text))

test('the wire form goes there and back, and bounds what goes', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 39n - 1n }), currencies, (minor, currency) => {
      expect(moneyFromWire(moneyToWire({ minor, currency }))).toEqual({ minor, currency })
    })
  )
  for (const money of [
    { minor: -1n, currency: 'EUR' },
    { minor: 10n ** 39n, currency: 'EUR' },
    { minor: 1n, currency: 'euro' }
  ]) {
    expect(() => moneyToWire(money)).toThrow(expect.objectContaining({ code: 'bad-money' }))
  }
})

test.each(['01', '-1', '1.0', '', ' 1', '1'.repeat(40)])('"%s" is no amount on the wire', (minor) => {
  expect(() => moneyFromWire({ minor, currency: 'EUR' })).toThrow(expect.objectContaining({ code: 'bad-money' }))
})

test('only like is added to like', () => {
  const euro = { minor: 1n, currency: 'EUR' }
  expect(addMoney(euro, euro)).toEqual({ minor: 2n, currency: 'EUR' })
  expect(() => addMoney(euro, { minor: 1n, currency: 'USD' })).toThrow(
    expect.objectContaining({ code: 'currency-mismatch' })
  )
})

test('decimals are those of ISO 4217, not of the platform', () => {
  expect(['EUR', 'JPY', 'KWD', 'IQD', 'HUF', 'CLF'].map(currencyDecimals)).toEqual([2, 0, 3, 3, 2, 4])
  expect(() => currencyDecimals(ether)).toThrow(expect.objectContaining({ code: 'bad-money' }))
})

test.each([
  ['EUR', true],
  [ether, true],
  ['eip155:1/erc20:0x6b175474e89094c44da98b954eedeac495271d0f', true],
  ['eur', false],
  ['EURO', false],
  ['eip155:1', false],
  ['', false]
])('"%s" is a currency: %s', (text, is) => expect(isCurrency(text)).toBe(is))
