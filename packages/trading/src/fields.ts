/** Shapes that terms and payloads share. */
import { isCleanLine, isCleanText, isCurrency } from '@souk/records'
import { CID } from 'multiformats/cid'
import * as z from 'zod'
import { durationMsMax } from './limits.ts'

/** One line of clean text with 1 to `charsMax` characters. */
export const line = (charsMax: number) => z.string().min(1).max(charsMax).refine(isCleanLine, 'is not one clean line')

/** Clean text of 1 to `charsMax` characters. */
export const text = (charsMax: number) => z.string().min(1).max(charsMax).refine(isCleanText, 'is not clean text')

/** Exactly `length` bytes. */
export const bytesOf = (length: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === length, `is not ${length} bytes`)

/** 1 to `lengthMax` bytes. */
export const bytesUpTo = (lengthMax: number) =>
  z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length > 0 && value.length <= lengthMax,
    `is not 1 to ${lengthMax} bytes`
  )

/** A real IPLD link (CBOR tag 42). */
export const link = z.custom<CID>((value) => CID.asCID(value) !== null, 'is not a link')

/** A whole number from 0. */
export const count = (max: number) => z.number().int().min(0).max(max)

/** Milliseconds since 1970. */
export const timeMs = z.number().int().min(0)

/** A duration that no slip of the pen makes endless. */
export const durationMs = count(durationMsMax)

/** Decimal digits of an amount in minor units. What is refined further may rely on them: zod goes on after a failure. */
export const digits = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,38})$/, { error: 'is not a whole number of minor units', abort: true })

export const money = z.strictObject({
  minor: digits,
  currency: z.string().max(160).refine(isCurrency, 'is no currency')
})

/** CAIP-2 name of an EVM chain. */
export const chain = z.string().regex(/^eip155:[1-9][0-9]{0,15}$/, 'is not an EVM chain such as eip155:1')

/** An EVM address in lower case: one address has one form. */
export const evmAddress = z
  .templateLiteral(['0x', z.string()])
  .refine((value) => /^0x[0-9a-f]{40}$/.test(value), 'is not a lower-case EVM address')

/** ISO 3166-1 alpha-2. */
export const country = z.string().regex(/^[A-Z]{2}$/, 'is not an ISO 3166 country')
