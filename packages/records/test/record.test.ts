import { decode } from '@ipld/dag-cbor'
import {
  type AnyRecord,
  channelOf,
  compareForSlot,
  createVerifier,
  encodeCanonical,
  isRecordId,
  isTooLittleWork,
  openRecord,
  openRecordAside,
  openRecordsAside,
  recordBytesMax,
  recordDigest,
  RecordError,
  recordIdOfDigest,
  reopenRecord,
  sealRecord,
  topicOf
} from '@souk/records'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { drafts } from './arbitraries.ts'
import { createPeople, dayMs, listing, nowMs } from './generators/parts.ts'
import { codeOf } from './generators/records.ts'

const { seller } = createPeople()
const draft = {
  kind: 'listing',
  market: 'main',
  key: 'co.4f7c09a1',
  seq: 1,
  createdAtMs: nowMs,
  expiresAtMs: nowMs + dayMs,
  content: listing
} as const
const sealed = sealRecord(draft, seller.signer, { workBits: 0 })

describe('sealing and opening', () => {
  test('a record says what its draft said', () => {
    const opened = openRecord(sealed.bytes, { nowMs })
    expect(opened).toEqual(sealed)
    expect(opened).toMatchObject({ kind: 'listing', seq: 1, work: undefined, channel: 'listings/co' })
    expect(opened.author).toEqual(seller.signer.publicKey)
    expect(opened.content).toEqual(listing)
  })

  test('any draft comes back from its bytes, with and without a verifier that remembers keys', async () => {
    const verify = createVerifier()
    await fc.assert(
      fc.asyncProperty(drafts(seller), async (given) => {
        const record = sealRecord(given, seller.signer, { workBits: 0 })
        const opened = openRecord(record.bytes, { nowMs, verify })
        expect(opened).toEqual(openRecord(record.bytes, { nowMs }))
        expect(opened).toEqual(await openRecordAside(record.bytes, { nowMs, verifier: verify }))
        expect(reopenRecord(record.bytes)).toEqual(opened)
        const { kind, market, key, seq, createdAtMs, expiresAtMs, content } = opened
        expect({ kind, market, key, seq, createdAtMs, expiresAtMs, content }).toEqual(given)
      }),
      { numRuns: 200 }
    )
  })

  test('a record with one byte changed is refused, whatever the byte and the change', () => {
    fc.assert(
      fc.property(fc.nat(sealed.bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const mutated = Uint8Array.from(sealed.bytes, (byte, index) => (index === at ? byte ^ change : byte))
        expect(codeOf(mutated, { nowMs })).toBeDefined()
      }),
      { numRuns: 2000 }
    )
  })

  test('opened aside, it is refused with the same code, whatever was changed', async () => {
    const verifier = createVerifier()
    await fc.assert(
      fc.asyncProperty(fc.nat(sealed.bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const mutated = Uint8Array.from(sealed.bytes, (byte, index) => (index === at ? byte ^ change : byte))
        const code = codeOf(mutated, { nowMs })
        await expect(openRecordAside(mutated, { nowMs, verifier })).rejects.toMatchObject({ code })
      }),
      { numRuns: 500 }
    )
  })

  describe('what may be refused by the thousand is no error with its stack', () => {
    const unsigned = (changed: object): Uint8Array => {
      const { body, sig } = decode<{ body: Uint8Array; sig: Uint8Array }>(sealed.bytes)
      return encodeCanonical({ body: encodeCanonical({ ...decode<object>(body), ...changed }), sig })
    }
    test.each([
      ['bad-version', unsigned({ v: 2 }), { nowMs }],
      ['unknown-kind', unsigned({ kind: 'rumour' }), { nowMs }],
      ['expired', sealed.bytes, { nowMs: nowMs + dayMs }],
      ['not-yet-valid', sealed.bytes, { nowMs: nowMs - dayMs }],
      ['lives-too-long', unsigned({ expiresAt: nowMs + 9000 * dayMs }), { nowMs }],
      ['bad-work', unsigned({ pow: { bits: 22, nonce: 0 } }), { nowMs }],
      ['too-little-work', sealed.bytes, { nowMs, asks: () => 1 }],
      ['bad-signature', unsigned({ seq: 2 }), { nowMs }]
    ])('%s', async (code, bytes, rules) => {
      const [outcome] = await openRecordsAside([bytes], { ...rules, verifier: createVerifier() })
      expect(outcome).toMatchObject({ refused: code })
      expect(outcome).not.toHaveProperty('cause')
      expect(() => openRecord(bytes, rules)).toThrow(expect.objectContaining({ name: 'RecordError', code }))
    })

    test('but what is wrong in form is one, thrown as it came', async () => {
      const bytes = unsigned({ stranger: 1 })
      const [outcome] = await openRecordsAside([bytes], { nowMs, verifier: createVerifier() })
      expect(outcome).toMatchObject({ refused: 'bad-body', cause: expect.any(RecordError) })
    })

    test('and says what a record with too little work claims to be', async () => {
      const [outcome] = await openRecordsAside([sealed.bytes], { nowMs, asks: () => 1, verifier: createVerifier() })
      expect(isTooLittleWork(outcome!) && outcome.claimed).toEqual(sealed)
    })
  })

  test('opened aside, it is of the bytes that were there when it was asked', async () => {
    const shared = new Uint8Array(sealed.bytes)
    const opening = openRecordAside(shared, { nowMs, verifier: createVerifier() })
    shared.fill(0)
    expect(await opening).toEqual(sealed)
  })

  test('every prefix is refused', () => {
    for (let length = 0; length < sealed.bytes.length; length++) {
      expect(codeOf(sealed.bytes.subarray(0, length), { nowMs })).toBeDefined()
    }
  })

  test('random bytes throw nothing but a RecordError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => openRecord(bytes, { nowMs })).toThrow(RecordError)
      }),
      { numRuns: 3000 }
    )
  })

  test('random bodies under a good signature throw nothing but a RecordError', () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.dictionary(fc.constantFrom('v', 'kind', 'author', 'key', 'content', 'pow'), fc.anything()).map(encodeOrEmpty)
    )
    fc.assert(
      fc.property(body, (bytes) => {
        const envelope = encodeCanonical({ body: bytes, sig: new Uint8Array(64) })
        expect(() => openRecord(envelope, { nowMs })).toThrow(RecordError)
      }),
      { numRuns: 2000 }
    )
  })

  test('more than 64 kB are refused before anything is decoded', () => {
    expect(codeOf(new Uint8Array(recordBytesMax + 1), { nowMs })).toBe('too-large')
    expect(codeOf(new Uint8Array(recordBytesMax), { nowMs })).not.toBe('too-large')
  })

  test('64 kB of nothing but opening brackets do not exhaust the stack', () => {
    expect(codeOf(new Uint8Array(recordBytesMax).fill(0x81), { nowMs })).toBe('too-deep')
  })

  test('the bytes of a record are its own, and so is its author', () => {
    const shared = new Uint8Array(sealed.bytes)
    const opened = openRecord(shared, { nowMs })
    shared.fill(0)
    expect(opened).toEqual(sealed)
  })

  test('validity follows the receiver’s clock to the millisecond', () => {
    const at = (clock: number) => codeOf(sealed.bytes, { nowMs: clock })
    expect(at(nowMs - 300_000)).toBeUndefined()
    expect(at(nowMs - 300_001)).toBe('not-yet-valid')
    expect(at(nowMs + dayMs - 1)).toBeUndefined()
    expect(at(nowMs + dayMs)).toBe('expired')
  })
})

describe('proof of work', () => {
  test('a record carries the work that was asked', () => {
    const { work, bytes } = sealRecord(draft, seller.signer, { workBits: 8 })
    expect(work?.bits).toBe(8)
    expect(openRecord(bytes, { nowMs }).work).toEqual(work)
  })

  test.each([33, -1, 1.5])('%d bits are not looked for', (workBits) => {
    expect(() => sealRecord(draft, seller.signer, { workBits })).toThrow(expect.objectContaining({ code: 'bad-work' }))
  })
})

describe('one slot', () => {
  const digests = fc.uint8Array({ minLength: 32, maxLength: 32 })
  const entries = fc.record({ seq: fc.nat(2), id: digests.map(recordIdOfDigest) })

  test('higher seq stands, then the lower id', () => {
    const low = recordIdOfDigest(new Uint8Array(32))
    const high = recordIdOfDigest(new Uint8Array(32).fill(255))
    expect(compareForSlot({ seq: 2, id: high }, { seq: 1, id: low })).toBeLessThan(0)
    expect(compareForSlot({ seq: 1, id: high }, { seq: 1, id: low })).toBeGreaterThan(0)
  })

  test('the order is total: what stands does not depend on who came first', () => {
    fc.assert(
      fc.property(fc.array(entries, { minLength: 1, maxLength: 8 }), fc.infiniteStream(fc.nat()), (given, dice) => {
        const shuffled = given
          .map((entry) => ({ entry, at: dice.next().value as number }))
          .toSorted((a, b) => a.at - b.at)
          .map(({ entry }) => entry)
        expect(shuffled.toSorted(compareForSlot)).toEqual(given.toSorted(compareForSlot))
      })
    )
  })

  test('only equals compare as equal, and the other way round turns the sign', () => {
    fc.assert(
      fc.property(entries, entries, (a, b) => {
        expect(Math.sign(compareForSlot(a, b))).toBe(0 - Math.sign(compareForSlot(b, a)))
        expect(compareForSlot(a, b) === 0).toBe(a.id === b.id && a.seq === b.seq)
      })
    )
  })
})

describe('ids', () => {
  test('an id and its digest are two forms of one thing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (digest) => {
        const id = recordIdOfDigest(digest)
        expect(isRecordId(id)).toBe(true)
        expect(recordDigest(id)).toEqual(digest)
      })
    )
  })

  test.each([
    '',
    'bafyrei',
    `${sealed.id}a`,
    sealed.id.toUpperCase(),
    `bafkrei${sealed.id.slice(7)}`,
    `${sealed.id.slice(0, -1)}b`
  ])('"%s" is none', (text) => expect(isRecordId(text)).toBe(false))
})

test.each([
  ['profile', '', 'people'],
  ['feedback', 'ab'.repeat(32), 'feedback'],
  ['listing', 'el.4f7c09a1', 'listings/el'],
  ['listing', 'x-services.4f7c09a1', 'listings/x-services']
] as const)('a %s with the key "%s" goes to %s', (kind, key, channel) => {
  expect(channelOf(kind, key)).toBe(channel)
  expect(topicOf('main', channel)).toBe(`/souk/1/main/${channel}`)
})

test('narrowing the kind narrows the content', () => {
  const titleOf = (record: AnyRecord): string | undefined =>
    record.kind === 'listing' ? record.content?.title : undefined
  expect(titleOf(openRecord(sealed.bytes, { nowMs }))).toBe(listing.title)
})

function encodeOrEmpty(value: unknown): Uint8Array {
  try {
    return encodeCanonical(value)
  } catch {
    return new Uint8Array()
  }
}
