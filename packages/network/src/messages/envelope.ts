/**
 * The envelope around a box: what a relay, and a recipient before it decrypts anything, can check. It is signed either
 * by the key of a conversation, which only its two parties can derive, or, on first contact, by a throw-away key
 * with proof of work. Neither tells an onlooker who wrote.
 */
import { x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 as portableSha256 } from '@noble/hashes/sha2.js'
import { concatBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import {
  compareBytes,
  encodeCanonical,
  findWork,
  type Signer,
  signerFromKey,
  verifySignature,
  type Work
} from '@souk/records'
import { decodeMap, expectShape } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import { sha256 } from '../sha256.ts'
import { boxBytesMax, envelopeBytesMax, workBitsMax } from './limits.ts'

/** An envelope as it was read. */
export interface Envelope {
  /** Identity of the recipient, 32 bytes. */
  readonly to: Uint8Array
  /** The key that signed the envelope, 32 bytes: a conversation's, or a throw-away one. */
  readonly by: Uint8Array
  readonly box: Uint8Array
  /** Bits of work that were checked; 0 when none is claimed. */
  readonly workBits: number
  /** SHA-256 of the bytes: how a mailbox names it. */
  readonly digest: Uint8Array
  readonly bytes: Uint8Array
}

/** Puts a box into an envelope that the conversation's key signs. */
export function writeEnvelope(init: { to: Uint8Array; box: Uint8Array; by: Signer }): Uint8Array {
  const { to, box, by } = init
  return signEnvelope({ v: 1, to, by: by.publicKey, box }, by)
}

/** Puts a box into an envelope for somebody who does not know the sender yet. Blocks for about 2^bits hashes. */
export function writeFirstEnvelope(init: { to: Uint8Array; box: Uint8Array; bits: number }): Uint8Array {
  const by = signerFromKey(randomBytes(32))
  const plain = { v: 1, to: init.to, by: by.publicKey, box: init.box }
  const { bits, nonce } = findWork(encodeCanonical(plain), init.bits)
  return signEnvelope({ ...plain, pow: { bits, nonce } }, by)
}

/** An envelope whose form and work hold, and whose signature nobody has looked at. */
export interface UncheckedEnvelope extends Omit<Envelope, 'bytes'> {
  readonly sizeBytes: number
  /**
   * Verifies the signature: a hundred times the cost of all before.
   *
   * @throws {@link ProtocolError} `bad-signature`.
   */
  check(): Envelope
}

/**
 * Reads an envelope as far as hashes go, so that its reader can turn it away before anything is verified or decrypted.
 *
 * @throws {@link ProtocolError} `too-large`, `malformed`, `bad-version` or `work-missing` (claimed, not done).
 */
export function readEnvelope(bytes: Uint8Array): UncheckedEnvelope {
  const { sig, ...fields } = decodeMap(bytes, envelopeBytesMax)
  const { v, to, by, box, pow, ...rest } = fields
  if (v !== 1) throw new ProtocolError('bad-version', 'version 1 is the only one known')
  expectShape(Object.keys(rest).length === 0, 'an envelope has no other fields')
  expectShape(isBytes(to, 32) && isBytes(by, 32) && isBytes(sig, 64), 'keys are 32 bytes, signatures 64')
  expectShape(box instanceof Uint8Array && box.length <= boxBytesMax, '`box` is bytes')
  const workBits = checkWork(pow, { v, to, by, box })
  const known = { to, by, box: new Uint8Array(box), workBits, digest: sha256(bytes) }
  return {
    ...known,
    sizeBytes: bytes.length,
    check() {
      if (!verifySignature({ signature: sig, message: signedBytes(fields), publicKey: by })) {
        throw new ProtocolError('bad-signature', 'the key named by the envelope did not sign it')
      }
      return { ...known, bytes: new Uint8Array(bytes) }
    }
  }
}

/**
 * Reads an envelope; its signature and its work hold. Whether its key is one to let in is the reader's question.
 *
 * @throws {@link ProtocolError} as {@link readEnvelope}, or `bad-signature`.
 */
export function openEnvelope(bytes: Uint8Array): Envelope {
  return readEnvelope(bytes).check()
}

/**
 * The key that both parties of a conversation, and nobody else, can derive, and sign their envelopes with.
 *
 * @param init.secret - Own X25519 secret, the one whose public key is told as `replyKey`.
 * @param init.replyKey - The other's X25519 public key.
 * @param init.parties - Both identities, in any order.
 * @throws {@link ProtocolError} `weak-key` when the other's key is of small order.
 */
export function conversationSigner(init: {
  secret: Uint8Array
  replyKey: Uint8Array
  parties: readonly [Uint8Array, Uint8Array]
}): Signer {
  const [first, second] = init.parties.toSorted(compareBytes) as [Uint8Array, Uint8Array]
  try {
    const shared = x25519.getSharedSecret(init.secret, init.replyKey)
    return signerFromKey(hkdf(portableSha256, shared, concatBytes(first, second), conversationInfo, 32))
  } catch (cause) {
    throw new ProtocolError('weak-key', 'the X25519 key is of small order', { cause })
  }
}

const conversationInfo = utf8ToBytes('souk/conversation/1\n')
const signatureInfo = utf8ToBytes('souk/envelope/1\n')

function signEnvelope(fields: Record<string, unknown>, by: Signer): Uint8Array {
  return encodeCanonical({ ...fields, sig: by.sign(signedBytes(fields)) })
}

function signedBytes(fields: Record<string, unknown>): Uint8Array {
  return concatBytes(signatureInfo, encodeCanonical(fields))
}

/** The rule of records: SHA-256(SHA-256(body without `pow`) ‖ nonce, 8 bytes big-endian) begins with `bits` zeros. */
function checkWork(pow: unknown, plain: Record<string, unknown>): number {
  if (pow === undefined) return 0
  const { bits, nonce } = pow as Partial<Work>
  expectShape(isCount(bits) && bits <= workBitsMax && isCount(nonce), '`pow` has bits and a nonce')
  const challenge = new Uint8Array(40)
  challenge.set(sha256(encodeCanonical(plain)))
  new DataView(challenge.buffer).setBigUint64(32, BigInt(nonce))
  if (zeroBits(sha256(challenge)) < bits) {
    throw new ProtocolError('work-missing', `the nonce does not reach the ${bits} bits that are claimed`)
  }
  return bits
}

function zeroBits(hash: Uint8Array): number {
  const first = hash.findIndex((byte) => byte !== 0)
  return first === -1 ? hash.length * 8 : first * 8 + Math.clz32(hash[first] ?? 0) - 24
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
