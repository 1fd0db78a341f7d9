import { ed25519 } from '@noble/curves/ed25519.js'
import { bytesToNumberLE, concatBytes } from '@noble/curves/utils.js'
import { scryptAsync } from '@noble/hashes/scrypt.js'
import { sha512 } from '@noble/hashes/sha2.js'
import type { Equation, ScryptCost, SignatureThread } from './platform.ts'

/**
 * The same equation on noble's curve arithmetic, for browsers. noble's own `verify` is not used: by default it
 * accepts small-order keys, and with `zip215: false` it still differs from OpenSSL on mixed-order ones.
 *
 * @param publicKey - 32 bytes.
 * @returns The equation for this key, or `undefined` when it is no point on the curve.
 */
export function importKey(publicKey: Uint8Array): Equation | undefined {
  const { Point } = ed25519
  const encoded = new Uint8Array(publicKey)
  const a = decodePoint(encoded)
  if (a === undefined) return undefined
  const holds = (signature: Uint8Array, message: Uint8Array): boolean => {
    const r = signature.subarray(0, 32)
    const h = bytesToNumberLE(sha512(concatBytes(r, encoded, message))) % Point.CURVE().n
    const s = bytesToNumberLE(signature.subarray(32))
    const expected = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(h)).toBytes()
    return expected.every((byte, index) => byte === r[index])
  }
  return Object.assign(holds, {
    aside: (signature: Uint8Array, message: Uint8Array) => Promise.resolve(holds(signature, message))
  })
}

/** There is none: what a page has to verify is little. */
export function createSignatureThread(): SignatureThread {
  return { verify: () => undefined, [Symbol.asyncDispose]: () => Promise.resolve() }
}

export { sha256 } from '@noble/hashes/sha2.js'

/** @param privateKey - 32-byte seed. */
export function importSigningKey(privateKey: Uint8Array): (message: Uint8Array) => Uint8Array {
  return (message) => ed25519.sign(message, privateKey)
}

/** scrypt (RFC 7914) in slices, so that a page stays alive. */
export function deriveScrypt(password: Uint8Array, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array> {
  return scryptAsync(password, salt, { ...cost, dkLen: 32, maxmem: 128 * cost.r * (cost.N + cost.p + 2) })
}

function decodePoint(bytes: Uint8Array): InstanceType<typeof ed25519.Point> | undefined {
  try {
    return ed25519.Point.fromBytes(bytes)
  } catch {
    return undefined
  }
}
