import { readFileSync } from 'node:fs'
import { sha256 } from '@noble/hashes/sha2.js'
import { hexToBytes } from '@noble/hashes/utils.js'
import {
  createVerifier,
  createWorkSearch,
  encodeCanonical,
  findWork,
  identityFromPhrase,
  kindLimits,
  openRecord,
  openRecordAside,
  preimageOf,
  recordKinds,
  sealRecord,
  type Verifier,
  type Verify,
  type WorkClaim,
  workBitsAskedMax,
  workBitsMin,
  workFloor
} from '@souk/records'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { checkWork } from '../src/work.ts'
import { drafts } from './arbitraries.ts'
import { bodyOf, dayMs, listing, nowMs, signBody } from './generators/parts.ts'
import type { WorkVectors } from './generators/work.ts'

const identity = identityFromPhrase('test test test test test test test test test test test junk')
const { signer } = identity
const draft = {
  kind: 'listing',
  market: 'main',
  key: 'co.4f7c09a1',
  seq: 1,
  createdAtMs: nowMs,
  expiresAtMs: nowMs + 30 * dayMs,
  content: listing
} as const
const { floors, proofs } = JSON.parse(
  readFileSync(new URL('vectors/work.json', import.meta.url), 'utf8')
) as WorkVectors

describe('the floor', () => {
  test.each(floors)('$bits bits: a $kind of $bytes bytes for $lifeMs ms', ({ bits, ...priced }) => {
    expect(workFloor(priced)).toBe(bits)
  })

  test('is one bit more for each doubling of size or life, and the least for what stands on a receipt', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...recordKinds),
        fc.integer({ min: 1, max: 32_768 }),
        fc.integer({ min: 1, max: 365 * dayMs }),
        (kind, bytes, lifeMs) => {
          const bits = workFloor({ kind, bytes, lifeMs })
          const larger = workFloor({ kind, bytes: 2 * bytes, lifeMs })
          expect(workFloor({ kind, bytes, lifeMs: 2 * lifeMs })).toBe(larger)
          const { receiptBound } = kindLimits[kind]
          const isPriced = !receiptBound && bytes * lifeMs * 2 > 2048 * 30 * dayMs
          expect(bits).toBeGreaterThanOrEqual(workBitsMin)
          expect(bits).toBeLessThanOrEqual(receiptBound ? workBitsMin : workBitsAskedMax)
          expect(larger - bits).toBe(isPriced ? 1 : 0)
        }
      )
    )
  })

  test('of the largest record of each kind stays below what any node asks', () => {
    for (const kind of recordKinds) {
      const { bytesMax: bytes, lifeMsMax: lifeMs } = kindLimits[kind]
      expect(workFloor({ kind, bytes, lifeMs })).toBeLessThan(workBitsAskedMax)
    }
  })
})

describe('a search', () => {
  test.each(proofs)('finds $nonce first for $bits bits', ({ preimageHex, bits, nonce }) => {
    expect(findWork(hexToBytes(preimageHex), bits)).toEqual({ bits, nonce })
  })

  test('hashes as the library does, from any nonce on', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 12 }), (preimage, bits) => {
        const { nonce } = findWork(preimage, bits)
        const zeros = Array.from({ length: nonce + 1 }, (_, at) => zerosOf(preimage, at))
        expect(zeros.findIndex((count) => count >= bits)).toBe(nonce)
        expect(checkWork(preimage, { bits, nonce })).toBe(true)
        expect(checkWork(preimage, { bits: (zeros.at(-1) ?? 0) + 1, nonce })).toBe(false)
      }),
      { numRuns: 50 }
    )
  })

  test('goes on where it was left', () => {
    const preimage = new TextEncoder().encode('souk')
    const search = createWorkSearch(preimage, 12)
    let turns = 1
    let found = search.next(100)
    for (; found === undefined; turns++) found = search.next(100)
    expect(found).toEqual(findWork(preimage, 12))
    expect(turns).toBe(Math.floor(found.nonce / 100) + 1)
  })
})

describe('a sealed record', () => {
  test('has the work of the floor for its size, however long its nonce is', () => {
    fc.assert(
      fc.property(drafts(identity), (given) => {
        const { kind, bytes, createdAtMs, expiresAtMs, work } = sealRecord(given, signer)
        const floor = workFloor({ kind, bytes: bytes.length, lifeMs: expiresAtMs - createdAtMs })
        expect(work?.bits ?? 0).toBeGreaterThanOrEqual(floor)
        expect(preimageOf(given, signer.publicKey).priced.bytes).toBeGreaterThanOrEqual(bytes.length)
      }),
      { numRuns: 100 }
    )
  })

  test('takes work that was found before, and only of the same draft', () => {
    const { preimage } = preimageOf(draft, signer.publicKey)
    const work = findWork(preimage, 14)
    expect(sealRecord(draft, signer, { work }).work).toEqual(work)
    expect(() => sealRecord({ ...draft, seq: 2 }, signer, { work })).toThrow(
      expect.objectContaining({ code: 'bad-work' })
    )
  })

  test.each([0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])(
    'is checked against the body without its work, for a nonce of any length: %d',
    (nonce) => {
      const { preimage } = preimageOf(draft, signer.publicKey)
      const bits = zerosOf(preimage, nonce)
      expect(sealRecord(draft, signer, { work: { bits, nonce } }).work).toEqual({ bits, nonce })
      expect(() => sealRecord(draft, signer, { work: { bits: bits + 1, nonce } })).toThrow(
        expect.objectContaining({ code: 'bad-work' })
      )
    }
  )

  test('is cut to the same bytes for a key of any length', () => {
    for (const length of [8, 20, 21, 32]) {
      const given = { ...draft, key: `co.${'a'.repeat(length)}` }
      const { preimage } = preimageOf(given, signer.publicKey)
      expect(sealRecord(given, signer, { work: findWork(preimage, 6) }).work?.bits).toBe(6)
    }
  })
})

describe('a price', () => {
  const poor = sealRecord(draft, signer, { workBits: 12 })

  test('is asked by what is known before a signature is checked, and before one is', async () => {
    const asks = vi.fn<(claim: WorkClaim) => number>(() => 13)
    const verify = vi.fn<Verify>(() => true)
    const refused = expect.objectContaining({ code: 'too-little-work' })
    expect(() => openRecord(poor.bytes, { nowMs, asks, verify })).toThrow(refused)
    expect(verify).not.toHaveBeenCalled()
    expect(asks).toHaveBeenCalledExactlyOnceWith({
      kind: 'listing',
      author: signer.publicKey,
      bytes: poor.bytes.length,
      lifeMs: 30 * dayMs
    })
    const verifier = Object.assign(verify, { aside: vi.fn<Verifier['aside']>(), bulk: vi.fn<Verifier['bulk']>() })
    await expect(openRecordAside(poor.bytes, { nowMs, asks, verifier })).rejects.toMatchObject({
      code: 'too-little-work'
    })
    expect(verifier.aside).not.toHaveBeenCalled()
    expect(asks).toHaveBeenCalledTimes(2)
  })

  test('that is met lets a record through, and every record is valid where none is asked', async () => {
    const verifier = createVerifier()
    expect(openRecord(poor.bytes, { nowMs, asks: () => 12 })).toEqual(poor)
    expect(await openRecordAside(poor.bytes, { nowMs, asks: () => 12, verifier })).toEqual(poor)
    const none = sealRecord(draft, signer, { workBits: 0 })
    expect(openRecord(none.bytes, { nowMs })).toEqual(none)
  })

  test('does not hide work that is wrong: that is the author’s fault, too little is nobody’s', () => {
    const body = encodeCanonical({ ...bodyOf(draft, signer), pow: { bits: 22, nonce: 0 } })
    const liar = signBody(body, signer)
    expect(() => openRecord(liar, { nowMs, asks: () => 30 })).toThrow(expect.objectContaining({ code: 'bad-work' }))
  })
})

/** Leading zero bits, by the library. */
function zerosOf(preimage: Uint8Array, nonce: number): number {
  const input = new Uint8Array(40)
  input.set(sha256(preimage))
  new DataView(input.buffer).setBigUint64(32, BigInt(nonce))
  const bits = Array.from(sha256(input), (byte) => byte.toString(2).padStart(8, '0')).join('')
  return bits.indexOf('1')
}
