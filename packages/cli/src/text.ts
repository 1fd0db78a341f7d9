/** Text on its way to a terminal. What peers wrote is text and nothing else: it moves no cursor and hides nothing. */
import { stripVTControlCharacters } from 'node:util'
import { isIsoCurrency, formatMoney, formatMinor } from '@souk/records/money'

/** Control characters, bidirectional marks and overrides, line separators, the byte order mark. */
const invisible =
  // oxlint-disable-next-line no-control-regex -- control characters are exactly what this looks for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** One line, without anything that a terminal would obey. */
export function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/\s+/g, ' ').replaceAll(invisible, '')
}

/** The same for text of several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** JSON that is as harmless on a terminal: everything invisible is escaped, which changes no value. */
export function printableJson(value: unknown, options: { indent?: number } = {}): string {
  const json = JSON.stringify(value, undefined, options.indent) ?? 'null'
  return json.replaceAll(invisible, (character) =>
    character === '\n' ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}

/** `12.50 EUR`; an asset on a chain, whose decimals only its token knows, in its smallest unit. */
export function moneyText(money: { readonly minor: string; readonly currency: string } | undefined): string {
  if (money === undefined) return ''
  if (!isIsoCurrency(money.currency)) return `${money.minor} ${money.currency}`
  return formatMoney({ minor: BigInt(money.minor), currency: money.currency })
}

/** `0.5 ETH` with the token's own decimals, without trailing zeros. */
export function tokenText(minor: string | undefined, token: { decimals: number; symbol: string }): string {
  if (minor === undefined) return ''
  const amount = formatMinor(BigInt(minor), token.decimals)
  return `${amount.includes('.') ? amount.replace(/\.?0+$/, '') : amount} ${token.symbol}`
}

/** `2026-11-22T20:39:00Z`. */
export function timeText(atMs: number | undefined): string {
  return atMs === undefined ? '' : new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z')
}
