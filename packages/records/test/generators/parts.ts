/** What vectors and tests are made of: fixed people, valid drafts of each kind, and CBOR written by hand. */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import {
  type ContentOf,
  encodeCanonical,
  encodeStatement,
  type Identity,
  identityFromPhrase,
  type Receipt,
  type RecordDraft,
  type Signer,
  signStatement,
  type Statement
} from '@souk/records'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'

/** The clock of all vectors: 2027-01-15T08:00:00Z. */
export const nowMs = 1_800_000_000_000
export const dayMs = 86_400_000

const phrases = {
  seller: 'legal winner thank year wave sausage worth useful legal winner thank yellow',
  buyer: 'letter advice cage absurd amount doctor acoustic avoid letter advice cage above',
  stranger: 'zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong'
}

/** Seller, buyer and somebody else, from the phrases of BIP-39's own test vectors. */
export interface People {
  readonly seller: Identity
  readonly buyer: Identity
  readonly stranger: Identity
}

export function createPeople(): People {
  return {
    seller: identityFromPhrase(phrases.seller),
    buyer: identityFromPhrase(phrases.buyer),
    stranger: identityFromPhrase(phrases.stranger)
  }
}

/** A raw block's link, the block being the text. */
export function linkTo(text: string): CID {
  return CID.createV1(0x55, createDigest(0x12, sha256(new TextEncoder().encode(text))))
}

export const listing: ContentOf<'listing'> = {
  type: 'Offer',
  businessFunction: 'Sell',
  trade: 'fixed-price',
  title: 'Zuiko 50 mm f/1.8, cleaned',
  description: 'Sharp, no fungus.\nOne light mark on the barrel. Zum Ausprobieren in Köln.',
  language: 'en',
  category: 'co-1',
  itemCondition: 'Used',
  price: { minor: '4500', currency: 'EUR' },
  unit: 'C62',
  quantity: 1,
  images: [
    {
      image: linkTo('image'),
      thumbnail: linkTo('thumbnail'),
      bytes: 234_567,
      width: 1600,
      height: 1200,
      thumbhash: new Uint8Array(25).fill(7),
      alt: 'The lens on a table'
    }
  ],
  delivery: [{ kind: 'ship', price: '490', to: ['DE', 'FR'], handlingDays: 2, transitDays: 4 }, { kind: 'pick-up' }],
  settlements: [
    {
      kind: 'escrow',
      chain: 'eip155:31337',
      contract: `0x${'a1'.repeat(20)}`,
      token: `0x${'00'.repeat(20)}`,
      seller: `0x${'b2'.repeat(20)}`,
      price: '15000000000000000'
    },
    { kind: 'direct', methods: ['cash'] }
  ],
  place: { country: 'DE', locality: 'Köln', geohash: 'u1hcy' },
  tags: ['lens', 'olympus-om']
}

export function profileOf(person: Identity): ContentOf<'profile'> {
  return {
    name: 'Ana',
    about: 'Old cameras, mended.',
    region: 'DE',
    languages: ['de', 'en'],
    next: person.nextKeyHash,
    peers: [{ id: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp', addresses: ['/ip4/192.0.2.7/tcp/4001'] }],
    prekeys: [{ key: new Uint8Array(32).fill(9), expiresAt: nowMs + 15 * dayMs }]
  }
}

export function presenceOf(): ContentOf<'presence'> {
  return {
    peers: [
      {
        id: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp',
        addresses: ['/ip4/192.0.2.7/tcp/4001'],
        saidAt: nowMs
      }
    ],
    mailboxes: ['/dns4/relay.example/tcp/4010/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN']
  }
}

export function statementOf({ seller, buyer }: People): Statement {
  return {
    v: 1,
    type: 'closing',
    order: sha256(new TextEncoder().encode('order')),
    terms: sha256(new TextEncoder().encode('terms')),
    buyer: buyer.signer.publicKey,
    seller: seller.signer.publicKey,
    listing: CID.createV1(0x71, createDigest(0x12, sha256(new TextEncoder().encode('listing')))),
    price: { minor: '4990', currency: 'EUR' },
    settlement: 'escrow',
    escrow: { chain: 'eip155:31337', contract: `0x${'a1'.repeat(20)}`, id: new Uint8Array(32).fill(5) },
    at: nowMs - dayMs
  }
}

export function receiptOf(statement: Statement, { seller, buyer }: People): Receipt {
  const bytes = encodeStatement(statement)
  return {
    statement: bytes,
    buyerSig: signStatement(bytes, buyer.signer),
    sellerSig: signStatement(bytes, seller.signer)
  }
}

/** The buyer's rating of the seller. */
export function feedbackOf(people: People, statement: Statement = statementOf(people)): ContentOf<'feedback'> {
  return {
    subject: people.seller.signer.publicKey,
    role: 'buyer',
    stars: 5,
    aspects: { described: 5, communication: 4 },
    text: 'As described, well packed.',
    receipt: receiptOf(statement, people)
  }
}

export const orderKey = bytesToHex(sha256(new TextEncoder().encode('order')))

/** A draft's body fields, with room for what no draft may say. */
export type Body = Record<string, unknown>

export function bodyOf(draft: RecordDraft, signer: Signer): Body {
  const { kind, market, key, seq, createdAtMs, expiresAtMs, content } = draft
  return {
    v: 1,
    kind,
    author: signer.publicKey,
    market,
    key,
    seq,
    createdAt: createdAtMs,
    expiresAt: expiresAtMs,
    content
  }
}

/** Signs body bytes, whatever they are, and wraps them. */
export function signBody(body: Uint8Array, signer: Signer): Uint8Array {
  const sig = signer.sign(concat(new TextEncoder().encode('souk/record/1\n'), body))
  return encodeCanonical({ body, sig })
}

/** A map written by hand: entries in the given order, values as they are. */
export function rawMap(entries: readonly (readonly [key: string, value: Uint8Array])[]): Uint8Array {
  return concat(
    Uint8Array.of(0xa0 | entries.length),
    ...entries.flatMap(([key, value]) => [encodeCanonical(key), value])
  )
}

/** A body's entries in canonical order, values encoded, some of them replaced by raw bytes. */
export function rawEntries(body: Body, replaced: Record<string, Uint8Array> = {}): [string, Uint8Array][] {
  const names = Object.keys({ ...body, ...replaced })
  const sorted = names.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))
  return sorted.map((name) => [name, replaced[name] ?? encodeCanonical(body[name])])
}

export function concat(...parts: readonly ArrayLike<number>[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}
