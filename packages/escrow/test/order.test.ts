import { readFileSync } from 'node:fs'
import { getBytes, hexlify, Interface } from 'ethers'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  assertOrder,
  checkOrder,
  EscrowError,
  escrowAbi,
  orderId,
  typedData,
  typedDataHash,
  zeroAddress,
  type EscrowAction,
  type EscrowErrorCode,
  type EscrowOrder,
  type ExpectedOrder,
  type Hex,
  type OrderPolicy
} from '@souk/escrow'
import { startChain, type Chain } from '@souk/escrow/testing'

interface Vectors {
  valid: { name: string; chainId: number; contract: Hex; order: Record<string, string>; id: Hex }[]
  actions: { action: Record<string, string>; digest: Hex }[]
  invalid: { name: string; order: Record<string, string>; code: EscrowErrorCode }[]
}

const vectors = JSON.parse(readFileSync(new URL('vectors/order-id.json', import.meta.url), 'utf8')) as Vectors
const [first] = vectors.valid as [Vectors['valid'][0]]

/** Decimal strings become bigints; the rest stays. */
function revive(fields: Record<string, string>): unknown {
  const entries = Object.entries(fields).map(([name, text]) => [name, /^-?\d+$/.test(text) ? BigInt(text) : text])
  return Object.fromEntries(entries)
}

function codeOf(task: () => void): string {
  try {
    task()
  } catch (error) {
    return error instanceof EscrowError ? error.code : `not ours: ${String(error)}`
  }
  return 'accepted'
}

describe('the order id', () => {
  let chain: Chain
  beforeAll(async () => {
    chain = await startChain()
  })
  afterAll(() => chain.stop())

  it.each(vectors.valid)('of $name is the same here, in the contract and in the vectors', async (vector) => {
    const order = revive(vector.order) as EscrowOrder
    expect(orderId(order, vector)).toBe(vector.id)
    await chain.send('anvil_setChainId', [vector.chainId])
    await chain.send('anvil_setCode', [vector.contract, await chain.send('eth_getCode', [chain.escrow, 'latest'])])
    const data = new Interface(escrowAbi).encodeFunctionData('orderId', [order])
    expect(await chain.send('eth_call', [{ to: vector.contract, data }, 'latest'])).toBe(vector.id)
  })

  it.each(vectors.actions)('digest of $action.kind is that of the vectors', ({ action, digest }) => {
    expect(typedDataHash(typedData(revive(action) as EscrowAction, first))).toBe(digest)
  })

  it('has no two alike among the vectors', () => {
    const all = [...vectors.valid.map(({ id }) => id), ...vectors.actions.map(({ digest }) => digest)]
    expect(new Set(all).size).toBe(all.length)
  })

  it('changes with every bit of every field', () => {
    const order = revive(first.order) as EscrowOrder
    const names = Object.keys(order) as (keyof EscrowOrder)[]
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.nat(15), (name, bit) => {
        const value = order[name]
        const changed = typeof value === 'bigint' ? value ^ (1n << BigInt(bit)) : flip(value, bit)
        expect(orderId({ ...order, [name]: changed }, first)).not.toBe(first.id)
      })
    )
  })

  it('does not depend on the case of hex digits', () => {
    const order = revive(first.order) as EscrowOrder
    const termsHash = `0x${order.termsHash.slice(2).toUpperCase()}` satisfies Hex
    expect(orderId({ ...order, termsHash }, first)).toBe(first.id)
  })

  it.each(vectors.invalid)('refuses $name', ({ order, code }) => {
    expect(codeOf(() => assertOrder(revive(order)))).toBe(code)
  })

  it.each([null, undefined, 7, 'order', [], new Map()])('refuses %s', (value) => {
    expect(codeOf(() => assertOrder(value))).toBe('bad-order')
  })
})

describe('what is refused before money moves', () => {
  const other: Hex = `0x${'99'.repeat(20)}`
  const nowSeconds = 1_799_000_000
  const order = revive(first.order) as EscrowOrder
  const terms: ExpectedOrder = { ...order, chainId: first.chainId, contract: first.contract }
  const policy: OrderPolicy = { ...first, maxAmountByToken: new Map([[zeroAddress, 2n * 10n ** 18n]]) }

  const check = (
    change: Partial<EscrowOrder>,
    expected: Partial<ExpectedOrder> = {},
    ours: Partial<OrderPolicy> = {}
  ) =>
    codeOf(() =>
      checkOrder(
        { ...order, ...change },
        { expected: { ...terms, ...change, ...expected }, policy: { ...policy, ...ours }, nowSeconds }
      )
    )

  it('takes what the terms say', () => {
    expect(check({})).toBe('accepted')
  })

  // The order differs from the terms.
  it.each<[keyof ExpectedOrder, unknown, EscrowErrorCode]>([
    ['chainId', 1, 'wrong-chain'],
    ['contract', other, 'wrong-contract'],
    ['buyer', other, 'wrong-party'],
    ['seller', other, 'wrong-party'],
    ['arbiter', other, 'wrong-arbiter'],
    ['arbiter', undefined, 'wrong-arbiter'],
    ['token', other, 'wrong-token'],
    ['amount', 10n ** 18n - 1n, 'wrong-amount'],
    ['buyerDeposit', 1n, 'wrong-amount'],
    ['sellerDeposit', 1n, 'wrong-amount'],
    ['defaultSellerBps', 4_999n, 'wrong-amount'],
    ['feeBps', 1n, 'wrong-fee'],
    ['arbiterFeeBps', 1n, 'wrong-fee'],
    ['feeRecipient', other, 'wrong-fee'],
    ['termsHash', `0x${'cd'.repeat(32)}`, 'wrong-terms']
  ])('terms with another %s', (name, value, code) => {
    expect(check({}, { [name]: value })).toBe(code)
  })

  // Order and terms agree, and it is still wrong.
  it.each<[string, Partial<EscrowOrder>, EscrowErrorCode]>([
    ['who sells to himself', { seller: order.buyer }, 'wrong-party'],
    ['who is nobody', { seller: zeroAddress }, 'wrong-party'],
    ['an arbiter who buys', { arbiter: order.buyer }, 'wrong-arbiter'],
    ['a token not on the list', { token: other }, 'wrong-token'],
    ['nothing to pay', { amount: 0n }, 'wrong-amount'],
    ['more than the cap', { amount: 2n * 10n ** 18n + 1n }, 'over-cap'],
    ['deposits above the cap', { sellerDeposit: 10n ** 18n + 1n, depositWindow: 86_400n }, 'over-cap'],
    ['a fee above the limit', { feeBps: 1_001n, feeRecipient: other }, 'wrong-fee'],
    ['a fee for nobody', { feeBps: 1n }, 'wrong-fee'],
    ['an arbiter fee above the limit', { arbiterFeeBps: 2_501n }, 'wrong-fee'],
    ['an arbiter fee without arbiter', { arbiter: zeroAddress, arbiterFeeBps: 1n }, 'wrong-fee'],
    ['a split above the whole', { defaultSellerBps: 10_001n }, 'wrong-amount'],
    ['no time to accept', { acceptBy: BigInt(nowSeconds + 599) }, 'wrong-window'],
    ['no time to dispatch', { dispatchWindow: 3_599n }, 'wrong-window'],
    ['no time to look', { releaseWindow: 3_599n }, 'wrong-window'],
    ['no time to look at what came back', { buyerDeposit: 1n, depositWindow: 3_599n }, 'wrong-window'],
    ['no time to rule', { rulingWindow: 86_399n }, 'wrong-window'],
    ['an arbiter without time', { rulingWindow: 0n }, 'wrong-window'],
    ['an event in a hundred years', { notBefore: BigInt(nowSeconds) + 3_155_760_000n }, 'wrong-window'],
    ['a window of a hundred years', { dispatchWindow: 3_155_760_000n }, 'wrong-window'],
    ['a field out of range', { amount: -1n }, 'bad-order']
  ])('%s', (_name, change, code) => {
    expect(check(change)).toBe(code)
  })

  it('is decided by the policy of the node, not by the terms', () => {
    expect(check({}, {}, { chainId: 1 })).toBe('wrong-chain')
    expect(check({}, {}, { contract: other })).toBe('wrong-contract')
    expect(check({}, {}, { maxAmountByToken: new Map() })).toBe('wrong-token')
    expect(check({ releaseWindow: 60n }, {}, { windows: { releaseWindowSecondsMin: 60 } })).toBe('accepted')
  })
})

/** The same bytes but for one bit. */
function flip(hex: string, bit: number): Hex {
  const bytes = getBytes(hex)
  bytes[bit % bytes.length] = (bytes[bit % bytes.length] ?? 0) ^ 1
  return hexlify(bytes) as Hex
}
