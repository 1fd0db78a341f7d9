import type { Signer } from '@souk/records'
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js'
import type { EventErrorCode, EventType } from '../../src/index.ts'
import { buyer, encode, seller, start, tell } from '../world.ts'

export interface EventVectors {
  readonly nowMs: number
  readonly valid: readonly { readonly type: EventType; readonly bytes: string; readonly id: string }[]
  readonly invalid: readonly { readonly name: string; readonly bytes: string; readonly code: EventErrorCode }[]
}

const prefix = new TextEncoder().encode('souk/order/1\n')
const order = hexToBytes(tell('direct').state().order)
const head = hexToBytes(tell('direct').state().heads[0] ?? '')

const body = { v: 1, order, type: 'decline', author: seller.publicKey, prev: [head], at: start, payload: {} }

/** A signed event whatever its body is. */
function signed(fields: unknown, signer: Signer = seller): Uint8Array {
  return envelope(encode(fields), signer)
}

function envelope(bytes: Uint8Array, signer: Signer = seller): Uint8Array {
  return encode({ body: bytes, sig: signer.sign(concatBytes(prefix, bytes)) })
}

function nested(depth: number): unknown {
  return depth === 0 ? 1 : [nested(depth - 1)]
}

/** Both fields, but the longer name first. */
function unsorted(): Uint8Array {
  const bytes = encode(body)
  const fields = ['body', bytes, 'sig', seller.sign(concatBytes(prefix, bytes))]
  return concatBytes(new Uint8Array([0xa2]), ...fields.map(encode))
}

/** In the first byte of the signature, which stands at the eighth place: names are sorted by length. */
function flipped(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, at) => (at === 7 ? byte ^ 1 : byte))
}

const invalid: readonly [string, EventErrorCode, () => Uint8Array][] = [
  ['17 kB', 'too-large', () => signed({ ...body, payload: { reason: 'x'.repeat(17_000) } })],
  ['no bytes', 'not-cbor', () => new Uint8Array()],
  ['text', 'not-cbor', () => new TextEncoder().encode('{"body":1}')],
  ['an envelope cut short', 'not-cbor', () => signed(body).slice(0, -1)],
  ['a deep payload', 'too-deep', () => signed({ ...body, payload: { reason: nested(20) } })],
  ['names out of order', 'not-canonical', unsorted],
  [
    'an integer longer than it need be',
    'not-cbor',
    () => envelope(hexToBytes(bytesToHex(encode(body)).replace('617601', '61761801')))
  ],
  ['a byte after the end', 'not-cbor', () => concatBytes(signed(body), new Uint8Array([0]))],
  ['a list for an envelope', 'bad-envelope', () => encode([encode(body), new Uint8Array(64)])],
  [
    'a third field in the envelope',
    'bad-envelope',
    () => encode({ body: encode(body), sig: new Uint8Array(64), more: 1 })
  ],
  ['a short signature', 'bad-envelope', () => encode({ body: encode(body), sig: new Uint8Array(63) })],
  ['a body that is no map', 'bad-body', () => signed([1])],
  ['version 2', 'bad-version', () => signed({ ...body, v: 2 })],
  ['a type that nobody knows', 'unknown-type', () => signed({ ...body, type: 'give-me-money' })],
  ['a type that is a number', 'unknown-type', () => signed({ ...body, type: 7 })],
  ['a type of every object', 'unknown-type', () => signed({ ...body, type: 'constructor' })],
  ['a field that nobody knows', 'bad-body', () => signed({ ...body, role: 'buyer' })],
  ['a short order', 'bad-body', () => signed({ ...body, order: new Uint8Array(31) })],
  ['a short author', 'bad-body', () => signed({ ...body, author: new Uint8Array(31) })],
  ['no heads after the first', 'bad-body', () => signed({ ...body, prev: [] })],
  ['heads before the first', 'bad-body', () => signed({ ...body, type: 'request' })],
  [
    'nine heads',
    'bad-body',
    () => signed({ ...body, prev: Array.from({ length: 9 }, (_, at) => new Uint8Array(32).fill(at)) })
  ],
  [
    'heads out of order',
    'bad-body',
    () => signed({ ...body, prev: [new Uint8Array(32).fill(2), new Uint8Array(32).fill(1)] })
  ],
  ['one head twice', 'bad-body', () => signed({ ...body, prev: [head, head] })],
  ['a time that is a fraction', 'bad-body', () => signed({ ...body, at: 1.5 })],
  ['a time before 1970', 'bad-body', () => signed({ ...body, at: -1 })],
  ['a payload that is a list', 'bad-body', () => signed({ ...body, payload: [] })],
  ['six minutes ahead', 'not-yet-valid', () => signed({ ...body, at: start + 360_000 })],
  ['a flipped bit in the signature', 'bad-signature', () => flipped(signed(body))],
  ['signed by another', 'bad-signature', () => signed(body, buyer)],
  ['an author of small order', 'bad-signature', () => signed({ ...body, author: new Uint8Array(32) })],
  ['a payload without its field', 'bad-payload', () => signed({ ...body, type: 'handover' })],
  [
    'a secret that is too short',
    'bad-payload',
    () => signed({ ...body, type: 'handover', payload: { secret: new Uint8Array(15) } })
  ],
  ['a reason with a control character', 'bad-payload', () => signed({ ...body, payload: { reason: 'a\u0000b' } })],
  ['a reason of 1,001 characters', 'bad-payload', () => signed({ ...body, payload: { reason: 'x'.repeat(1001) } })],
  ['a null where a field is left out', 'bad-payload', () => signed({ ...body, payload: { reason: null } })],
  ['an amount with a sign', 'bad-payload', () => signed({ ...body, type: 'settle-offer', payload: { toSeller: '-1' } })]
]

export function eventVectors(): EventVectors {
  const story = tell('direct').says('seller', 'accept').says('buyer', 'paid').says('seller', 'payment-received')
  const { events } = story.says('seller', 'ship').says('buyer', 'confirm').says('seller', 'close')
  return {
    nowMs: start,
    valid: events.map(({ type, bytes, id }) => ({ type, bytes: bytesToHex(bytes), id })),
    invalid: invalid.map(([name, code, make]) => ({ name, bytes: bytesToHex(make()), code }))
  }
}
