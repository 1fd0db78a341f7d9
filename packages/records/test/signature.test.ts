import { createVerifier, signerFromKey, verifySignature } from '@souk/records'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRecent } from '../src/recent.ts'
import { hasStrictEncodings } from '../src/signature.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const signers = Array.from({ length: 6 }, (_, index) => signerFromKey(new Uint8Array(32).fill(index + 1)))

test('a verifier answers as if it remembered nothing, however few keys it keeps', async () => {
  const asked = fc.array(fc.record({ by: fc.nat(5), claimed: fc.nat(5), message: fc.uint8Array({ maxLength: 9 }) }), {
    maxLength: 30
  })
  await fc.assert(
    fc.asyncProperty(fc.nat(3), asked, async (keysMax, requests) => {
      const verify = createVerifier({ keysMax })
      for (const { by, claimed, message } of requests) {
        const signature = signers[by]!.sign(message)
        const input = { signature, message, publicKey: signers[claimed]!.publicKey }
        expect(verify(input)).toBe(by === claimed)
        expect(await verify.aside(input)).toBe(by === claimed)
      }
    }),
    { numRuns: 50 }
  )
})

test('a key’s memory may be reused by its owner', () => {
  const verify = createVerifier()
  const message = Uint8Array.of(1)
  const [one, two] = [signers[0]!, signers[1]!]
  const shared = new Uint8Array(one.publicKey)
  expect(verify({ signature: one.sign(message), message, publicKey: shared })).toBe(true)
  shared.set(two.publicKey)
  expect(verify({ signature: one.sign(message), message, publicKey: shared })).toBe(false)
  expect(verify({ signature: two.sign(message), message, publicKey: shared })).toBe(true)
})

test.each([
  [0, 32],
  [63, 32],
  [65, 32],
  [64, 0],
  [64, 31],
  [64, 33]
])('a signature of %d bytes under a key of %d bytes is false', (signatureLength, keyLength) => {
  const input = { signature: new Uint8Array(signatureLength), publicKey: new Uint8Array(keyLength).fill(3) }
  expect(verifySignature({ ...input, message: new Uint8Array() })).toBe(false)
})

test('random signatures and keys are false, and throw nothing', async () => {
  const { aside } = createVerifier()
  await fc.assert(
    fc.asyncProperty(bytes(64), bytes(32), fc.uint8Array(), async (signature, publicKey, message) => {
      expect(verifySignature({ signature, message, publicKey })).toBe(false)
      expect(await aside({ signature, message, publicKey })).toBe(false)
    })
  )
})

test('of the values asked for, the last are kept and no others', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')),
      (max, names) => {
        const recent = createRecent<string>(max)
        const made: string[] = []
        names.forEach((name, at) => {
          const kept = [...new Set(names.slice(0, at).toReversed())].slice(0, max)
          made.length = 0
          expect(recent.get(name, () => (made.push(name), name.toUpperCase()))).toBe(name.toUpperCase())
          expect(made).toEqual(kept.includes(name) ? [] : [name])
          expect(recent.size).toBeLessThanOrEqual(max)
        })
      }
    )
  )
})

test('an encoding of y from p to 2^255 - 1, with either sign, is not strict as A nor as R', () => {
  const good = signers[0]!
  const signature = good.sign(Uint8Array.of(1))
  const input = { signature, message: Uint8Array.of(1), publicKey: good.publicKey }
  expect(hasStrictEncodings(input)).toBe(true)
  for (let low = 0xed; low <= 0xff; low++) {
    for (const high of [0x7f, 0xff]) {
      const far = new Uint8Array(32).fill(0xff)
      far[0] = low
      far[31] = high
      expect(hasStrictEncodings({ ...input, publicKey: far })).toBe(false)
      expect(hasStrictEncodings({ ...input, signature: Uint8Array.of(...far, ...signature.subarray(32)) })).toBe(false)
    }
  }
})
