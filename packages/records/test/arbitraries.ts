/** What fast-check makes records of. */
import { cleanText, type ContentOf, type Identity, type RecordDraft } from '@souk/records'
import * as fc from 'fast-check'
import { dayMs, linkTo, listing, nowMs, profileOf } from './generators/parts.ts'

const line = (max: number) =>
  fc
    .string({ unit: 'grapheme', maxLength: max })
    .map((text) => cleanText(text.replaceAll(/\s/g, ' ')).slice(0, max))
    .map((text) => (text.isWellFormed() ? text.trim() : ''))
    .map((text) => text.normalize('NFC').slice(0, max))
    .map((text) => (text === '' || !text.isWellFormed() || text !== text.trim() ? 'x' : text))

const money = fc.record({
  minor: fc.bigInt({ min: 0n, max: 10n ** 39n - 1n }).map(String),
  currency: fc.constantFrom('EUR', 'JPY', 'BHD', 'eip155:1/slip44:60')
})

/** A value of the IPLD data model, as a later version might add. */
const later: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n - 1n }).filter((n) => n > 2n ** 53n || n < -(2n ** 53n)),
    fc.boolean(),
    fc.constant(null),
    fc.constant(0.5),
    fc.uint8Array({ maxLength: 8 }),
    fc.string().map(linkTo)
  ),
  node: fc.oneof(
    { maxDepth: 3 },
    tie('leaf'),
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tie('node'), { maxKeys: 3 })
  )
})).node

const listings: fc.Arbitrary<ContentOf<'listing'>> = fc
  .record({
    title: line(140),
    description: fc.string({ unit: 'grapheme', maxLength: 200 }).map(cleanText),
    quantity: fc.nat(1_000_000),
    price: fc.option(money, { nil: undefined }),
    tags: fc.array(line(32), { maxLength: 16 }),
    images: fc.constantFrom([], listing.images),
    later
  })
  .map(({ price, ...rest }) => ({ ...listing, ...(price && { price }), ...rest }))

/** Drafts that pass every check. */
export function drafts(author: Identity): fc.Arbitrary<RecordDraft> {
  const times = fc.record({ agoMs: fc.nat(dayMs), lifeMs: fc.integer({ min: dayMs + 1, max: 30 * dayMs }) })
  return fc
    .record({
      times,
      seq: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      market: fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/),
      suffix: fc.stringMatching(/^[a-z0-9]{8,32}$/),
      isTombstone: fc.boolean(),
      isProfile: fc.boolean(),
      content: listings
    })
    .map(({ times: { agoMs, lifeMs }, seq, market, suffix, isTombstone, isProfile, content }) => ({
      kind: isProfile ? 'profile' : 'listing',
      market,
      key: isProfile ? '' : `co.${suffix}`,
      seq,
      createdAtMs: nowMs - agoMs,
      expiresAtMs: nowMs - agoMs + lifeMs,
      content: isTombstone ? null : isProfile ? { ...profileOf(author), later: content.later } : content
    }))
}
