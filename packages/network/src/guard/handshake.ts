import {
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hash,
  type KeyObject
} from 'node:crypto'
import type { PrivateKey } from '@libp2p/interface'
import type { Bytes } from './cipher.ts'

/** Of X25519 (RFC 7748), 32 bytes each. */
export interface KeyPair {
  readonly publicKey: Uint8Array
  readonly privateKey: Uint8Array
}

/** What a handshake of Noise agrees on keys with. */
export interface Agreement {
  generateKeypair(): KeyPair
  /** The secret that both sides have then, 32 bytes. */
  dh(ours: KeyPair, theirs: Bytes): Uint8Array
  /** SHA-256. */
  hash(data: Bytes): Uint8Array
}

/**
 * OpenSSL's, with keys that stay what it made of them. Noise hands it the bytes of three keys with each secret, and Node
 * finds out by errors that it throws and catches that these are no keys yet: 230 of 280 µs in a relay that takes in newcomers.
 */
export function createAgreement(): Agreement {
  const ours = new WeakMap<KeyPair, KeyObject>()
  const theirs = new WeakMap<Bytes, KeyObject>()
  return {
    generateKeypair() {
      const { publicKey, privateKey } = generateKeyPairSync('x25519')
      const pair: KeyPair = {
        publicKey: bytesIn(publicKey, 'x'),
        // Nobody asks, unless session keys are being logged.
        get privateKey() {
          return bytesIn(privateKey, 'd')
        }
      }
      ours.set(pair, privateKey)
      return pair
    },
    dh(pair, bytes) {
      let privateKey = ours.get(pair)
      if (privateKey === undefined) ours.set(pair, (privateKey = privateKeyOf(pair)))
      // Each side's first key is used twice.
      let publicKey = theirs.get(bytes)
      if (publicKey === undefined) theirs.set(bytes, (publicKey = publicKeyOf(bytes.subarray())))
      return diffieHellman({ privateKey, publicKey })
    },
    hash: (data) => hash('sha256', data.subarray(), 'buffer')
  }
}

/**
 * A key that signs the same thing once. To each newcomer Noise shows a signature of the key that it has for as long as it
 * runs, and makes it anew: 0.3 ms. Ed25519 makes the same of the same (RFC 8032).
 */
export function signsOnce(key: PrivateKey): PrivateKey {
  let last: { readonly message: Uint8Array; readonly signature: Uint8Array } | undefined
  const sign: PrivateKey['sign'] = async (given, options) => {
    const message = given.subarray()
    if (last === undefined || Buffer.compare(last.message, message) !== 0) {
      last = { message: message.slice(), signature: await key.sign(message, options) }
    }
    return last.signature
  }
  return Object.assign(Object.create(key) as PrivateKey, { sign })
}

function bytesIn(key: KeyObject, part: 'x' | 'd'): Uint8Array {
  return new Uint8Array(Buffer.from(key.export({ format: 'jwk' })[part] ?? '', 'base64url'))
}

/** What stands before 32 bytes in a SubjectPublicKeyInfo of X25519 (RFC 8410), in base64. */
const publicHead = 'MCowBQYDK2VuAyEA'

/** As PEM, which is a string, and no object that may be a key already. */
function publicKeyOf(bytes: Uint8Array): KeyObject {
  return createPublicKey(`-----BEGIN PUBLIC KEY-----\n${publicHead}${base64(bytes)}\n-----END PUBLIC KEY-----`)
}

function privateKeyOf({ publicKey, privateKey }: KeyPair): KeyObject {
  const [x, d] = [publicKey, privateKey].map((bytes) => Buffer.from(bytes).toString('base64url'))
  return createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', x, d }, format: 'jwk' })
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
