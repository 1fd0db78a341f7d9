import { generateKeyPairSync, sign } from 'node:crypto'
import { type ContentOf, sealRecord, type Signer, workFloor } from '@souk/records'

/** Most live listings of an author that nobody knows: one that wants to say more needs more identities. */
const perAuthor = 20
const lifeMs = 86_400_000
const bytesAbout = 1200

const content: ContentOf<'listing'> = {
  type: 'Offer',
  businessFunction: 'Sell',
  trade: 'fixed-price',
  title: 'Nothing that anybody wants',
  description: 'Buy this at once, before it is gone for ever. '.repeat(18).trim(),
  language: 'en',
  category: 'hg',
  unit: 'C62',
  quantity: 1,
  images: [],
  delivery: [{ kind: 'pick-up' }],
  settlements: [{ kind: 'none' }],
  tags: []
}

export interface ListingInit {
  /** By which its key differs from others of its author. */
  readonly number?: number
  /** Revisions take no more room, and cost no more work however much others publish. */
  readonly seq?: number
  /** Bits of work. Default: what an idle node asks. */
  readonly workBits?: number
}

/** A listing of about 1 kB, made now. */
export function sealListing(signer: Signer, { number = 0, seq = 1, ...options }: ListingInit = {}): Uint8Array {
  const createdAtMs = Date.now() - 1000
  const draft = {
    kind: 'listing',
    market: 'main',
    key: `hg.${number.toString(36).padStart(8, '0')}`,
    seq,
    createdAtMs,
    expiresAtMs: createdAtMs + lifeMs,
    content: { ...content, title: `${content.title} ${number} ${seq}` }
  } as const
  return sealRecord(draft, signer, options).bytes
}

/** New listings of so many authors that each may publish his. Identities cost nothing. */
export function sealListings(count: number, options: { workBits?: number } = {}): Uint8Array[] {
  const signers = Array.from({ length: Math.ceil(count / perAuthor) }, createSigner)
  return Array.from({ length: count }, (_, number) =>
    sealListing(signers[Math.floor(number / perAuthor)] as Signer, { number, ...options })
  )
}

/** What a node asks of such a listing that has taken in up to 1,200 of strangers lately: twice what an idle one does. */
export const spamWorkBits = workFloor({ kind: 'listing', bytes: bytesAbout, lifeMs }) + 1

/** Signs by node:crypto, which takes a thirtieth of the time of a portable signer: an attacker would. */
export function createSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const { x = '' } = publicKey.export({ format: 'jwk' })
  return {
    publicKey: new Uint8Array(Buffer.from(x, 'base64url')),
    sign: (bytes) => new Uint8Array(sign(null, bytes, privateKey))
  }
}
