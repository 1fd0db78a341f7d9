import * as z from 'zod'
import { isCategory, isCategoryId, topCategory } from '../categories.ts'
import { RecordError } from '../errors.ts'
import type { CheckedFields } from '../kinds.ts'
import {
  arbitratorsMax,
  deliveriesMax,
  imageBytesMax,
  imagesMax,
  settlementsMax,
  tagCharsMax,
  tagsMax,
  textCharsMax,
  titleCharsMax
} from '../limits.ts'
import {
  bytesOf,
  bytesUpTo,
  chain,
  count,
  country,
  evmAddress,
  language,
  line,
  minor,
  money,
  rawLink,
  text
} from './fields.ts'

const image = z.looseObject({
  /** A raw block of at most 1 MiB: its CID is the SHA-256 of its bytes. */
  image: rawLink,
  thumbnail: rawLink,
  bytes: count(imageBytesMax),
  width: count(1 << 14),
  height: count(1 << 14),
  /** ThumbHash, shown before any block has come. */
  thumbhash: bytesUpTo(32),
  alt: text(titleCharsMax).optional()
})

const delivery = z.discriminatedUnion('kind', [
  z.looseObject({
    kind: z.literal('ship'),
    price: minor,
    to: z.array(country).max(250),
    handlingDays: count(60),
    transitDays: count(90)
  }),
  z.looseObject({ kind: z.literal('pick-up') }),
  z.looseObject({ kind: z.literal('digital') }),
  z.looseObject({ kind: z.literal('on-site') })
])

const settlement = z.discriminatedUnion('kind', [
  z.looseObject({
    kind: z.literal('escrow'),
    chain,
    contract: evmAddress,
    /** The zero address is the chain's own coin. */
    token: evmAddress,
    /** Where the seller is paid. */
    seller: evmAddress,
    /** Price of one unit in the token's smallest unit: no oracle stands between listing and payment. */
    price: minor
  }),
  z.looseObject({ kind: z.literal('direct'), methods: z.array(line(tagCharsMax)).max(16) }),
  z.looseObject({ kind: z.literal('none') })
])

/** A coarse place: five geohash characters are about five kilometres. */
const place = z.looseObject({
  country,
  region: line(64).optional(),
  locality: line(64).optional(),
  geohash: z
    .string()
    .regex(/^[0-9b-hjkmnp-z]{1,5}$/, 'is not a geohash of at most five characters')
    .optional()
})

/** Something offered or asked for. Names are schema.org's (`Offer`, `Demand`, `businessFunction`, `itemCondition`). */
export const listingContent = z.looseObject({
  type: z.enum(['Offer', 'Demand']),
  businessFunction: z.enum(['Sell', 'LeaseOut', 'ProvideService', 'Lend', 'Give', 'Swap']),
  trade: z.enum(['fixed-price', 'classified']),
  title: line(titleCharsMax),
  description: text(textCharsMax),
  language: language,
  category: z.string().refine(isCategoryId, 'is not below a vertical of the taxonomy'),
  itemCondition: z.enum(['New', 'Used', 'Refurbished', 'Damaged']).optional(),
  /** Of one unit. Left out where the two are to agree, and for gifts. */
  price: money.optional(),
  /** What one unit is: UN/CEFACT code (`C62` piece, `HUR` hour, `DAY` day, `KGM` kilogram). */
  unit: z.string().regex(/^[A-Z0-9]{2,3}$/, 'is not a UN/CEFACT unit code'),
  /** Units in stock. */
  quantity: count(1_000_000),
  images: z.array(image).max(imagesMax),
  delivery: z.array(delivery).max(deliveriesMax),
  settlements: z.array(settlement).max(settlementsMax),
  /** Identities that the seller accepts as arbitrators, with the address that would rule. */
  arbitrators: z
    .array(z.looseObject({ identity: bytesOf(32), address: evmAddress }))
    .max(arbitratorsMax)
    .optional(),
  place: place.optional(),
  tags: z.array(line(tagCharsMax)).max(tagsMax)
})

const keyPattern = /^([a-z]{2}|x-[a-z]{2,16})\.[a-z0-9]{8,32}$/

/** A listing's key is `<top category>.<8 to 32 characters>`, so that its channel follows from the key alone. */
export function checkListing({ key, content }: CheckedFields): void {
  const top = keyPattern.exec(key)?.[1]
  if (top === undefined || !isCategory(top)) {
    throw new RecordError('bad-content', `"${key}" is no listing key; one looks like el.4f7c09a1`)
  }
  const category = (content as { category?: unknown } | null)?.category
  if (typeof category === 'string' && topCategory(category) !== top) {
    throw new RecordError('bad-content', `the key says category ${top}, the content ${category.slice(0, 40)}`)
  }
}
