import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  checkTerms,
  encodeTerms,
  escrowOrderOf,
  type Listing,
  type LocalConfig,
  openTerms,
  type Terms,
  termsFromListing,
  termsHash,
  TradingError
} from '../src/index.ts'
import * as world from './world.ts'
import { type ChoiceName, choices, config, day, listingWith, start, termsOf } from './world.ts'

const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'nothing'
  } catch (error) {
    if (error instanceof TradingError) return error.code
    throw error
  }
}

const totals: readonly [ChoiceName, string, string][] = [
  ['direct', '12900', 'EUR'],
  // 900 · 130000000 / 12000 = 9750000 beside the price
  ['escrow', '139750000', `eip155:31337/erc20:${world.usdc}`],
  ['direct pick-up', '12000', 'EUR'],
  ['escrow pick-up', '50000000000000000', 'eip155:31337/slip44:60']
]

test.each(totals)('%s costs %s %s', (choice, minor, currency) => {
  expect(termsOf(choice).total).toEqual({ minor, currency })
})

test('delivery is converted at the rate of the two prices, rounded up, once for all units', () => {
  const terms = termsFromListing(
    listingWith({
      price: { minor: '7', currency: 'EUR' },
      delivery: [{ kind: 'ship', price: '3', to: ['PT'], handlingDays: 0, transitDays: 30 }]
    }),
    { ...choices.escrow, quantity: 2 }
  )
  expect(terms.delivery).toMatchObject({ price: '55714286' })
  expect(terms.total.minor).toBe('315714286')
  expect(terms.legs[0]).toMatchObject({ dueMs: 3 * day, reviewMs: 33 * day })
})

test.each(Object.keys(choices) as ChoiceName[])('%s: terms pass both the codec and the check', (choice) => {
  const terms = termsOf(choice)
  expect(openTerms(encodeTerms(terms))).toEqual(terms)
  expect(() => checkTerms(terms, listingWith(), config)).not.toThrow()
})

test('the order on chain is what the terms say, and commits to them and to the two identities', () => {
  const terms = termsOf('escrow')
  const bytes = encodeTerms(terms)
  const commitment = createHash('sha256')
    .update('souk/escrow/1\n')
    .update(terms.buyer)
    .update(terms.seller)
    .update(termsHash(bytes))
  expect(escrowOrderOf(terms, bytes)).toEqual({
    buyer: world.buyerAddress,
    seller: world.sellerAddress,
    arbiter: world.arbiterAddress,
    token: world.usdc,
    feeRecipient: world.coin,
    amount: 139_750_000n,
    buyerDeposit: 0n,
    sellerDeposit: 0n,
    acceptBy: BigInt(start / 1000 + 2 * 86_400),
    notBefore: 0n,
    dispatchWindow: 345_600n,
    releaseWindow: 1_209_600n,
    depositWindow: 0n,
    rulingWindow: 2_592_000n,
    feeBps: 0n,
    arbiterFeeBps: 200n,
    defaultSellerBps: 5000n,
    termsHash: `0x${commitment.digest('hex')}`
  })
  expect(codeOf(() => escrowOrderOf(termsOf('direct'), bytes))).toBe('wrong-escrow')
})

const refusedChoices: readonly [string, Parameters<typeof listingWith>[0], object][] = [
  ['out-of-stock', {}, { quantity: 4 }],
  ['unsupported-delivery', {}, { delivery: { kind: 'ship', country: 'JP' } }],
  ['unsupported-delivery', { delivery: [] }, {}],
  ['unsupported-settlement', {}, { settlement: { kind: 'none' } }],
  ['unsupported-settlement', {}, { settlement: { ...choices.escrow.settlement, token: `0x${'99'.repeat(20)}` } }],
  ['unsupported-trade', { businessFunction: 'LeaseOut' }, {}],
  ['unsupported-trade', { type: 'Demand' }, {}],
  ['wrong-amount', { price: { minor: '0', currency: 'EUR' } }, { settlement: choices.escrow.settlement }],
  ['bad-terms', {}, { quantity: 0 }],
  ['bad-terms', {}, { buyer: world.seller.publicKey }],
  ['bad-terms', {}, { pickupHash: new Uint8Array(32) }]
]

test.each(refusedChoices)('a choice refused: %s %o %o', (code, changes, choice) => {
  expect(codeOf(() => termsFromListing(listingWith(changes), { ...choices.direct, ...choice }))).toBe(code)
})

type Bend = (terms: Terms) => Terms
const escrow = termsOf('escrow')
if (escrow.settlement.kind !== 'escrow') throw new Error('not an escrow')
const { settlement } = escrow
const order =
  (changes: object): Bend =>
  (terms) => ({ ...terms, settlement: { ...settlement, order: { ...settlement.order, ...changes } } })
const other = `0x${'77'.repeat(20)}` as const

const refusedTerms: readonly [string, string, Bend, Partial<LocalConfig>?, Listing?][] = [
  ['wrong-listing', 'another revision', (terms) => terms, {}, listingWith({ title: 'Another' })],
  ['wrong-listing', 'another slot', (terms) => ({ ...terms, listingKey: 'el.00000000' })],
  ['wrong-listing', 'another seller', (terms) => ({ ...terms, seller: world.stranger.publicKey })],
  ['expired-listing', 'too late to buy', (terms) => terms, { nowMs: start + 21 * day }],
  ['wrong-chain', 'a chain that this node does not use', (terms) => terms, { chains: [] }],
  ['wrong-chain', 'a chain of the buyer', (terms) => ({ ...terms, settlement: { ...settlement, chain: 'eip155:1' } })],
  [
    'wrong-contract',
    'a contract of the buyer',
    (terms) => ({ ...terms, settlement: { ...settlement, contract: other } })
  ],
  [
    'wrong-contract',
    'a contract that this node does not trust',
    (terms) => terms,
    { chains: [{ ...config.chains[0], chain: world.chain, contract: other, tokens: [] }] }
  ],
  ['wrong-token', 'a worthless token', order({ token: other })],
  [
    'wrong-token',
    'a token that this node does not take',
    (terms) => terms,
    { chains: [{ chain: world.chain, contract: world.contract, tokens: [{ address: world.coin }] }] }
  ],
  ['wrong-seller-address', 'somebody else is paid', order({ seller: other })],
  ['wrong-buyer-address', 'somebody else pays', (terms) => terms, { buyerAddress: other }],
  ['wrong-buyer-address', 'nobody pays', order({ buyer: world.coin })],
  ['wrong-arbiter', 'a friend rules', order({ arbiter: other })],
  ['wrong-arbiter', 'the buyer rules', order({ arbiter: world.buyerAddress })],
  ['out-of-stock', 'others were faster', (terms) => terms, { available: 0 }],
  ['wrong-amount', 'a cheaper order on chain', order({ amount: '1' })],
  ['wrong-amount', 'a cheaper total', (terms) => ({ ...terms, total: { ...terms.total, minor: '1' } })],
  ['wrong-amount', 'a fee for a friend', order({ feeBps: 1000, feeRecipient: other })],
  ['wrong-amount', 'a deposit', order({ sellerDeposit: '1' })],
  [
    'over-cap',
    'more than this node risks',
    (terms) => terms,
    { chains: [{ chain: world.chain, contract: world.contract, tokens: [{ address: world.usdc, amountMax: 1n }] }] }
  ],
  ['bad-deadline', 'no time to object', order({ releaseWindow: 1 })],
  ['bad-deadline', 'no time to ship', order({ dispatchWindow: 1 })],
  ['bad-deadline', 'a clock that never starts', order({ notBefore: 2_000_000_000 })],
  ['bad-deadline', 'another timer', (terms) => ({ ...terms, timers: { ...terms.timers, returnMs: 0 } })],
  ['bad-deadline', 'too late to accept', (terms) => terms, { nowMs: start + 2 * day + 1 }],
  ['bad-deadline', 'from the future', (terms) => terms, { nowMs: start - 3 * day }],
  ['bad-terms', 'another unit', (terms) => ({ ...terms, unit: 'KGM' })],
  [
    'unsupported-delivery',
    'a country that the seller does not ship to',
    (terms) => ({ ...terms, delivery: { kind: 'ship', price: '9750000', country: 'JP' } })
  ]
]

describe('checkTerms', () => {
  test.each(refusedTerms)('%s: %s', (code, _name, bend, changes = {}, listing = listingWith()) => {
    expect(codeOf(() => checkTerms(bend(escrow), listing, { ...config, ...changes }))).toBe(code)
  })
})

const unreadable: readonly [string, Uint8Array][] = [
  ['no cbor', new Uint8Array([0xff])],
  ['too long', new Uint8Array(9000)],
  ['an unknown field', encodeAny({ ...termsOf('direct'), gift: true })],
  ['a secret where there is none', encodeAny({ ...termsOf('direct'), pickupHash: new Uint8Array(32) })],
  ['legs that do not add up', encodeAny({ ...termsOf('direct'), total: { minor: '1', currency: 'EUR' } })],
  ['more than 104 bits', encodeAny(order({ amount: (1n << 104n).toString() })(escrow))],
  ['an amount that is no number', encodeAny(order({ amount: 'a lot' })(escrow))],
  ['two currencies', encodeAny({ ...termsOf('direct'), price: { minor: '12000', currency: 'USD' } })]
]

test.each(unreadable)('terms that nobody can agree to: %s', (_name, bytes) => {
  expect(codeOf(() => openTerms(bytes))).toBe('bad-terms')
})

function encodeAny(value: unknown): Uint8Array {
  return world.encode(value)
}
