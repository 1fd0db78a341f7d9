import { createPrivateKey, createPublicKey, hash, type KeyObject, scrypt, sign, verify } from 'node:crypto'
import type { Equation, ScryptCost } from './platform.ts'

export { createSignatureThread } from './signature-thread-node.ts'

/**
 * OpenSSL's Ed25519: computes encode(S·B − h·A) and compares it with R byte for byte.
 * The key goes in as a JWK: Node's own `raw-public` format is a few µs faster but not in every release of Node 24,
 * and a key that cannot be imported looks like one under which nothing is valid.
 *
 * @param publicKey - 32 bytes.
 * @returns The equation for this key, or `undefined` when OpenSSL takes it for no point.
 */
export function importKey(publicKey: Uint8Array): Equation | undefined {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: toBase64url(publicKey) }
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    return Object.assign((signature: Uint8Array, message: Uint8Array) => verify(null, message, key, signature), {
      aside: (signature: Uint8Array, message: Uint8Array) => verifyAside(key, { signature, message })
    })
  } catch {
    return undefined
  }
}

/** On libuv's thread pool; Node copies what it is given before this returns. */
function verifyAside(key: KeyObject, given: { signature: Uint8Array; message: Uint8Array }): Promise<boolean> {
  return new Promise((resolve) => {
    verify(null, given.message, key, given.signature, (error, holds) => resolve(error === null && holds))
  })
}

/** @param privateKey - 32-byte seed. */
export function importSigningKey(privateKey: Uint8Array, publicKey: Uint8Array): (message: Uint8Array) => Uint8Array {
  const jwk = { kty: 'OKP', crv: 'Ed25519', d: toBase64url(privateKey), x: toBase64url(publicKey) }
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  return (message) => new Uint8Array(sign(null, message, key))
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', bytes, 'buffer'))
}

/** scrypt (RFC 7914) on libuv's thread pool: nothing else waits. */
export function deriveScrypt(password: Uint8Array, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array> {
  const { N, r, p } = cost
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  scrypt(password, salt, 32, { N, r, p, maxmem: 128 * r * (N + p + 2) }, (error, key) => {
    if (error) reject(error)
    else resolve(new Uint8Array(key))
  })
  return promise
}

function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}
