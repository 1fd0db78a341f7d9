import { randomBytes } from '@noble/hashes/utils.js'
import { compareForSlot, type ContentOf, sealRecord, type Signer, signerFromKey } from '@souk/records'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { presenceBytesMax, presenceLifeMs } from '../../src/presence/limits.ts'
import { createPresenceValidator, openPresence, presenceKey, selectPresence } from '../../src/presence/value.ts'

const nowMs = 1_790_000_000_000
const ana = signerFromKey(randomBytes(32))
const key = presenceKey(ana.publicKey)

const said = (port: number): ContentOf<'presence'> => ({
  peers: [
    {
      id: '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp',
      addresses: [`/ip4/192.0.2.7/tcp/${port}`],
      saidAt: nowMs
    }
  ]
})

const presence = (seq: number, { signer = ana, port = 4001, madeAtMs = nowMs, ...work }: PresenceInit = {}) =>
  sealRecord(
    {
      kind: 'presence',
      market: 'main',
      key: '',
      seq,
      createdAtMs: madeAtMs,
      expiresAtMs: madeAtMs + presenceLifeMs,
      content: said(port)
    },
    signer,
    work
  )

interface PresenceInit {
  readonly signer?: Signer
  readonly port?: number
  readonly madeAtMs?: number
  readonly workBits?: number
}

/** A replica: what its validator lets in takes the place of what is held. */
function replica(now: () => number = () => nowMs) {
  let held: Uint8Array | undefined
  const validate = createPresenceValidator({ now, standing: async () => held })
  return {
    held: () => held,
    put: async (bytes: Uint8Array, at = key): Promise<string> => {
      try {
        await validate(at, bytes)
        held = bytes
        return 'held'
      } catch (error) {
        return (error as { code: string }).code
      }
    }
  }
}

test('a replica takes what is newer and what it holds, and nothing older', async () => {
  const { put, held } = replica()
  expect(await put(presence(3).bytes)).toBe('held')
  expect(await put(presence(3).bytes)).toBe('held')
  expect(await put(presence(2).bytes)).toBe('stale')
  expect(await put(presence(4).bytes)).toBe('held')
  expect(await put(presence(3).bytes)).toBe('stale')
  expect(held()).toEqual(presence(4).bytes)
})

test('a replica takes none with less work than everybody brings, whose signature it does not look at', async () => {
  const { put, held } = replica()
  expect(await put(presence(1, { workBits: 11 }).bytes)).toBe('below-floor')
  const { bytes } = presence(1, { workBits: 0 })
  // In the signature, which comes first.
  bytes[20]! ^= 1
  expect(await put(bytes)).toBe('below-floor')
  expect(held()).toBeUndefined()
  expect(await put(presence(1).bytes)).toBe('held')
})

test('in whatever order they come, the one that stands is held in the end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ seq: fc.nat(5), port: fc.integer({ min: 1, max: 4 }) }), { minLength: 1, maxLength: 12 }),
      async (puts) => {
        const { put, held } = replica()
        const records = puts.map(({ seq, port }) => presence(seq, { port }))
        for (const { bytes } of records) await put(bytes)
        expect(held()).toEqual(records.toSorted(compareForSlot)[0]?.bytes)
        const values = records.map(({ bytes }) => bytes)
        expect(values[selectPresence(key, values, nowMs)]).toEqual(held())
      }
    ),
    { numRuns: 40 }
  )
})

test('what has lapsed no longer stands in the way', async () => {
  let now = nowMs
  const { put } = replica(() => now)
  await put(presence(9).bytes)
  now += presenceLifeMs + 1
  expect(await put(presence(9).bytes)).toBe('expired')
  // An identity restored from its phrase begins anew, two days later at the latest.
  expect(await put(presence(0, { madeAtMs: now }).bytes)).toBe('held')
})

test('forged, foreign, future, empty and oversize values are refused, each with its code', async () => {
  const { put } = replica()
  const { bytes } = presence(1)
  const other = signerFromKey(randomBytes(32))
  const profile = sealRecord(
    { kind: 'presence', market: 'main', key: '', seq: 1, createdAtMs: nowMs, expiresAtMs: nowMs + 1000, content: null },
    ana
  )
  expect(await put(presence(1, { signer: other }).bytes)).toBe('wrong-key')
  expect(await put(bytes, new TextEncoder().encode('/presence/abc'))).toBe('wrong-key')
  expect(await put(presence(1, { madeAtMs: nowMs + 3_600_000 }).bytes)).toBe('not-yet-valid')
  expect(await put(profile.bytes)).toBe('not-presence')
  expect(await put(new Uint8Array(presenceBytesMax + 1))).toBe('too-large')
  expect(await put(new Uint8Array())).toBe('not-presence')
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, difference) => {
      const altered = bytes.map((byte, index) => (index === at ? byte ^ difference : byte))
      expect(['not-presence', 'below-floor', 'wrong-key', 'expired', 'not-yet-valid']).toContain(await put(altered))
    }),
    { numRuns: 100 }
  )
  expect(() => openPresence(randomBytes(100), { nowMs })).toThrow(expect.objectContaining({ code: 'not-presence' }))
})
