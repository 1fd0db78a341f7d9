/**
 * Writes seal.json: `node --conditions=@souk/source packages/network/test/vectors/make-seal.ts`.
 *
 * The invalid half is made of boxes that a hostile sender can make, so the sealing is written out here once more,
 * from docs/protocol/messages.md and apart from the code under test, with a place for each fault.
 */
import { writeFileSync } from 'node:fs'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { encodeCanonical, signerFromKey } from '@souk/records'

const fill = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const secrets = { sender: fill(1), recipient: fill(2), prekeySecret: fill(3), ephemeralSecret: fill(5) }
const sender = signerFromKey(secrets.sender)
const recipient = signerFromKey(secrets.recipient).publicKey
const third = signerFromKey(fill(6)).publicKey
const prekey = x25519.getPublicKey(secrets.prekeySecret)
const reply = x25519.getPublicKey(fill(4))
const ephemeral = x25519.getPublicKey(secrets.ephemeralSecret)
const at = 1_790_000_000_000

interface Faults {
  id?: unknown
  at?: unknown
  body?: Uint8Array
  acks?: unknown
  to?: Uint8Array
  extra?: Record<string, unknown>
  padding?: (inner: Uint8Array) => Uint8Array
  version?: number
  ephemeral?: Uint8Array
  hint?: Uint8Array
  inner?: Uint8Array
  franked?: Uint8Array
}

const pad = (inner: Uint8Array): Uint8Array => {
  let size = 256
  while (size < inner.length + 1) size *= 2
  return concatBytes(inner, Uint8Array.of(0x80), new Uint8Array(size - inner.length - 1))
}

function make(faults: Faults = {}): { box: string; proof: string; exhibit: string } {
  const { id = 'm-1', body = utf8ToBytes('hello'), to = recipient } = faults
  const time = faults.at ?? at
  const from = sender.publicKey
  const acks = faults.acks === undefined ? {} : { acks: faults.acks }
  const signed = encodeCanonical({ from, to, ephemeral, prekey, id, at: time, body, ...acks, reply })
  const sig = sender.sign(concatBytes(utf8ToBytes('souk/letter/1\n'), signed))
  const inner = faults.inner ?? encodeCanonical({ from, id, at: time, body, ...acks, reply, sig, ...faults.extra })
  const E = faults.ephemeral ?? ephemeral
  const shared = x25519.getSharedSecret(secrets.ephemeralSecret, prekey)
  const info = concatBytes(utf8ToBytes('souk/seal/1\n'), recipient)
  const okm = hkdf(sha256, shared, concatBytes(E, prekey), info, 120)
  const hint = faults.hint ?? sha256(concatBytes(utf8ToBytes('souk/hint/1\n'), E, prekey)).subarray(0, 8)
  const key = okm.subarray(88)
  const frank = hmac(sha256, key, concatBytes(utf8ToBytes('souk/frank/1\n'), faults.franked ?? inner))
  const head = concatBytes(Uint8Array.of(faults.version ?? 1), hint, E, frank)
  const cipher = xchacha20poly1305(okm.subarray(0, 32), okm.subarray(32, 56), head)
  const box = concatBytes(head, cipher.encrypt((faults.padding ?? pad)(inner)))
  const exhibit = encodeCanonical({ v: 1, to: recipient, head, prekey, key, letter: inner })
  return { box: bytesToHex(box), proof: bytesToHex(okm.subarray(56, 88)), exhibit: bytesToHex(exhibit) }
}

const flip = (hex: string, at: number): string => {
  const byte = Number.parseInt(hex.slice(at * 2, at * 2 + 2), 16) ^ 1
  return hex.slice(0, at * 2) + byte.toString(16).padStart(2, '0') + hex.slice(at * 2 + 2)
}

const valid = [
  { name: 'short', messageId: 'm-1', sentAtMs: at, payload: utf8ToBytes('hello') },
  { name: 'empty', messageId: 'a', sentAtMs: 0, payload: new Uint8Array() },
  { name: 'just over one padding step', messageId: 'order.7_b', sentAtMs: at, payload: fill(9).slice(0, 31) },
  { name: 'two thousand bytes', messageId: 'x'.repeat(128), sentAtMs: at, payload: new Uint8Array(2000).fill(7) }
].map(({ payload, ...letter }) => ({
  ...letter,
  payload: bytesToHex(payload),
  ...make({ id: letter.messageId, at: letter.sentAtMs, body: payload })
}))
const acks = concatBytes(fill(0xa1), fill(0xa2))
const acknowledging = { name: 'acknowledges two', messageId: 'ack', sentAtMs: at, payload: '', acks: bytesToHex(acks) }
valid.push({ ...acknowledging, ...make({ id: 'ack', body: new Uint8Array(), acks }) })

const good = make().box
const signedFor = (to: Uint8Array): string => make({ to }).box
const invalid = [
  { name: 'empty', box: '', code: 'malformed' },
  { name: 'text not a power of two long', box: good.slice(0, -2), code: 'malformed' },
  { name: 'version 2', box: make({ version: 2 }).box, code: 'bad-version' },
  { name: 'hint of another prekey', box: make({ hint: new Uint8Array(8) }).box, code: 'unknown-prekey' },
  { name: 'ephemeral key of small order', box: make({ ephemeral: new Uint8Array(32) }).box, code: 'weak-key' },
  { name: 'one bit of the MAC', box: flip(good, 50), code: 'not-openable' },
  { name: 'one bit of the text', box: flip(good, 90), code: 'not-openable' },
  { name: 'franked for another text', box: make({ franked: utf8ToBytes('another') }).box, code: 'bad-frank' },
  { name: 'one bit of the tag', box: flip(good, good.length / 2 - 1), code: 'not-openable' },
  { name: 'no padding mark', box: make({ padding: () => new Uint8Array(256) }).box, code: 'bad-padding' },
  { name: 'padding of ones', box: make({ padding: (inner) => concatBytes(inner, new Uint8Array(512 - inner.length).fill(1)) }).box, code: 'bad-padding' },
  { name: 'text is not dag-cbor', box: make({ inner: fill(0xff) }).box, code: 'malformed' },
  { name: 'an unknown field', box: make({ extra: { cc: third } }).box, code: 'malformed' },
  { name: 'acknowledgements and a text', box: make({ acks: fill(1) }).box, code: 'malformed' },
  { name: 'no acknowledgement', box: make({ body: new Uint8Array(), acks: new Uint8Array() }).box, code: 'malformed' },
  { name: 'acknowledgement of 33 bytes', box: make({ body: new Uint8Array(), acks: new Uint8Array(33) }).box, code: 'malformed' },
  { name: '65 acknowledgements', box: make({ body: new Uint8Array(), acks: new Uint8Array(65 * 32) }).box, code: 'malformed' },
  { name: 'id with a space', box: make({ id: 'm 1' }).box, code: 'malformed' },
  { name: 'negative time', box: make({ at: -1 }).box, code: 'malformed' },
  { name: 'signature of other bytes', box: make({ extra: { body: utf8ToBytes('hullo') } }).box, code: 'bad-signature' },
  { name: 'written to a third, resealed to the recipient', box: signedFor(third), code: 'bad-signature' }
]

const keys = Object.fromEntries(Object.entries({ ...secrets, replyKey: reply }).map(([name, bytes]) => [name, bytesToHex(bytes)]))
const about = 'docs/protocol/messages.md: senders and recipients are Ed25519 seeds, the others X25519; replyKey is public.'
const json = JSON.stringify({ about, keys, valid, invalid }, undefined, 2)
writeFileSync(new URL('seal.json', import.meta.url), `${json}\n`)
