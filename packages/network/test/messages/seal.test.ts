import { readFileSync } from 'node:fs'
import { x25519 } from '@noble/curves/ed25519.js'
import { bytesToHex, hexToBytes, randomBytes } from '@noble/hashes/utils.js'
import { signerFromKey } from '@souk/records'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conversationSigner, openEnvelope, writeEnvelope, writeFirstEnvelope } from '../../src/messages/envelope.ts'
import { writeExhibit } from '../../src/messages/exhibit.ts'
import { acksMax, boxBytesMax, payloadBytesMax } from '../../src/messages/limits.ts'
import { isSealedTo, seal, type SealInit, unseal } from '../../src/messages/seal.ts'
import type { ProtocolError } from '../../src/protocol-error.ts'

interface Vectors {
  readonly keys: Record<'sender' | 'recipient' | 'prekeySecret' | 'replyKey' | 'ephemeralSecret', string>
  readonly valid: {
    name: string
    messageId: string
    sentAtMs: number
    payload: string
    acks?: string
    box: string
    proof: string
    exhibit: string
  }[]
  readonly invalid: { name: string; box: string; code: string }[]
}

const vectors = JSON.parse(readFileSync(new URL('../vectors/seal.json', import.meta.url), 'utf8')) as Vectors
const key = (name: keyof Vectors['keys']): Uint8Array => hexToBytes(vectors.keys[name])
const held = { recipient: signerFromKey(key('recipient')).publicKey, secrets: [key('prekeySecret')] }

const fixed: Omit<SealInit, 'messageId' | 'payload' | 'sentAtMs'> = {
  from: signerFromKey(key('sender')),
  recipient: held.recipient,
  prekey: x25519.getPublicKey(key('prekeySecret')),
  replyKey: key('replyKey'),
  ephemeralSecret: key('ephemeralSecret')
}

const codeOf = (task: () => unknown): string => {
  try {
    task()
    return 'none'
  } catch (error) {
    return (error as ProtocolError).code
  }
}

describe('vectors', () => {
  test.each(vectors.valid)('$name', ({ box, proof, exhibit, messageId, sentAtMs, ...said }) => {
    const acks = said.acks === undefined ? {} : { acks: [said.acks.slice(0, 64), said.acks.slice(64)].map(hexToBytes) }
    const letter = { messageId, sentAtMs, payload: hexToBytes(said.payload), ...acks }
    const sealed = seal({ ...fixed, ...letter })
    expect({ box: bytesToHex(sealed.box), proof: bytesToHex(sealed.proof) }).toEqual({ box, proof })
    const { opening, ...opened } = unseal(hexToBytes(box), held)
    expect(opened).toEqual({
      from: fixed.from.publicKey,
      replyKey: fixed.replyKey,
      ...letter,
      proof: hexToBytes(proof)
    })
    for (const side of [sealed.opening, opening]) {
      expect(bytesToHex(writeExhibit(side, held.recipient))).toBe(exhibit)
    }
  })

  test.each(vectors.invalid)('$name: $code', ({ box, code }) => {
    expect(codeOf(() => unseal(hexToBytes(box), held))).toBe(code)
  })
})

describe('a sealed message', () => {
  const sealFresh = (payload: Uint8Array): ReturnType<typeof seal> => {
    const { ephemeralSecret: _, ...rest } = fixed
    return seal({ ...rest, messageId: 'm', sentAtMs: 1, payload })
  }

  test('comes back whatever it says, and its size says one of nine things', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (payload) => {
        const { box } = sealFresh(payload)
        expect(unseal(box, held).payload).toEqual(payload)
        expect(Math.log2(box.length - 89) % 1).toBe(0)
      }),
      { numRuns: 50 }
    )
    expect(sealFresh(new Uint8Array(payloadBytesMax)).box.length).toBe(boxBytesMax)
  })

  test('altered anywhere is refused with a code, and so is any other box', () => {
    const { box } = sealFresh(new Uint8Array(10))
    fc.assert(
      fc.property(fc.nat(box.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
        const altered = box.map((byte, index) => (index === at ? byte ^ difference : byte))
        expect(['bad-version', 'unknown-prekey', 'not-openable']).toContain(codeOf(() => unseal(altered, held)))
      }),
      { numRuns: 200 }
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
        expect(['malformed', 'bad-version', 'unknown-prekey']).toContain(codeOf(() => unseal(bytes, held)))
      })
    )
    expect(codeOf(() => unseal(new Uint8Array(boxBytesMax + 1), held))).toBe('too-large')
  })

  test('looks different each time, and tells the wrong recipient nothing', () => {
    const [first, second] = [sealFresh(new Uint8Array(10)), sealFresh(new Uint8Array(10))]
    expect(first.box.subarray(1, 9)).not.toEqual(second.box.subarray(1, 9))
    const thief = { recipient: held.recipient, secrets: [randomBytes(32)] }
    expect(codeOf(() => unseal(first.box, thief))).toBe('unknown-prekey')
    const other = { ...held, recipient: signerFromKey(randomBytes(32)).publicKey }
    expect(codeOf(() => unseal(first.box, other))).toBe('not-openable')
  })

  test('is known by who holds the public half of its prekey, and by nobody else', () => {
    const { box } = sealFresh(new Uint8Array(10))
    expect(isSealedTo(box, fixed.prekey)).toBe(true)
    expect(isSealedTo(box, randomBytes(32))).toBe(false)
    expect(isSealedTo(new Uint8Array(10), fixed.prekey)).toBe(false)
  })

  test('that acknowledges brings up to 64 proofs, and says nothing else', () => {
    const { ephemeralSecret: _, ...rest } = fixed
    const acknowledging = (acks: Uint8Array[], payload = new Uint8Array()) =>
      seal({ ...rest, messageId: 'ack', sentAtMs: 1, payload, acks })
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { minLength: 1, maxLength: acksMax }),
        (acks) => {
          expect(unseal(acknowledging(acks).box, held).acks).toEqual(acks)
        }
      ),
      { numRuns: 20 }
    )
    const one = [randomBytes(32)]
    expect(codeOf(() => acknowledging(one, Uint8Array.of(1)))).toBe('malformed')
    expect(codeOf(() => acknowledging(Array.from({ length: acksMax + 1 }, () => randomBytes(32))))).toBe('malformed')
    expect(unseal(acknowledging([]).box, held).acks).toBeUndefined()
  })

  test('is not made for a weak prekey or a bad id', () => {
    const letter = { ...fixed, messageId: 'm', sentAtMs: 1, payload: new Uint8Array() }
    expect(codeOf(() => seal({ ...letter, prekey: new Uint8Array(32) }))).toBe('weak-key')
    expect(codeOf(() => seal({ ...letter, messageId: 'a b' }))).toBe('malformed')
    expect(codeOf(() => seal({ ...letter, messageId: '' }))).toBe('malformed')
  })
})

describe('an envelope', () => {
  const [ana, bo] = [signerFromKey(randomBytes(32)), signerFromKey(randomBytes(32))]
  const [anaKey, boKey, malloryKey] = [randomBytes(32), randomBytes(32), randomBytes(32)]
  const parties = [ana.publicKey, bo.publicKey] as const

  test('of a conversation is signed with a key that both derive, and nobody else', () => {
    const hers = conversationSigner({ secret: anaKey, replyKey: x25519.getPublicKey(boKey), parties })
    const his = conversationSigner({
      secret: boKey,
      replyKey: x25519.getPublicKey(anaKey),
      parties: [bo.publicKey, ana.publicKey]
    })
    const theirs = conversationSigner({ secret: malloryKey, replyKey: x25519.getPublicKey(boKey), parties })
    expect(hers.publicKey).toEqual(his.publicKey)
    expect(theirs.publicKey).not.toEqual(his.publicKey)
    const read = openEnvelope(writeEnvelope({ to: bo.publicKey, box: new Uint8Array(10), by: hers }))
    expect(read).toMatchObject({ to: bo.publicKey, by: his.publicKey, workBits: 0 })
    expect(codeOf(() => conversationSigner({ secret: anaKey, replyKey: new Uint8Array(32), parties }))).toBe('weak-key')
  })

  test('of a stranger shows its work; altered it is refused', () => {
    const bytes = writeFirstEnvelope({ to: bo.publicKey, box: new Uint8Array(10), bits: 8 })
    expect(openEnvelope(bytes).workBits).toBe(8)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
        const altered = bytes.map((byte, index) => (index === at ? byte ^ difference : byte))
        expect(['malformed', 'bad-version', 'work-missing', 'bad-signature']).toContain(
          codeOf(() => openEnvelope(altered))
        )
      })
    )
  })
})
