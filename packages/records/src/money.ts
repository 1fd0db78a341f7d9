import { RecordError } from './errors.ts'
import { moneyDigitsMax } from './limits.ts'

/** An amount in the smallest unit of its currency. Never a float. */
export interface Money {
  /** Cents, wei, …: whole units of the smallest kind; never negative on the wire. */
  readonly minor: bigint
  /** ISO 4217 (`EUR`), or for an asset on a chain its CAIP-19 name (`eip155:1/slip44:60`, `eip155:1/erc20:0x…`). */
  readonly currency: string
}

/** Money as it travels: the amount as decimal digits, because wei do not fit in CBOR's 64 bits. */
export interface WireMoney {
  readonly minor: string
  readonly currency: string
}

const isoPattern = /^[A-Z]{3}$/
const caip19Pattern = /^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}\/[-a-z0-9]{3,8}:[-.%a-zA-Z0-9]{1,128}$/
/** ISO 4217, list one of 2024: all others have two places. */
const unusualDecimals: readonly (readonly [places: number, currencies: readonly string[]])[] = [
  [0, 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'.split(' ')],
  [3, 'BHD IQD JOD KWD LYD OMR TND'.split(' ')],
  [4, 'CLF UYW'.split(' ')]
]
const minorPattern = new RegExp(`^(0|[1-9][0-9]{0,${moneyDigitsMax - 1}})$`)

export function isCurrency(text: string): boolean {
  return isoPattern.test(text) || caip19Pattern.test(text)
}

/** True for an ISO 4217 code, as opposed to an asset on a chain. */
export function isIsoCurrency(text: string): boolean {
  return isoPattern.test(text)
}

/** True for an amount as it travels: decimal digits without sign or leading zero. */
export function isMinor(text: string): boolean {
  return minorPattern.test(text)
}

/** @throws {@link RecordError} `bad-money` for what cannot travel: a negative or endless amount, an unknown unit. */
export function moneyToWire(money: Money): WireMoney {
  const wire = { minor: money.minor.toString(), currency: money.currency }
  moneyFromWire(wire)
  return wire
}

/** @throws {@link RecordError} `bad-money`. */
export function moneyFromWire(wire: WireMoney): Money {
  if (!isMinor(wire.minor)) throw new RecordError('bad-money', `"${wire.minor}" is not a whole number of minor units`)
  if (!isCurrency(wire.currency)) throw new RecordError('bad-money', `"${wire.currency}" is no currency code`)
  return { minor: BigInt(wire.minor), currency: wire.currency }
}

/**
 * Decimal places of a currency's minor unit (ISO 4217). The table is our own because platforms disagree: ICU gives the
 * Iraqi dinar 0 places where ISO has 3, and a price must not change a thousandfold between two programs.
 *
 * @throws {@link RecordError} `bad-money` for assets on a chain: their decimals are the token's, ask its allow-list.
 */
export function currencyDecimals(currency: string): number {
  if (!isIsoCurrency(currency)) throw new RecordError('bad-money', `the decimals of ${currency} are not in ISO 4217`)
  return unusualDecimals.find(([, currencies]) => currencies.includes(currency))?.[0] ?? 2
}

/**
 * Reads what a person typed: digits with at most one point.
 *
 * @param options.decimals - Places of the minor unit; taken from ISO 4217 when left out.
 * @throws {@link RecordError} `bad-money` when it is not a number, has more places than the currency or is too large.
 */
export function parseMoney(text: string, currency: string, options: { decimals?: number } = {}): Money {
  const decimals = options.decimals ?? currencyDecimals(currency)
  const match = /^(\d{1,30})(?:\.(\d+))?$/.exec(text.trim())
  const fraction = match?.[2] ?? ''
  if (match === null || fraction.length > decimals) {
    throw new RecordError('bad-money', `"${text}" is not an amount with at most ${decimals} decimals, such as 12.50`)
  }
  return moneyFromWire({ minor: BigInt(match[1] + fraction.padEnd(decimals, '0')).toString(), currency })
}

/** Writes an amount for people who read logs and tables: `12.50 EUR`, for a difference also `-3.00 EUR`. */
export function formatMoney(money: Money, options: { decimals?: number; symbol?: string } = {}): string {
  const decimals = options.decimals ?? currencyDecimals(money.currency)
  return `${formatMinor(money.minor, decimals)} ${options.symbol ?? money.currency}`
}

/** The number alone, all decimal places written: `12.50`. */
export function formatMinor(minor: bigint, decimals: number): string {
  const sign = minor < 0n ? '-' : ''
  const digits = minor
    .toString()
    .slice(sign.length)
    .padStart(decimals + 1, '0')
  const fraction = decimals === 0 ? '' : `.${digits.slice(-decimals)}`
  return `${sign}${digits.slice(0, digits.length - decimals)}${fraction}`
}

/** @throws {@link RecordError} `currency-mismatch` when the two are of different currencies. */
export function addMoney(a: Money, b: Money): Money {
  if (a.currency !== b.currency) {
    throw new RecordError('currency-mismatch', `${a.currency} and ${b.currency} cannot be added`)
  }
  return { minor: a.minor + b.minor, currency: a.currency }
}
