/**
 * Sealing: only the recipient can open, and only it can know who wrote.
 *
 * An ephemeral X25519 key meets the recipient's prekey; HKDF-SHA-256 makes of it a key, a nonce and a proof; the
 * padded text goes through XChaCha20-Poly1305. The sender's identity signs inside, over the text, the recipient and
 * both X25519 keys, so that the recipient cannot pass the message on as if it had been written to somebody else.
 * Outside stands a MAC of the text under a key that only the two know: it binds the box to one text, and whoever of
 * them shows text and key proves what was in it (exhibit.ts). Bytes and order: docs/protocol/messages.md.
 */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { encodeCanonical, sameBytes, type Signer, verifySignature } from '@souk/records'
import { decodeMap, expectShape } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import {
  acksMax,
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
  /** Proofs of boxes that the writer has processed, 32 bytes each. A letter that acknowledges has an empty payload. */
  readonly acks?: readonly Uint8Array[] | undefined
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
  readonly opening: Opening
}

/** What the recipient reads. */
export interface Unsealed extends Letter {
  /** Ed25519 public key of the sender. */
  readonly from: Uint8Array
  readonly replyKey: Uint8Array
  readonly proof: Uint8Array
  readonly opening: Opening
}

/** What either party can show of one box to a third, who then knows that it holds this letter, and nothing more. */
export interface Opening {
  /** Of the box: version, hint, ephemeral key and MAC. */
  readonly head: Uint8Array
  /** X25519 public key that the box is sealed to. */
  readonly prekey: Uint8Array
  readonly frankKey: Uint8Array
  /** The letter as it was sealed, without padding. */
  readonly letter: Uint8Array
}

/** What the recipient opens with. */
export interface UnsealKeys {
  /** Ed25519. */
  readonly recipient: Uint8Array
  /** X25519 secrets still held. */
  readonly secrets: readonly Uint8Array[]
}

/** A letter as it is signed, and for whom. Keys are 32 bytes. */
export interface SignedLetter extends Letter {
  readonly from: Uint8Array
  readonly replyKey: Uint8Array
  readonly signature: Uint8Array
}

/**
 * @throws {@link ProtocolError} `too-large` for the payload, `malformed` for the id or the acknowledgements, `weak-key`
 * for a prekey of small order.
 */
export function seal(init: SealInit): Sealed {
  if (init.payload.length > payloadBytesMax) {
    throw new ProtocolError('too-large', `a payload of ${init.payload.length} bytes is over ${payloadBytesMax}`)
  }
  expectShape(isMessageId(init.messageId), `a message id is 1 to ${messageIdCharsMax} visible ASCII characters`)
  const secret = init.ephemeralSecret ?? randomBytes(32)
  const ephemeral = x25519.getPublicKey(secret)
  const keys = { ephemeral, prekey: init.prekey, recipient: init.recipient }
  const { key, nonce, proof, frankKey } = deriveKeys(agree(secret, init.prekey), keys)
  const letter = encodeLetter(init, keys)
  const head = concatBytes(Uint8Array.of(version), hintOf(keys), ephemeral, frank(frankKey, letter))
  const box = concatBytes(head, xchacha20poly1305(key, nonce, head).encrypt(pad(letter)))
  return { box, proof, opening: { head, prekey: init.prekey, frankKey, letter } }
}

/**
 * Opens bytes from a stranger. Checks come in the order of their cost.
 *
 * @throws {@link ProtocolError} `too-large`, `malformed`, `bad-version`, `unknown-prekey`, `weak-key`, `not-openable`,
 * `bad-padding`, `bad-frank` or `bad-signature`; never anything else.
 */
export function unseal(box: Uint8Array, held: UnsealKeys): Unsealed {
  checkSize(box)
  const head = box.slice(0, boxHeadBytes)
  const ephemeral = ephemeralOf(head)
  const { secret, keys } = findSecret(head, held)
  const { key, nonce, proof, frankKey } = deriveKeys(agree(secret, ephemeral), keys)
  const bytes = unpad(decrypt({ key, nonce, head }, box.subarray(boxHeadBytes)))
  const opening = { head, prekey: keys.prekey, frankKey, letter: bytes.slice() }
  const { signature: _, ...letter } = checkOpening(opening, held.recipient)
  return { ...letter, proof, opening }
}

/**
 * Checks that a box holds this letter, and that its writer wrote it to `recipient`.
 *
 * @throws {@link ProtocolError} `bad-version`, `malformed`, `bad-frank` or `bad-signature`.
 */
export function checkOpening(opening: Opening, recipient: Uint8Array): SignedLetter {
  const { head, prekey, frankKey, letter } = opening
  checkVersion(head)
  expectShape(isSealedTo(head, prekey), 'the head belongs to another prekey')
  if (!sameBytes(frank(frankKey, letter), head.subarray(boxHeadBytes - 32))) {
    throw new ProtocolError('bad-frank', 'the box was made for another text')
  }
  const inner = decodeLetter(letter)
  const message = signedBytes(inner, { ephemeral: ephemeralOf(head), prekey, recipient, from: inner.from })
  if (!verifySignature({ signature: inner.signature, message, publicKey: inner.from })) {
    throw new ProtocolError('bad-signature', 'the sender did not write this to this recipient')
  }
  return inner
}

/** Whether a box is sealed to a prekey, by its public half: one hash. False for what is no box. */
export function isSealedTo(box: Uint8Array, prekey: Uint8Array): boolean {
  if (box.length < boxHeadBytes) return false
  return sameBytes(box.subarray(1, 9), hintOf({ ephemeral: ephemeralOf(box), prekey }))
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
const frankInfo = utf8ToBytes('souk/frank/1\n')

interface BoxKeys {
  readonly ephemeral: Uint8Array
  readonly prekey: Uint8Array
  readonly recipient: Uint8Array
}

/** Which prekey a box is sealed to, of use only to who holds the prekey; differs in every box. */
function hintOf({ ephemeral, prekey }: Pick<BoxKeys, 'ephemeral' | 'prekey'>): Uint8Array {
  return sha256(concatBytes(hintInfo, ephemeral, prekey)).subarray(0, 8)
}

function ephemeralOf(head: Uint8Array): Uint8Array {
  return head.slice(9, 41)
}

function frank(frankKey: Uint8Array, letter: Uint8Array): Uint8Array {
  return hmac(sha256, frankKey, concatBytes(frankInfo, letter))
}

function agree(secret: Uint8Array, publicKey: Uint8Array): Uint8Array {
  try {
    return x25519.getSharedSecret(secret, publicKey)
  } catch (cause) {
    throw new ProtocolError('weak-key', 'the X25519 key is of small order: anybody could open the box', { cause })
  }
}

interface DerivedKeys {
  readonly key: Uint8Array
  readonly nonce: Uint8Array
  readonly proof: Uint8Array
  readonly frankKey: Uint8Array
}

function deriveKeys(shared: Uint8Array, keys: BoxKeys): DerivedKeys {
  const salt = concatBytes(keys.ephemeral, keys.prekey)
  const bytes = hkdf(sha256, shared, salt, concatBytes(sealInfo, keys.recipient), 120)
  const [proof, frankKey] = [bytes.slice(56, 88), bytes.slice(88)]
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32, 56), proof, frankKey }
}

function encodeLetter(letter: SealInit, keys: BoxKeys): Uint8Array {
  const { from, replyKey: reply } = letter
  const sig = from.sign(signedBytes(letter, { ...keys, from: from.publicKey }))
  return encodeCanonical({ from: from.publicKey, ...fieldsOf(letter), reply, sig })
}

/** The fields that say something; no `acks` where nothing is acknowledged. */
function fieldsOf({ messageId: id, payload: body, sentAtMs: at, acks = [] }: Letter): Record<string, unknown> {
  expectShape(acks.length === 0 || body.length === 0, 'a letter that acknowledges says nothing else')
  expectShape(acks.length <= acksMax, `a letter acknowledges at most ${acksMax} others`)
  return { id, at, body, ...(acks.length > 0 && { acks: concatBytes(...acks) }) }
}

function signedBytes(
  letter: Letter & { replyKey: Uint8Array },
  { ephemeral, prekey, recipient: to, from }: BoxKeys & { from: Uint8Array }
): Uint8Array {
  const fields = { from, to, ephemeral, prekey, ...fieldsOf(letter), reply: letter.replyKey }
  return concatBytes(signatureInfo, encodeCanonical(fields))
}

function decodeLetter(bytes: Uint8Array): SignedLetter {
  const { from, id, at, body, acks, reply, sig, ...rest } = decodeMap(bytes, paddedBytesMax)
  expectShape(Object.keys(rest).length === 0, 'a letter has no other fields')
  expectShape(isBytes(from, 32) && isBytes(reply, 32) && isBytes(sig, 64), 'keys are 32 bytes, signatures 64')
  expectShape(isMessageId(id), 'a letter has an id')
  expectShape(Number.isSafeInteger(at) && (at as number) >= 0, '`at` is milliseconds since 1970')
  expectShape(body instanceof Uint8Array && body.length <= payloadBytesMax, '`body` is bytes')
  const said = { messageId: id, sentAtMs: at as number, payload: new Uint8Array(body), ...decodeAcks(acks, body) }
  return { from, replyKey: reply, signature: sig, ...said }
}

function decodeAcks(acks: unknown, body: Uint8Array): Pick<Letter, 'acks'> {
  if (acks === undefined) return {}
  const isWhole = acks instanceof Uint8Array && acks.length > 0 && acks.length % 32 === 0
  expectShape(isWhole && acks.length <= acksMax * 32, `\`acks\` is 1 to ${acksMax} proofs of 32 bytes`)
  expectShape(body.length === 0, 'a letter that acknowledges says nothing else')
  return { acks: Array.from({ length: acks.length / 32 }, (_, at) => acks.slice(at * 32, at * 32 + 32)) }
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
  checkVersion(box)
}

function checkVersion([found]: Uint8Array): void {
  if (found !== version) throw new ProtocolError('bad-version', `version ${found} is not ${version}`)
}

function findSecret(head: Uint8Array, { secrets, recipient }: UnsealKeys): { secret: Uint8Array; keys: BoxKeys } {
  for (const secret of secrets) {
    const prekey = x25519.getPublicKey(secret)
    if (isSealedTo(head, prekey)) return { secret, keys: { ephemeral: ephemeralOf(head), prekey, recipient } }
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
