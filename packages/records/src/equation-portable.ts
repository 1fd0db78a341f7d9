import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { bytesToNumberLE, concatBytes } from '@noble/curves/utils.js'
import type { SignatureInput } from './signature.ts'

/**
 * The same equation on noble's curve arithmetic, for browsers. noble's own `verify` is not used: by default it
 * accepts small-order keys, and with `zip215: false` it still differs from OpenSSL on mixed-order ones.
 */
export function verifyEquation({ signature, message, publicKey }: SignatureInput): boolean {
  const { Point } = ed25519
  const r = signature.subarray(0, 32)
  try {
    const a = Point.fromBytes(publicKey)
    const h = bytesToNumberLE(sha512(concatBytes(r, publicKey, message))) % Point.CURVE().n
    const s = bytesToNumberLE(signature.subarray(32))
    const expected = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(h)).toBytes()
    return expected.every((byte, index) => byte === r[index])
  } catch {
    // Not a point on the curve.
    return false
  }
}
