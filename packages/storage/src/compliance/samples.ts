/** Records for the compliance suite and for tests: the same bytes in every run. */
import {
  type AnyRecord,
  type ContentOf,
  encodeStatement,
  recordIdOfDigest,
  sealRecord,
  type Signer,
  signerFromKey,
  signStatement,
  type SoukRecord
} from '@souk/records'
import { CID } from 'multiformats/cid'
import { createHash } from 'node:crypto'

/** The clock of all tests: 2026-01-01, noon. */
export const nowMs = Date.UTC(2026, 0, 1, 12)
export const dayMs = 24 * 60 * 60 * 1000

/** The n-th author: the same key in every run. */
export function author(n: number): Signer {
  return signerFromKey(hash(`author ${n}`))
}

export function hash(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest())
}

export interface ListingFacts extends Partial<ContentOf<'listing'>> {
  readonly key?: string
  readonly seq?: number
  readonly createdAtMs?: number
  readonly expiresAtMs?: number
  readonly market?: string
  readonly workBits?: number
}

/** A listing by `signer`; what is not given is the same in all. */
export function listing(signer: Signer, facts: ListingFacts = {}): SoukRecord<'listing'> {
  const { key = 'el.00000001', seq = 1, createdAtMs = nowMs, market = 'main', workBits, ...rest } = facts
  const { expiresAtMs = createdAtMs + 30 * dayMs, ...content } = rest
  return sealRecord(
    {
      kind: 'listing',
      market,
      key,
      seq,
      createdAtMs,
      expiresAtMs,
      content: {
        type: 'Offer',
        businessFunction: 'Sell',
        trade: 'fixed-price',
        title: `Thing ${key}`,
        description: 'As good as new.',
        language: 'en',
        category: key.slice(0, key.indexOf('.')),
        unit: 'C62',
        quantity: 1,
        images: [],
        delivery: [],
        settlements: [],
        tags: [],
        ...content
      }
    },
    signer,
    // A store asks for none: it puts what is worth more before what is worth less.
    { workBits: workBits ?? 0 }
  )
}

export function tombstone(signer: Signer, of: AnyRecord): SoukRecord<'listing'> {
  const { market, key, createdAtMs, expiresAtMs } = of
  const seq = of.seq + 1
  const draft = { kind: 'listing', market, key, seq, createdAtMs, expiresAtMs, content: null } as const
  return sealRecord(draft, signer, { workBits: 0 })
}

/** Feedback by buyer `from` on seller `on` about one order. */
export function feedback(
  from: Signer,
  on: Signer,
  { order = 'order', stars = 5, createdAtMs = nowMs }: { order?: string; stars?: number; createdAtMs?: number } = {}
): SoukRecord<'feedback'> {
  const statement = encodeStatement({
    v: 1,
    type: 'closing',
    order: hash(order),
    terms: hash('terms'),
    buyer: from.publicKey,
    seller: on.publicKey,
    listing: CID.parse(recordIdOfDigest(hash('listing'))),
    price: { minor: '100', currency: 'EUR' },
    settlement: 'direct',
    at: nowMs - dayMs
  })
  const receipt = {
    statement,
    buyerSig: signStatement(statement, from),
    sellerSig: signStatement(statement, on)
  }
  return sealRecord(
    {
      kind: 'feedback',
      market: 'main',
      key: Buffer.from(hash(order)).toString('hex'),
      seq: 0,
      createdAtMs,
      expiresAtMs: nowMs + 300 * dayMs,
      content: { subject: on.publicKey, role: 'buyer', stars, text: 'Thanks.', receipt }
    },
    from,
    { workBits: 0 }
  )
}
