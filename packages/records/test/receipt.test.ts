import { encodeStatement, openReceipt, openStatement, signStatement, verifyStatement } from '@souk/records'
import { expect, test } from 'vitest'
import { createPeople, receiptOf, statementOf } from './generators/parts.ts'

const people = createPeople()
const { seller, buyer, stranger } = people
const statement = statementOf(people)

test('what both signed is read by a stranger', () => {
  const settled = { tx: new Uint8Array(32), logIndex: 3 }
  expect(openReceipt({ ...receiptOf(statement, people), settled })).toEqual({ statement, settled })
})

test('each signature is of its party, over this statement, and of nothing else', () => {
  const bytes = encodeStatement(statement)
  const signature = signStatement(bytes, buyer.signer)
  expect(verifyStatement(bytes, { publicKey: buyer.signer.publicKey, signature })).toBe(true)
  expect(verifyStatement(bytes, { publicKey: seller.signer.publicKey, signature })).toBe(false)
  expect(verifyStatement(bytes, { publicKey: buyer.signer.publicKey, signature: buyer.signer.sign(bytes) })).toBe(false)
})

test.each([
  ['the buyer’s by a stranger', { ...people, buyer: stranger }],
  ['the seller’s by a stranger', { ...people, seller: stranger }],
  ['both exchanged', { ...people, buyer: seller, seller: buyer }]
])('a receipt with signatures wrong: %s', (_, signers) => {
  const receipt = receiptOf(statement, signers)
  expect(() => openReceipt(receipt)).toThrow(expect.objectContaining({ code: 'receipt-bad-signature' }))
})

test('an agreement proves as a closing does', () => {
  const agreement = { ...statement, type: 'agreement' } as const
  expect(openReceipt(receiptOf(agreement, people)).statement.type).toBe('agreement')
})

test.each([
  ['not CBOR', Uint8Array.of(0xff)],
  ['too long', new Uint8Array(2000)],
  ['of a later version', encodeStatement({ ...statement, v: 2 as 1 })],
  ['direct, with an escrow', encodeStatement({ ...statement, settlement: 'direct' })],
  ['of a price that is no number', encodeStatement({ ...statement, price: { minor: '1.5', currency: 'EUR' } })]
])('a statement that is %s', (_, bytes) => {
  expect(() => openStatement(bytes)).toThrow(expect.objectContaining({ code: 'receipt-missing' }))
})

test('nobody trades with himself', () => {
  const alone = encodeStatement({ ...statement, seller: statement.buyer })
  expect(() => openStatement(alone)).toThrow(expect.objectContaining({ code: 'receipt-mismatch' }))
})
