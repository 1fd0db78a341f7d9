/**
 * Sealing: only the recipient can open, and only it can know who wrote.
 *
 * An ephemeral X25519 key meets the recipient's prekey; HKDF-SHA-256 makes of it a key, a nonce and a proof; the
 * padded text goes through XChaCha20-Poly1305. The sender's identity signs inside, over the text, the recipient and
 * both X25519 keys, so that the recipient cannot pass the message on as if it had been written to somebody else.
 * Bytes and order: docs/protocol/messages.md.
 */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { encodeCanonical, sameBytes, type Signer, verifySignature } from '@souk/records'
import { decodeMap, expectShape } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import {
  boxBytesMax,
  boxHeadBytes,
  messageIdCharsMax,
  paddedBytesMax,
  paddedBytesMin,
  payloadBytesMax,
  tagBytes
} from './limits.ts'

/** What is sealed. */
export interface Letter {
  /** Names the message for both sides; the sender never uses it for another. 1 to 128 visible ASCII characters. */
  readonly messageId: string
  /** At most {@link payloadBytesMax} bytes. */
  readonly payload: Uint8Array
  /** By the sender's clock. */
  readonly sentAtMs: number
}

/** What {@link seal} needs. Public keys are 32 bytes. */
export interface SealInit extends Letter {
  readonly from: Signer
  /** Ed25519. */
  readonly recipient: Uint8Array
  /** X25519, from the recipient's profile. */
  readonly prekey: Uint8Array
  /** X25519: where the sender's own messages are sealed to in an ongoing conversation. */
  readonly replyKey: Uint8Array
  /** 32 random bytes, for test vectors only: used twice it gives the text away. */
  readonly ephemeralSecret?: Uint8Array
}

/** A sealed message. */
export interface Sealed {
  readonly box: Uint8Array
  /** 32 bytes that only sender and recipient can know: the recipient shows them to acknowledge. */
  readonly proof: Uint8Array
}

/** What the recipient reads. */
export interface Unsealed extends Letter {
  /** Ed25519 public key of the sender. */
  readonly from: Uint8Array
  readonly replyKey: Uint8Array
  readonly proof: Uint8Array
}

/** What the recipient opens with. */
export interface UnsealKeys {
  /** Ed25519. */
  readonly recipient: Uint8Array
  /** X25519 secrets still held. */
  readonly secrets: readonly Uint8Array[]
}

/**
 * @throws {@link ProtocolError} `too-large` for the payload, `malformed` for the id, `weak-key` for a prekey of small
 * order.
 */
export function seal(init: SealInit): Sealed {
  if (init.payload.length > payloadBytesMax) {
    throw new ProtocolError('too-large', `a payload of ${init.payload.length} bytes is over ${payloadBytesMax}`)
  }
  expectShape(isMessageId(init.messageId), `a message id is 1 to ${messageIdCharsMax} visible ASCII characters`)
  const secret = init.ephemeralSecret ?? randomBytes(32)
  const ephemeral = x25519.getPublicKey(secret)
  const keys = { ephemeral, prekey: init.prekey, recipient: init.recipient }
  const { key, nonce, proof } = deriveKeys(agree(secret, init.prekey), keys)
  const head = concatBytes(Uint8Array.of(version), hintOf(keys), ephemeral)
  const padded = pad(encodeInner(init, keys))
  return { box: concatBytes(head, xchacha20poly1305(key, nonce, head).encrypt(padded)), proof }
}

/**
 * Opens bytes from a stranger. Checks come in the order of their cost.
 *
 * @throws {@link ProtocolError} `too-large`, `malformed`, `bad-version`, `unknown-prekey`, `weak-key`, `not-openable`,
 * `bad-padding` or `bad-signature`; never anything else.
 */
export function unseal(box: Uint8Array, held: UnsealKeys): Unsealed {
  checkSize(box)
  const head = box.subarray(0, boxHeadBytes)
  const ephemeral = new Uint8Array(head.subarray(9))
  const { secret, keys } = findSecret(head.subarray(1, 9), ephemeral, held)
  const { key, nonce, proof } = deriveKeys(agree(secret, ephemeral), keys)
  const inner = decodeInner(unpad(decrypt({ key, nonce, head }, box.subarray(boxHeadBytes))))
  const message = signedBytes(inner, { ...keys, from: inner.from })
  if (!verifySignature({ signature: inner.signature, message, publicKey: inner.from })) {
    throw new ProtocolError('bad-signature', 'the sender did not write this to this recipient')
  }
  const { from, messageId, payload, sentAtMs, replyKey } = inner
  return { from, messageId, payload, sentAtMs, replyKey, proof }
}

/**
 * Which of a profile's prekeys to seal to: the newest that is still valid.
 *
 * @throws {@link ProtocolError} `expired` when none is.
 */
export function choosePrekey(
  prekeys: readonly { readonly key: Uint8Array; readonly expiresAt: number }[],
  options: { nowMs: number }
): Uint8Array {
  const valid = prekeys.find(({ expiresAt }) => expiresAt > options.nowMs)
  if (valid === undefined) throw new ProtocolError('expired', 'all prekeys of the profile have expired; fetch it again')
  return valid.key
}

/** True for what may name a message. */
export function isMessageId(value: unknown): value is string {
  return typeof value === 'string' && messageIdPattern.test(value)
}

const version = 1
const messageIdPattern = new RegExp(`^[!-~]{1,${messageIdCharsMax}}$`)
const sealInfo = utf8ToBytes('souk/seal/1\n')
const hintInfo = utf8ToBytes('souk/hint/1\n')
const signatureInfo = utf8ToBytes('souk/letter/1\n')

interface BoxKeys {
  readonly ephemeral: Uint8Array
  readonly prekey: Uint8Array
  readonly recipient: Uint8Array
}

interface Inner extends Letter {
  readonly from: Uint8Array
  readonly replyKey: Uint8Array
  readonly signature: Uint8Array
}

/** Which prekey a box is sealed to, of use only to who holds the prekey; differs in every box. */
function hintOf({ ephemeral, prekey }: BoxKeys): Uint8Array {
  return sha256(concatBytes(hintInfo, ephemeral, prekey)).subarray(0, 8)
}

function agree(secret: Uint8Array, publicKey: Uint8Array): Uint8Array {
  try {
    return x25519.getSharedSecret(secret, publicKey)
  } catch (cause) {
    throw new ProtocolError('weak-key', 'the X25519 key is of small order: anybody could open the box', { cause })
  }
}

function deriveKeys(shared: Uint8Array, keys: BoxKeys): { key: Uint8Array; nonce: Uint8Array; proof: Uint8Array } {
  const salt = concatBytes(keys.ephemeral, keys.prekey)
  const bytes = hkdf(sha256, shared, salt, concatBytes(sealInfo, keys.recipient), 88)
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32, 56), proof: bytes.slice(56) }
}

function encodeInner(letter: SealInit, keys: BoxKeys): Uint8Array {
  const { from, messageId: id, payload: body, sentAtMs: at, replyKey: reply } = letter
  const sig = from.sign(signedBytes(letter, { ...keys, from: from.publicKey }))
  return encodeCanonical({ from: from.publicKey, id, at, body, reply, sig })
}

function signedBytes(
  { messageId: id, payload: body, sentAtMs: at, replyKey: reply }: Letter & { replyKey: Uint8Array },
  { ephemeral, prekey, recipient: to, from }: BoxKeys & { from: Uint8Array }
): Uint8Array {
  return concatBytes(signatureInfo, encodeCanonical({ from, to, ephemeral, prekey, id, at, body, reply }))
}

function decodeInner(bytes: Uint8Array): Inner {
  const { from, id, at, body, reply, sig, ...rest } = decodeMap(bytes, paddedBytesMax)
  expectShape(Object.keys(rest).length === 0, 'a letter has no other fields')
  expectShape(isBytes(from, 32) && isBytes(reply, 32) && isBytes(sig, 64), 'keys are 32 bytes, signatures 64')
  expectShape(isMessageId(id), 'a letter has an id')
  expectShape(Number.isSafeInteger(at) && (at as number) >= 0, '`at` is milliseconds since 1970')
  expectShape(body instanceof Uint8Array && body.length <= payloadBytesMax, '`body` is bytes')
  const payload = new Uint8Array(body)
  return { from, messageId: id, sentAtMs: at as number, payload, replyKey: reply, signature: sig }
}

/** One byte 0x80, then zeros, up to the next power of two (ISO/IEC 7816-4). */
function pad(bytes: Uint8Array): Uint8Array {
  const size = Math.max(paddedBytesMin, 2 ** Math.ceil(Math.log2(bytes.length + 1)))
  const padded = new Uint8Array(size)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  return padded
}

function unpad(padded: Uint8Array): Uint8Array {
  const end = padded.findLastIndex((byte) => byte !== 0)
  if (padded[end] !== 0x80) throw new ProtocolError('bad-padding', 'padding is 0x80 and zeros')
  return padded.subarray(0, end)
}

function checkSize(box: Uint8Array): void {
  if (box.length > boxBytesMax) throw new ProtocolError('too-large', `a box is at most ${boxBytesMax} bytes`)
  const padded = box.length - boxHeadBytes - tagBytes
  expectShape(
    padded >= paddedBytesMin && Number.isInteger(Math.log2(padded)),
    'the text of a box is a power of two long'
  )
  if (box[0] !== version) throw new ProtocolError('bad-version', `version ${box[0]} is not ${version}`)
}

function findSecret(
  hint: Uint8Array,
  ephemeral: Uint8Array,
  { secrets, recipient }: UnsealKeys
): { secret: Uint8Array; keys: BoxKeys } {
  for (const secret of secrets) {
    const keys = { ephemeral, prekey: x25519.getPublicKey(secret), recipient }
    if (sameBytes(hintOf(keys), hint)) return { secret, keys }
  }
  throw new ProtocolError('unknown-prekey', 'sealed to a prekey that is not, or no longer, held here')
}

function decrypt(
  { key, nonce, head }: { key: Uint8Array; nonce: Uint8Array; head: Uint8Array },
  ciphertext: Uint8Array
): Uint8Array {
  try {
    return xchacha20poly1305(key, nonce, head).decrypt(ciphertext)
  } catch (cause) {
    throw new ProtocolError('not-openable', 'the box was altered, or sealed for another identity', { cause })
  }
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}
