import { generateKeyPairSync } from 'node:crypto'
import { type ContentOf, sealRecord, type Signer, signerFromKey, type SoukRecord } from '@souk/records'

const dayMs = 86_400_000

/** A new identity's signer. */
export function newSigner(): Signer {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { d } = privateKey.export({ format: 'jwk' })
  return signerFromKey(new Uint8Array(Buffer.from(d ?? '', 'base64url')))
}

export const listing: ContentOf<'listing'> = {
  type: 'Offer',
  businessFunction: 'Sell',
  trade: 'fixed-price',
  title: 'Leica M6, body, checked by a repair shop',
  description: `Bought in 1996. ${'The shutter was cleaned this spring. '.repeat(20)}`.trim(),
  language: 'en',
  category: 'el',
  itemCondition: 'Used',
  unit: 'C62',
  quantity: 1,
  images: [],
  delivery: [{ kind: 'pick-up' }],
  settlements: [{ kind: 'none' }],
  tags: ['camera']
}

export interface ListingOptions {
  readonly number?: number
  readonly seq?: number
  readonly nowMs?: number
  readonly lifeMs?: number
  readonly deleted?: boolean
  readonly description?: string
  /** What an idle node asks of strangers when left out. */
  readonly workBits?: number
}

/** A listing in `listings/el` of `main`; its slot follows from `number`. */
export function sealListing(signer: Signer, options: ListingOptions = {}): SoukRecord<'listing'> {
  const { number = 1, seq = 1, nowMs = Date.now(), lifeMs = 20 * dayMs, deleted = false, workBits } = options
  const { description = listing.description } = options
  return sealRecord(
    {
      kind: 'listing',
      market: 'main',
      key: `el.${number.toString().padStart(8, '0')}`,
      seq,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + lifeMs,
      content: deleted ? null : { ...listing, description, title: `${listing.title} #${number}` }
    },
    signer,
    workBits === undefined ? {} : { workBits }
  )
}
