/** Shapes that several kinds share. Unknown fields are kept and ignored, so that a later version may add some. */
import { CID } from 'multiformats/cid'
import * as z from 'zod'
import { moneyDigitsMax } from '../limits.ts'
import { isCurrency, isMinor } from '../money.ts'
import { isCleanLine, isCleanText } from '../text.ts'

/** One line of clean text with 1 to `charsMax` UTF-16 code units. */
export const line = (charsMax: number) =>
  z.string().min(1).max(charsMax).refine(isCleanLine, 'is not one trimmed line of clean text')

/** Clean text of 0 to `charsMax` UTF-16 code units. */
export const text = (charsMax: number) => z.string().max(charsMax).refine(isCleanText, 'is not clean text')

/** Exactly `length` bytes. */
export const bytesOf = (length: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === length, `is not ${length} bytes`)

/** Up to `lengthMax` bytes. */
export const bytesUpTo = (lengthMax: number) =>
  z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length <= lengthMax,
    `is not up to ${lengthMax} bytes`
  )

/** A real IPLD link (CBOR tag 42): CIDv1 of a SHA-256. Other hashes may be weak, or hold the data itself. */
export const link = z.custom<CID>(isLink, 'is not a link to a SHA-256')

/** A link to a raw block: its bytes are the file, so that one fetch brings it and its size is bounded. */
export const rawLink = z.custom<CID>((value) => isLink(value) && value.code === 0x55, 'is not a link to a raw block')

/** A whole number from 0. */
export const count = (max: number) => z.number().int().min(0).max(max)

/** Milliseconds since 1970. */
export const timeMs = z.number().int().min(0)

/** Decimal digits of an amount in minor units. */
export const minor = z.string().max(moneyDigitsMax).refine(isMinor, 'is not a whole number of minor units')

export const currency = z.string().max(160).refine(isCurrency, 'is no currency code')

export const money = z.object({ minor, currency })

/** CAIP-2 name of an EVM chain. */
export const chain = z.string().regex(/^eip155:[1-9][0-9]{0,15}$/, 'is not an EVM chain such as eip155:1')

/** An EVM address in lower case: one address has one form. */
export const evmAddress = z.string().regex(/^0x[0-9a-f]{40}$/, 'is not a lower-case EVM address')

/** ISO 3166-1 alpha-2. */
export const country = z.string().regex(/^[A-Z]{2}$/, 'is not an ISO 3166 country')

/** BCP 47, the common short forms. */
export const language = z
  .string()
  .regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'is not a language tag')
  .max(35)

function isLink(value: unknown): value is CID {
  return value instanceof CID && value.version === 1 && value.multihash.code === 0x12 && value.multihash.size === 32
}
