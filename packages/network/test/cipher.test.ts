import { randomBytes } from 'node:crypto'
import { pureJsCrypto } from '@libp2p/noise'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bytes, type Cipher, createCipher } from '../src/guard/cipher.ts'
import { nativeCipherBytesMin } from '../src/guard/limits.ts'

/** An implementation that shares nothing with OpenSSL. */
const other: Cipher = {
  encrypt: (plain, ...rest) => pureJsCrypto.chaCha20Poly1305Encrypt(plain.subarray(), ...rest),
  decrypt: (sealed, ...rest) => pureJsCrypto.chaCha20Poly1305Decrypt(sealed.subarray(), ...rest)
}
const none = new Uint8Array()
/** As Noise has them: no array, but to be had as one. */
const listed = (bytes: Uint8Array): Bytes => ({ byteLength: bytes.length, subarray: () => bytes })
const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

describe('the cipher of connections', () => {
  it('seals as any other does, and opens what it sealed, whatever the size', () => {
    const cipher = createCipher(other)
    const size = fc.oneof(
      fc.nat(3000),
      fc.integer({ min: nativeCipherBytesMin - 20, max: nativeCipherBytesMin + 20 }),
      fc.integer({ min: 65_000, max: 65_519 })
    )
    fc.assert(
      fc.property(size, fc.nat(64), (bytes, associatedBytes) => {
        const [key, nonce, plain, associated] = [random(32), random(12), random(bytes), random(associatedBytes)]
        const sealed = cipher.encrypt(listed(plain), nonce, associated, key).subarray()
        expect(sealed).toEqual(new Uint8Array(other.encrypt(plain, nonce, associated, key).subarray()))
        expect(cipher.decrypt(listed(sealed), nonce, associated, key).subarray()).toEqual(plain)
      }),
      { numRuns: 60 }
    )
  })

  it.each([
    ['another key', { key: random(32) }],
    ['another nonce', { nonce: random(12) }],
    ['other associated data', { associated: random(3) }],
    ['a bit changed', { sealed: (bytes: Uint8Array) => bytes.with(700, bytes[700]! ^ 1) }],
    ['a bit of the tag changed', { sealed: (bytes: Uint8Array) => bytes.with(-1, bytes.at(-1)! ^ 1) }]
  ] as const)('does not open with %s', (_name, wrong: Partial<Wrong>) => {
    const cipher = createCipher(other)
    const right = { key: random(32), nonce: random(12), associated: none, sealed: (bytes: Uint8Array) => bytes }
    const sealed = cipher.encrypt(random(1000), right.nonce, right.associated, right.key).subarray()
    const given = { ...right, ...wrong }
    expect(() => cipher.decrypt(given.sealed(sealed), given.nonce, given.associated, given.key)).toThrow(/authenticate/)
    expect(cipher.decrypt(sealed, right.nonce, right.associated, right.key).byteLength).toBe(1000)
  })
})

interface Wrong {
  readonly key: Uint8Array
  readonly nonce: Uint8Array
  readonly associated: Uint8Array
  readonly sealed: (bytes: Uint8Array) => Uint8Array
}
