import { randomBytes } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { pureJsCrypto } from '@libp2p/noise'
import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { createAgreement, signsOnce } from '../src/guard/handshake.ts'

const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length))

describe('the keys of a handshake', () => {
  it('come to the same secret as those of an implementation that shares nothing with OpenSSL', () => {
    const ours = createAgreement()
    fc.assert(
      fc.property(fc.constant(null), () => {
        const [mine, theirs] = [ours.generateKeypair(), pureJsCrypto.generateX25519KeyPair()]
        const secret = pureJsCrypto.generateX25519SharedKey(theirs.privateKey, mine.publicKey)
        expect(new Uint8Array(ours.dh(mine, theirs.publicKey))).toEqual(secret)
        // The second time from what was kept, and with a pair that it has not made.
        expect(new Uint8Array(ours.dh(mine, theirs.publicKey))).toEqual(secret)
        expect(new Uint8Array(ours.dh({ ...theirs }, mine.publicKey))).toEqual(secret)
        expect(pureJsCrypto.generateX25519SharedKey(mine.privateKey, theirs.publicKey)).toEqual(secret)
      }),
      { numRuns: 20 }
    )
  })

  it('come to none with a point of small order, which anybody would know', () => {
    const ours = createAgreement()
    expect(() => ours.dh(ours.generateKeypair(), new Uint8Array(32))).toThrow(/derivation/)
  })

  it('are hashed as SHA-256 says, one array or a list', () => {
    const bytes = random(100)
    const listed = { byteLength: bytes.length, subarray: () => bytes }
    for (const data of [bytes, listed]) {
      expect(new Uint8Array(createAgreement().hash(data))).toEqual(pureJsCrypto.hashSHA256(bytes))
    }
  })
})

describe('a key that signs the same thing once', () => {
  it('signs as the key does, each thing anew, and the same thing once', async () => {
    const key = await generateKeyPair('Ed25519')
    const sign = vi.spyOn(key, 'sign')
    const once = signsOnce(key)
    const [one, other] = [random(56), random(56)]
    for (const message of [one, one.slice(), other, one]) {
      expect(await key.publicKey.verify(message, await once.sign(message))).toBe(true)
    }
    expect(sign).toHaveBeenCalledTimes(3)
    expect(once.publicKey.equals(key.publicKey)).toBe(true)
  })

  it('is not misled by who changes afterwards what was signed', async () => {
    const key = await generateKeyPair('Ed25519')
    const once = signsOnce(key)
    const message = random(56)
    await once.sign(message)
    message[0]! ^= 1
    expect(await key.publicKey.verify(message, await once.sign(message))).toBe(true)
  })
})
