import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'
import { nativeCipherBytesMin } from './limits.ts'

/** One array, or a list of them. */
export interface Bytes {
  readonly byteLength: number
  subarray(): Uint8Array
}

/** ChaCha20-Poly1305 (RFC 8439) as Noise asks for it: key of 32 bytes, nonce of 12; what is sealed ends with its tag of 16. */
export interface Cipher {
  encrypt(plain: Bytes, nonce: Uint8Array, associated: Uint8Array, key: Uint8Array): Bytes
  /** @param target - Where what comes out may be written. */
  decrypt(sealed: Bytes, nonce: Uint8Array, associated: Uint8Array, key: Uint8Array, target?: Uint8Array): Bytes
}

const algorithm = 'chacha20-poly1305'
const tagBytes = 16

/**
 * OpenSSL's cipher for what is large enough, with keys made once for a connection. Noise gives it the bytes of a key with
 * every piece, and Node then takes 11 of 17 µs to find out that these are no key of its own.
 *
 * @param small - For pieces below {@link nativeCipherBytesMin}.
 */
export function createCipher(small: Cipher): Cipher {
  const keys = new WeakMap<Uint8Array, KeyObject>()
  const keyOf = (bytes: Uint8Array): KeyObject => {
    let key = keys.get(bytes)
    if (key === undefined) keys.set(bytes, (key = createSecretKey(bytes)))
    return key
  }
  return {
    encrypt(plain, nonce, associated, key) {
      if (plain.byteLength < nativeCipherBytesMin) return small.encrypt(plain, nonce, associated, key)
      const cipher = createCipheriv(algorithm, keyOf(key), nonce, { authTagLength: tagBytes })
      cipher.setAAD(associated, { plaintextLength: plain.byteLength })
      const sealed = new Uint8Array(plain.byteLength + tagBytes)
      sealed.set(cipher.update(plain.subarray()))
      cipher.final()
      sealed.set(cipher.getAuthTag(), plain.byteLength)
      return sealed
    },
    decrypt(sealed, nonce, associated, key, target) {
      if (sealed.byteLength < nativeCipherBytesMin) return small.decrypt(sealed, nonce, associated, key, target)
      const bytes = sealed.subarray()
      const plainBytes = bytes.length - tagBytes
      const decipher = createDecipheriv(algorithm, keyOf(key), nonce, { authTagLength: tagBytes })
      decipher.setAAD(associated, { plaintextLength: plainBytes })
      decipher.setAuthTag(bytes.subarray(plainBytes))
      const plain = decipher.update(bytes.subarray(0, plainBytes))
      // Fails for what was not sealed with this key.
      decipher.final()
      return new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength)
    }
  }
}
