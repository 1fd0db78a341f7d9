import { bytesToHex } from '@noble/hashes/utils.js'
import {
  type ContentOf,
  encodeCanonical,
  findWork,
  type Identity,
  openRecord,
  type RecordDraft,
  RecordError,
  type RecordErrorCode,
  type RecordKind,
  sealRecord,
  type Signer,
  type SoukRecord,
  type Statement
} from '@souk/records'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import {
  type Body,
  bodyOf,
  concat,
  createPeople,
  dayMs,
  feedbackOf,
  linkTo,
  listing,
  nowMs,
  orderKey,
  type People,
  presenceOf,
  profileOf,
  rawEntries,
  rawMap,
  receiptOf,
  signBody,
  statementOf
} from './parts.ts'

/** One record that every implementation accepts. */
export interface ValidRecord {
  readonly name: string
  readonly bytesHex: string
  readonly id: string
  readonly nowMs: number
}

/** Bytes that every implementation refuses with this code. */
export interface InvalidRecord {
  readonly name: string
  readonly bytesHex: string
  readonly code: RecordErrorCode
  readonly nowMs: number
}

/** Both halves, generated. Deterministic: Ed25519 signatures are. */
export function recordVectors(): { valid: ValidRecord[]; invalid: InvalidRecord[] } {
  const people = createPeople()
  return { valid: validRecords(people), invalid: invalidRecords(people) }
}

type Drafts = Record<RecordKind, RecordDraft>

const fill = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

function draftsOf(people: People): Drafts {
  const times = { createdAtMs: nowMs, expiresAtMs: nowMs + 30 * dayMs }
  const slot = { market: 'main', seq: 1, ...times }
  return {
    profile: { kind: 'profile', key: '', ...slot, content: profileOf(people.seller) },
    presence: { kind: 'presence', key: '', ...slot, expiresAtMs: nowMs + 2 * dayMs, content: presenceOf() },
    listing: { kind: 'listing', key: 'co.4f7c09a1', ...slot, content: listing },
    feedback: { kind: 'feedback', key: orderKey, ...slot, seq: 0, content: feedbackOf(people) }
  }
}

function validRecords(people: People): ValidRecord[] {
  const drafts = draftsOf(people)
  const { seller, buyer } = people
  const service: ContentOf<'listing'> = {
    ...listing,
    businessFunction: 'ProvideService',
    category: 'x-services-repair',
    unit: 'HUR',
    images: [],
    delivery: [{ kind: 'on-site' }],
    settlements: [{ kind: 'none' }]
  }
  const { escrow: _, ...rest } = statementOf(people)
  const directStatement: Statement = { ...rest, settlement: 'direct' }
  const records = {
    profile: seal(drafts.profile, seller.signer),
    'profile tombstone': seal({ ...drafts.profile, seq: 2, content: null }, seller.signer),
    'profile of two installations': seal(
      {
        ...drafts.profile,
        content: {
          ...profileOf(seller),
          prekeys: [1, 2].map((n) => ({ key: fill(n), expiresAt: nowMs, peer: `peer${n}` }))
        }
      },
      seller.signer
    ),
    presence: seal(drafts.presence, seller.signer),
    'presence tombstone': seal({ ...drafts.presence, seq: 2, content: null }, seller.signer),
    listing: seal(drafts.listing, seller.signer),
    'listing tombstone': seal({ ...drafts.listing, seq: 2, content: null }, seller.signer),
    'listing with proof of work': sealRecord(drafts.listing, seller.signer, { workBits: 10 }),
    'listing with the work that an idle node asks of strangers': sealRecord(drafts.listing, seller.signer),
    'listing of a service, key of another vertical': seal(
      { ...drafts.listing, key: 'x-services.00000001', content: service },
      seller.signer
    ),
    'listing with a field of a later version': seal(
      { ...drafts.listing, content: { ...listing, later: { links: [linkTo('later')], big: 2n ** 63n, half: 0.5 } } },
      seller.signer
    ),
    'listing in another market': seal({ ...drafts.listing, market: 'books-berlin' }, seller.signer),
    'listing made five minutes ahead': seal(
      { ...drafts.listing, createdAtMs: nowMs + 300_000, expiresAtMs: nowMs + dayMs },
      seller.signer
    ),
    'feedback of the buyer, escrow': seal(drafts.feedback, buyer.signer),
    'feedback with the work that every replica asks': sealRecord(drafts.feedback, buyer.signer),
    'feedback of the seller, direct': seal(
      {
        ...drafts.feedback,
        content: {
          ...feedbackOf(people, directStatement),
          role: 'seller',
          subject: buyer.signer.publicKey
        }
      },
      seller.signer
    )
  }
  return Object.entries(records).map(([name, { bytes, id }]) => ({ name, bytesHex: bytesToHex(bytes), id, nowMs }))
}

/** Without work: valid, and as short as it was before there was any. */
function seal<K extends RecordKind>(draft: RecordDraft<K>, signer: Signer): SoukRecord<K> {
  return sealRecord(draft, signer, { workBits: 0 })
}

/** Bytes under a name, to be refused with the code that the group is named for. */
type Cases = Record<string, Uint8Array>

function invalidRecords(people: People): InvalidRecord[] {
  const groups: Partial<Record<RecordErrorCode, Cases>> = {
    ...badForms(people),
    ...badShapes(people),
    ...badTimes(people),
    ...badProofs(people),
    'bad-content': badContents(people),
    ...badFeedbacks(people)
  }
  return Object.entries(groups).flatMap(([code, cases]) =>
    Object.entries(cases).map(([name, bytes]) => ({
      name,
      bytesHex: bytesToHex(bytes),
      code: code as RecordErrorCode,
      nowMs
    }))
  )
}

/** Size and byte form. */
function badForms(people: People): Partial<Record<RecordErrorCode, Cases>> {
  const { signer } = people.seller
  const drafts = draftsOf(people)
  const body = bodyOf(drafts.listing, signer)
  const good = seal(drafts.listing, signer).bytes
  const raw = (replaced: Record<string, Uint8Array>): Uint8Array => signBody(rawMap(rawEntries(body, replaced)), signer)
  const content = (extra: Uint8Array): Uint8Array =>
    raw({ content: rawMap(rawEntries(listing, { zz: extra }).toSorted(byKey)) })
  const cidBytes = linkTo('image').bytes
  return {
    'too-large': {
      'profile over 8 kB': signBody(
        encodeCanonical(bodyOf(withContent(drafts.profile, { later: 'x'.repeat(8192) }), signer)),
        signer
      ),
      'listing over 16 kB': signBody(
        encodeCanonical(bodyOf(withContent(drafts.listing, { later: 'x'.repeat(16_384) }), signer)),
        signer
      )
    },
    'not-cbor': {
      'no bytes': new Uint8Array(),
      'plain text': new TextEncoder().encode('{"body": {}, "sig": ""}'),
      truncated: good.subarray(0, good.length - 1),
      'a byte after the end': concat(good, Uint8Array.of(0)),
      'envelope map of indefinite length': concat(Uint8Array.of(0xbf), good.subarray(1), Uint8Array.of(0xff)),
      'text of indefinite length': raw({
        market: concat(Uint8Array.of(0x7f), encodeCanonical('main'), Uint8Array.of(0xff))
      }),
      'seq in two bytes': raw({ seq: Uint8Array.of(0x18, 0x01) }),
      'seq in nine bytes': raw({ seq: Uint8Array.of(0x1b, 0, 0, 0, 0, 0, 0, 0, 1) }),
      'text length in three bytes': raw({
        market: concat(Uint8Array.of(0x79, 0, 4), new TextEncoder().encode('main'))
      }),
      'a key twice': signBody(rawMap([...rawEntries(body), ['expiresAt', encodeCanonical(nowMs + 1)]]), signer),
      'seq is NaN': raw({ seq: Uint8Array.of(0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0) }),
      'seq is Infinity': raw({ seq: Uint8Array.of(0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0) }),
      'an integer as a map key': content(Uint8Array.of(0xa1, 0x01, 0x01)),
      'a tag that is no link': content(concat(Uint8Array.of(0xc1), encodeCanonical(1))),
      'link tag in three bytes': content(concat(Uint8Array.of(0xd9, 0, 0x2a, 0x58, 37, 0), cidBytes)),
      'link without its leading zero': content(concat(Uint8Array.of(0xd8, 0x2a, 0x58, 36), cidBytes)),
      'link that is no CID': content(concat(Uint8Array.of(0xd8, 0x2a, 0x43, 0, 1, 0x55))),
      'link with a long varint for its codec': content(
        tag42(concat(Uint8Array.of(1, 0xd5, 0x00), cidBytes.subarray(2)))
      ),
      'link with a long varint for its hash': content(
        tag42(concat(Uint8Array.of(1, 0x55, 0x92, 0x00), cidBytes.subarray(3)))
      )
    },
    'too-deep': {
      'nine levels': content(encodeCanonical(nested(7))),
      'two hundred levels': content(encodeCanonical(nested(200)))
    },
    'not-canonical': {
      'envelope keys in the wrong order': swapEnvelope(good),
      'body keys in the wrong order': signBody(rawMap(rawEntries(body).toReversed()), signer),
      'body keys in alphabetical order': signBody(
        rawMap(rawEntries(body).toSorted(([a], [b]) => (a < b ? -1 : 1))),
        signer
      ),
      'seq as a 16-bit float': raw({ seq: Uint8Array.of(0xf9, 0x3c, 0) }),
      'seq as a 64-bit float': raw({ seq: Uint8Array.of(0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0) }),
      'a half as a 32-bit float': content(Uint8Array.of(0xfa, 0x3f, 0, 0, 0)),
      'negative zero': content(Uint8Array.of(0xfb, 0x80, 0, 0, 0, 0, 0, 0, 0)),
      'undefined for null': raw({ content: Uint8Array.of(0xf7) }),
      'text that is not UTF-8': content(Uint8Array.of(0x62, 0xc3, 0x28)),
      'text with an encoded surrogate': content(Uint8Array.of(0x63, 0xed, 0xa0, 0x80))
    }
  }
}

/** Envelope and body. */
function badShapes(people: People): Partial<Record<RecordErrorCode, Cases>> {
  const { signer } = people.seller
  const body = bodyOf(draftsOf(people).listing, signer)
  const bodyBytes = encodeCanonical(body)
  const sig = new Uint8Array(64)
  const sealed = (changes: Body): Uint8Array => signBody(encodeCanonical({ ...body, ...changes }), signer)
  const without = (name: string): Uint8Array => {
    const { [name]: _, ...rest } = body
    return signBody(encodeCanonical(rest), signer)
  }
  return {
    'bad-envelope': {
      'a list': encodeCanonical([bodyBytes, sig]),
      'a number': encodeCanonical(1),
      'no signature': encodeCanonical({ body: bodyBytes }),
      'a third field': encodeCanonical({ body: bodyBytes, sig, more: 1 }),
      'signature of 63 bytes': encodeCanonical({ body: bodyBytes, sig: sig.subarray(1) }),
      'signature as text': encodeCanonical({ body: bodyBytes, sig: 'x'.repeat(64) }),
      'body as a map': encodeCanonical({ body: { v: 1 }, sig })
    },
    'bad-version': {
      'version 2': sealed({ v: 2 }),
      'version as text': sealed({ v: '1' }),
      'no version': without('v')
    },
    'unknown-kind': {
      'a kind of a later version': sealed({ kind: 'auction' }),
      'a name that all objects have': sealed({ kind: 'constructor' }),
      'kind as a number': sealed({ kind: 1 }),
      'no kind': without('kind')
    },
    'bad-body': {
      'body that is a list': signBody(encodeCanonical([1]), signer),
      'a field that no body has': sealed({ more: 1 }),
      'author of 31 bytes': sealed({ author: signer.publicKey.subarray(1) }),
      'author as text': sealed({ author: people.seller.did }),
      'market in capitals': sealed({ market: 'Main' }),
      'no market name': sealed({ market: '' }),
      'key with a slash': sealed({ key: 'co/4f7c09a1' }),
      'key of 97 characters': sealed({ key: `co.${'a'.repeat(94)}` }),
      'seq below zero': sealed({ seq: -1 }),
      'seq above 2^53 - 1': sealed({ seq: 2n ** 53n }),
      'seq with a fraction': sealed({ seq: 0.5 }),
      'time as text': sealed({ createdAt: '2027-01-15' }),
      'expires when it was made': sealed({ createdAt: nowMs + 1000, expiresAt: nowMs + 1000 }),
      'no content': without('content'),
      'content that is a list': sealed({ content: [] }),
      'content that is a link': sealed({ content: linkTo('content') }),
      'work of 33 bits': sealed({ pow: { bits: 33, nonce: 0 } }),
      'work with a third field': sealed({ pow: { bits: 0, nonce: 0, more: 0 } }),
      'work without a nonce': sealed({ pow: { bits: 0 } })
    }
  }
}

function badTimes(people: People): Partial<Record<RecordErrorCode, Cases>> {
  const { signer } = people.seller
  const body = bodyOf(draftsOf(people).listing, signer)
  const sealed = (createdAt: number, expiresAt: number): Uint8Array =>
    signBody(encodeCanonical({ ...body, createdAt, expiresAt }), signer)
  return {
    'not-yet-valid': {
      'made a millisecond more than five minutes ahead': sealed(nowMs + 300_001, nowMs + dayMs),
      'made in a year': sealed(nowMs + 365 * dayMs, nowMs + 366 * dayMs)
    },
    expired: {
      'expires now': sealed(nowMs - dayMs, nowMs),
      'expired a day ago': sealed(nowMs - 2 * dayMs, nowMs - dayMs)
    },
    'lives-too-long': {
      'a listing of thirty days and a millisecond': sealed(nowMs, nowMs + 30 * dayMs + 1),
      'a listing for ever': sealed(nowMs, Number.MAX_SAFE_INTEGER)
    }
  }
}

/** Proof of work and signature. */
function badProofs(people: People): Partial<Record<RecordErrorCode, Cases>> {
  const { seller, stranger } = people
  const { signer } = seller
  const draft = draftsOf(people).listing
  const body = bodyOf(draft, signer)
  const bytes = worked(body)
  const sig = signer.sign(concat(new TextEncoder().encode('souk/record/1\n'), bytes))
  const flipped = Uint8Array.from(sig, (byte, index) => (index === 0 ? byte ^ 1 : byte))
  const smallOrder = worked({ ...body, author: Uint8Array.of(1, ...new Uint8Array(31)) })
  return {
    'bad-work': {
      'twenty bits claimed, nonce 0': signBody(encodeCanonical({ ...body, pow: { bits: 20, nonce: 0 } }), signer),
      'work of another body': signBody(
        encodeCanonical({ ...body, seq: 7, pow: sealRecord(draft, signer, { workBits: 12 }).work }),
        signer
      )
    },
    'bad-signature': {
      'one bit flipped': encodeCanonical({ body: bytes, sig: flipped }),
      'all zeros': encodeCanonical({ body: bytes, sig: new Uint8Array(64) }),
      'signed by somebody else': signBody(bytes, stranger.signer),
      'signed without the prefix': encodeCanonical({ body: bytes, sig: signer.sign(bytes) }),
      'S raised by the group order': encodeCanonical({ body: bytes, sig: raiseS(sig) }),
      'an author of small order, for which R = A and S = 0 hold in lax verifiers': encodeCanonical({
        body: smallOrder,
        sig: Uint8Array.of(1, ...new Uint8Array(63))
      }),
      'a body changed after signing': encodeCanonical({ body: worked({ ...body, seq: 9 }), sig })
    }
  }
}

/** A body with work enough for any node that is idle: what is wrong besides is seen by one that asks for work, too. */
function worked(body: Body): Uint8Array {
  return encodeCanonical({ ...body, pow: findWork(encodeCanonical(body), 13) })
}

function badContents(people: People): Cases {
  const { signer } = people.seller
  const drafts = draftsOf(people)
  const sealed = (draft: RecordDraft, changes: Body): Uint8Array =>
    signBody(worked(bodyOf(withContent(draft, changes), signer)), signer)
  const keyed = (draft: RecordDraft, key: string): Uint8Array =>
    signBody(worked(bodyOf({ ...draft, key }, signer)), signer)
  const [image] = listing.images
  const [ship] = listing.delivery
  const [escrow] = listing.settlements
  return {
    'listing without a title': sealed(drafts.listing, { title: '' }),
    'title of two lines': sealed(drafts.listing, { title: 'two\nlines' }),
    'title of 141 characters': sealed(drafts.listing, { title: 'x'.repeat(141) }),
    'title with spaces around it': sealed(drafts.listing, { title: ' Lens' }),
    'title that is not NFC': sealed(drafts.listing, { title: 'Ko\u0308ln' }),
    'title with a bidirectional override': sealed(drafts.listing, { title: 'lens\u202Egnp.exe' }),
    'description with a control character': sealed(drafts.listing, { description: 'a\u0007b' }),
    'a category of no vertical': sealed(drafts.listing, { category: 'zz-1' }),
    'key of another vertical than the category': keyed(drafts.listing, 'el.4f7c09a1'),
    'listing key without its category': keyed(drafts.listing, '4f7c09a1'),
    'tombstone with a key of no vertical': signBody(
      worked(bodyOf({ ...drafts.listing, key: 'zz.4f7c09a1', content: null }, signer)),
      signer
    ),
    'price as a number': sealed(drafts.listing, { price: { minor: 4500, currency: 'EUR' } }),
    'price below zero': sealed(drafts.listing, { price: { minor: '-1', currency: 'EUR' } }),
    'price with a leading zero': sealed(drafts.listing, { price: { minor: '045', currency: 'EUR' } }),
    'price of forty digits': sealed(drafts.listing, { price: { minor: '1'.repeat(40), currency: 'EUR' } }),
    'price in no currency': sealed(drafts.listing, { price: { minor: '45', currency: 'euro' } }),
    'quantity of half a piece': sealed(drafts.listing, { quantity: 0.5 }),
    'thirteen images': sealed(drafts.listing, { images: Array.from({ length: 13 }, () => image) }),
    'image of more than 1 MiB': sealed(drafts.listing, { images: [{ ...image, bytes: 1_048_577 }] }),
    'image linked by CID version 0': sealed(drafts.listing, {
      images: [{ ...image, image: CID.createV0(linkTo('image').multihash as never) }]
    }),
    'image linked by the identity hash': sealed(drafts.listing, {
      images: [{ ...image, image: CID.createV1(0x55, createDigest(0, new Uint8Array(32))) }]
    }),
    'image linked as a DAG': sealed(drafts.listing, {
      images: [{ ...image, image: CID.createV1(0x70, linkTo('image').multihash) }]
    }),
    'image linked as text': sealed(drafts.listing, { images: [{ ...image, image: linkTo('image').toString() }] }),
    'a way of delivery of a later version': sealed(drafts.listing, { delivery: [{ kind: 'drone' }] }),
    'a country that is none': sealed(drafts.listing, { delivery: [{ ...ship, to: ['Germany'] }] }),
    'escrow contract in mixed case': sealed(drafts.listing, {
      settlements: [{ ...escrow, contract: `0x${'A1'.repeat(20)}` }]
    }),
    'escrow on a chain that is not EVM': sealed(drafts.listing, {
      settlements: [{ ...escrow, chain: 'bip122:000000000019d668' }]
    }),
    'a place to the metre': sealed(drafts.listing, { place: { country: 'DE', geohash: 'u1hcyqbn' } }),
    'profile with a key': keyed(drafts.profile, 'ana'),
    'profile with a prekey of a peer without a name': sealed(drafts.profile, {
      prekeys: [{ key: fill(9), expiresAt: nowMs, peer: '' }]
    }),
    'profile with nine prekeys': sealed(drafts.profile, {
      prekeys: Array.from({ length: 9 }, (_, n) => ({ key: fill(n), expiresAt: nowMs, peer: `peer${n}` }))
    }),
    'presence with a key': keyed(drafts.presence, 'ana'),
    'presence of nobody': sealed(drafts.presence, { peers: [] }),
    'presence without a time': sealed(drafts.presence, { peers: [{ id: 'peer', addresses: [] }] }),
    'profile without a name': sealed(drafts.profile, { name: '' }),
    'profile without prekeys': sealed(drafts.profile, { prekeys: [] }),
    'profile with nine peers': sealed(drafts.profile, {
      peers: Array.from({ length: 9 }, (_, index) => ({ id: `peer${index}`, addresses: [] }))
    }),
    'profile with a commitment of 31 bytes': sealed(drafts.profile, { next: new Uint8Array(31) }),
    'feedback of six stars': signBody(
      worked(bodyOf(withContent(drafts.feedback, { stars: 6 }), people.buyer.signer)),
      people.buyer.signer
    )
  }
}

function badFeedbacks(people: People): Partial<Record<RecordErrorCode, Cases>> {
  const { seller, buyer, stranger } = people
  const draft = draftsOf(people).feedback
  const by = ({ signer }: Identity, changes: Partial<RecordDraft>): Uint8Array =>
    signBody(worked({ ...bodyOf(draft, signer), ...changes }), signer)
  const content = feedbackOf(people)
  const { receipt: _, ...bare } = content
  const statement = statementOf(people)
  const { escrow: __, ...adrift } = statement
  const receiptSaying = (bytes: Uint8Array): typeof content => ({
    ...content,
    receipt: { ...content.receipt, statement: bytes }
  })
  const alone = { ...statement, buyer: buyer.signer.publicKey, seller: buyer.signer.publicKey }
  return {
    'not-deletable': {
      'tombstone of a feedback': by(buyer, { content: null }),
      'second version of a feedback': by(buyer, { seq: 1 })
    },
    'receipt-missing': {
      'feedback without a receipt': by(buyer, { content: bare as typeof content }),
      'statement that is not CBOR': by(buyer, { content: receiptSaying(Uint8Array.of(0xff)) }),
      'statement that is not canonical': by(buyer, {
        content: receiptSaying(rawMap(rawEntries(statement).toReversed()))
      }),
      'statement without terms': by(buyer, { content: receiptSaying(encodeCanonical({ ...statement, terms: null })) }),
      'escrow without its reference': by(buyer, { content: feedbackOf(people, adrift) })
    },
    'receipt-bad-signature': {
      'only the buyer signed': by(buyer, {
        content: { ...content, receipt: { ...content.receipt, sellerSig: new Uint8Array(64) } }
      }),
      'the buyer signed for both': by(buyer, {
        content: { ...content, receipt: { ...content.receipt, sellerSig: content.receipt.buyerSig } }
      }),
      'a statement changed after signing': by(buyer, {
        content: receiptSaying(encodeCanonical({ ...statement, price: { minor: '1', currency: 'EUR' } }))
      })
    },
    'receipt-mismatch': {
      'rated by a stranger': by(stranger, {}),
      'the seller claims the buyer’s role': by(seller, {}),
      'somebody else is rated': by(buyer, { content: { ...content, subject: stranger.signer.publicKey } }),
      'key of another order': by(buyer, { key: 'ab'.repeat(32) }),
      'rated before the statement': by(buyer, {
        content: feedbackOf(people, { ...statement, at: nowMs + 300_001 })
      }),
      'one person as both parties': by(buyer, {
        content: {
          ...content,
          subject: buyer.signer.publicKey,
          receipt: receiptOf(alone, { ...people, seller: buyer })
        }
      })
    }
  }
}

/** The code with which `bytes` are refused, or `undefined`. */
export function codeOf(bytes: Uint8Array, options: { nowMs: number }): RecordErrorCode | undefined {
  try {
    openRecord(bytes, options)
    return undefined
  } catch (error) {
    if (error instanceof RecordError) return error.code
    throw error
  }
}

function withContent(draft: RecordDraft, changes: Body): RecordDraft {
  return { ...draft, content: { ...draft.content, ...changes } } as RecordDraft
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a.length - b.length || (a < b ? -1 : 1)
}

/** A link around bytes that may be no CID. */
function tag42(cid: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(0xd8, 0x2a, 0x58, cid.length + 1, 0), cid)
}

function nested(levels: number): unknown {
  return levels === 0 ? 0 : [nested(levels - 1)]
}

/** `sig` and `body` exchanged; canonical order is by length. */
function swapEnvelope(bytes: Uint8Array): Uint8Array {
  const sigEnd = 1 + 4 + 2 + 64
  return concat(bytes.subarray(0, 1), bytes.subarray(sigEnd), bytes.subarray(1, sigEnd))
}

/** S + L: the same number modulo L, refused since RFC 8032. */
function raiseS(sig: Uint8Array): Uint8Array {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = sig.subarray(32).reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n) + order
  return Uint8Array.from(sig, (byte, index) => (index < 32 ? byte : Number((s >> BigInt(8 * (index - 32))) & 255n)))
}
