import { x25519 } from '@noble/curves/ed25519.js'
import { randomBytes } from '@noble/hashes/utils.js'
import { decodeCanonical, didFromKey, encodeCanonical, signerFromKey } from '@souk/records'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { openExhibit, writeExhibit } from '../../src/messages/exhibit.ts'
import { exhibitBytesMax, payloadBytesMax } from '../../src/messages/limits.ts'
import { seal, unseal } from '../../src/messages/seal.ts'
import type { ProtocolError } from '../../src/protocol-error.ts'

const [ana, bo] = [signerFromKey(randomBytes(32)), signerFromKey(randomBytes(32))]
const secret = randomBytes(32)
const prekey = x25519.getPublicKey(secret)

const letter = (payload: Uint8Array) =>
  seal({ from: ana, recipient: bo.publicKey, prekey, replyKey: prekey, messageId: 'm', sentAtMs: 7, payload })

const codeOf = (task: () => unknown): string => {
  try {
    task()
    return 'none'
  } catch (error) {
    return (error as ProtocolError).code
  }
}

test('either party shows one letter to a third, who learns who wrote it to whom', () => {
  const sealed = letter(new TextEncoder().encode('I will send it on Monday.'))
  const opened = unseal(sealed.box, { recipient: bo.publicKey, secrets: [secret] })
  for (const opening of [sealed.opening, opened.opening]) {
    const shown = openExhibit(writeExhibit(opening, bo.publicKey), { box: sealed.box })
    expect({ ...shown, payload: new TextDecoder().decode(shown.payload) }).toEqual({
      from: didFromKey(ana.publicKey),
      to: didFromKey(bo.publicKey),
      messageId: 'm',
      payload: 'I will send it on Monday.',
      sentAtMs: 7
    })
  }
})

test('the largest letter can be shown', () => {
  const { opening } = letter(new Uint8Array(payloadBytesMax))
  const bytes = writeExhibit(opening, bo.publicKey)
  expect(bytes.length).toBeLessThanOrEqual(exhibitBytesMax)
  expect(openExhibit(bytes).payload.length).toBe(payloadBytesMax)
  expect(codeOf(() => openExhibit(new Uint8Array(exhibitBytesMax + 1)))).toBe('too-large')
})

test('an exhibit altered anywhere shows nothing, nor does one of another box or of another recipient', () => {
  const { opening } = letter(new Uint8Array(20))
  const bytes = writeExhibit(opening, bo.publicKey)
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const altered = bytes.map((byte, index) => (index === at ? byte ^ difference : byte))
      expect(['malformed', 'bad-version', 'bad-frank', 'bad-signature']).toContain(codeOf(() => openExhibit(altered)))
    }),
    { numRuns: 300 }
  )
  expect(codeOf(() => openExhibit(bytes, { box: letter(new Uint8Array(20)).box }))).toBe('bad-frank')
  expect(codeOf(() => openExhibit(writeExhibit(opening, ana.publicKey)))).toBe('bad-signature')
  const more = { ...(decodeCanonical(bytes, { bytesMax: exhibitBytesMax }) as object), note: 'mine' }
  expect(codeOf(() => openExhibit(encodeCanonical(more)))).toBe('malformed')
})

test('what is shown of one letter opens no other', () => {
  const [first, second] = [letter(new Uint8Array(20)), letter(new Uint8Array(20))]
  const swapped = { ...second.opening, frankKey: first.opening.frankKey }
  expect(codeOf(() => openExhibit(writeExhibit(swapped, bo.publicKey)))).toBe('bad-frank')
})
