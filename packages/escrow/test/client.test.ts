import { getBytes, JsonRpcProvider, parseEther, Wallet } from 'ethers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  connectRpc,
  createEscrow,
  deployEscrow,
  encryptKey,
  escrowAddress,
  keystorePayer,
  verifyDeployment,
  zeroAddress,
  type EscrowOrder,
  type Rpc
} from '@souk/escrow'
import { startChain, type Chain } from '@souk/escrow/testing'
import { balance, chainTime, makeOrder, memoryStore, party, termsOf, type Party } from './market.ts'

let chain: Chain
let buyer: Party
let seller: Party
let arbiter: Party
let rpc: Rpc

beforeAll(async () => {
  chain = await startChain({ token: true })
  rpc = connectRpc(chain.url, chain)
  buyer = await party(chain, 0)
  seller = await party(chain, 1)
  arbiter = await party(chain, 2)
})
afterAll(() => chain.stop())

/** Gas of a step, compared with the ceilings of docs/protocol/escrow.md. */
function within(ceiling: number, gasUsed: bigint | undefined): void {
  expect(gasUsed).toBeDefined()
  expect(Number(gasUsed)).toBeLessThanOrEqual(ceiling)
}

async function funded(change: Partial<EscrowOrder> = {}): Promise<EscrowOrder> {
  const order = await makeOrder(chain, change)
  await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
  return order
}

async function dispatched(change: Partial<EscrowOrder> = {}): Promise<EscrowOrder> {
  const order = await funded(change)
  await seller.escrow.accept(order, { expected: termsOf(order, chain) })
  await seller.escrow.dispatch(order)
  return order
}

async function statusOf(order: EscrowOrder): Promise<string> {
  return (await buyer.escrow.state(buyer.escrow.orderId(order))).status
}

describe('the way of an order', () => {
  it('pays the seller in native coin, in two transactions, within the gas ceilings', async () => {
    const order = await makeOrder(chain)
    const sellerSignature = await seller.escrow.sign({ kind: 'accept', order })
    const before = await balance(chain, order.seller)
    const fund = await buyer.escrow.fund(order, { expected: termsOf(order, chain), sellerSignature })
    expect(await buyer.escrow.held(order)).toBe(parseEther('1'))
    expect(await statusOf(order)).toBe('accepted')
    const release = await buyer.escrow.release(order)
    const id = buyer.escrow.orderId(order)
    expect(await buyer.escrow.state(id)).toEqual({
      status: 'released',
      deadlineSeconds: 0,
      toSeller: order.amount,
      toBuyer: 0n
    })
    expect((await balance(chain, order.seller)) - before).toBe(order.amount)
    within(69_000, fund.gasUsed)
    within(54_000, release.gasUsed)
  })

  it('pays the seller in a token', async () => {
    // The ceiling is that of an escrow in use: the first token to come in costs 17,100 more, once.
    await funded({ token: chain.token as `0x${string}`, amount: 1n })
    const order = await makeOrder(chain, { token: chain.token as `0x${string}`, amount: 25_000_000n })
    const fund = await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    await seller.escrow.accept(order, { expected: termsOf(order, chain) })
    const release = await buyer.escrow.release(order)
    expect(await statusOf(order)).toBe('released')
    within(95_000, fund.gasUsed)
    within(65_000, release.gasUsed)
  })

  it('goes step by step, each within its gas ceiling', async () => {
    const order = await makeOrder(chain)
    within(61_000, (await buyer.escrow.fund(order, { expected: termsOf(order, chain) })).gasUsed)
    within(39_000, (await seller.escrow.accept(order, { expected: termsOf(order, chain) })).gasUsed)
    within(39_000, (await seller.escrow.dispatch(order)).gasUsed)
    within(51_000, (await buyer.escrow.release(order, { total: 1_000n })).gasUsed)
    await buyer.escrow.extend(order, { deadlineSeconds: (await chainTime(chain)) + 86_400n * 30n }).then(
      () => expect.unreachable('the clock runs for the seller'),
      (error: unknown) => expect(error).toMatchObject({ code: 'refused', contractError: 'NotParty' })
    )
    await seller.escrow.extend(order, { deadlineSeconds: (await chainTime(chain)) + 86_400n * 30n })
    within(40_000, (await buyer.escrow.dispute(order)).gasUsed)
    within(64_000, (await arbiter.escrow.rule(order, { sellerTotal: order.amount / 2n })).gasUsed)
    expect(await buyer.escrow.state(buyer.escrow.orderId(order))).toMatchObject({
      status: 'ruled',
      toSeller: order.amount / 2n,
      toBuyer: order.amount / 2n
    })
  })

  it('returns everything when the buyer cancels before acceptance', async () => {
    const order = await makeOrder(chain)
    const before = await balance(chain, order.buyer)
    const fund = await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    const cancel = await buyer.escrow.cancel(order)
    const gas = (await feeOf(fund.hash)) + (await feeOf(cancel.hash))
    expect(await balance(chain, order.buyer)).toBe(before - gas)
    expect(await statusOf(order)).toBe('refunded')
    within(50_000, cancel.gasUsed)
    await expect(seller.escrow.accept(order, { expected: termsOf(order, chain) })).rejects.toMatchObject({
      code: 'refused',
      contractError: 'BadStatus'
    })
  })

  it('lets the seller refund, the parties settle, and either burn an order before it is paid', async () => {
    const first = await dispatched()
    await seller.escrow.refund(first)
    expect(await statusOf(first)).toBe('refunded')
    const second = await dispatched()
    const action = { kind: 'settle', id: buyer.escrow.orderId(second), sellerTotal: 7n } as const
    const sellerSignature = await seller.escrow.sign(action)
    within(74_000, (await buyer.escrow.settle(second, { sellerTotal: 7n, sellerSignature })).gasUsed)
    expect(await statusOf(second)).toBe('settled')
    const third = await makeOrder(chain)
    await seller.escrow.revoke(third)
    await expect(buyer.escrow.fund(third, { expected: termsOf(third, chain) })).rejects.toMatchObject({
      code: 'already-funded'
    })
  })

  it('carries any step for a party that signed it', async () => {
    const order = await funded()
    const id = buyer.escrow.orderId(order)
    const stranger = await party(chain, 5)
    const relay = stranger.escrow
    const expected = termsOf(order, chain)
    await relay.accept(order, { expected, signature: await seller.escrow.sign({ kind: 'accept', order }) })
    await relay.dispatch(order, { signature: await seller.escrow.sign({ kind: 'dispatch', id }) })
    await relay.dispute(order, {
      by: order.buyer,
      signature: await buyer.escrow.sign({ kind: 'dispute', id, status: 'dispatched' })
    })
    await relay.rule(order, {
      sellerTotal: 0n,
      signature: await arbiter.escrow.sign({ kind: 'rule', id, sellerTotal: 0n })
    })
    expect(await statusOf(order)).toBe('ruled')
  })

  it('holds deposits of both sides, and sends them home', async () => {
    const change = { buyerDeposit: 300n, sellerDeposit: 200n, depositWindow: 86_400n, feeBps: 250n }
    const order = await dispatched({ ...change, feeRecipient: chain.accounts[6]?.address as `0x${string}` })
    expect(await buyer.escrow.held(order)).toBe(order.amount + 500n)
    await buyer.escrow.release(order)
    expect(await statusOf(order)).toBe('holding')
    expect(await buyer.escrow.held(order)).toBe(500n)
    await chain.increaseTime(86_401)
    within(53_000 + 20_000, (await buyer.escrow.timeout(order)).gasUsed)
    expect(await statusOf(order)).toBe('released')
  })

  it('ends by itself when a deadline passes, and not before', async () => {
    const order = await dispatched()
    await expect(seller.escrow.timeout(order)).rejects.toMatchObject({ code: 'refused', contractError: 'TooEarly' })
    await chain.increaseTime(14 * 86_400 + 1)
    await expect(buyer.escrow.dispute(order)).rejects.toMatchObject({ code: 'refused', contractError: 'TooLate' })
    within(53_000, (await seller.escrow.timeout(order)).gasUsed)
    expect(await statusOf(order)).toBe('released')
  })

  it('credits a refused payment, and lets its owner take it once', async () => {
    await chain.send('anvil_setCode', [seller.address, '0x60006000fd'])
    const order = await makeOrder(chain)
    await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    await buyer.escrow.release(order)
    expect(await buyer.escrow.credit(seller.address, zeroAddress)).toBe(order.amount)
    await chain.send('anvil_setCode', [seller.address, '0x'])
    const elsewhere = chain.accounts[7]?.address as `0x${string}`
    const before = await balance(chain, elsewhere)
    await seller.escrow.withdraw(zeroAddress, { to: elsewhere })
    expect((await balance(chain, elsewhere)) - before).toBe(order.amount)
    await expect(seller.escrow.withdraw(zeroAddress)).rejects.toMatchObject({ code: 'no-credit' })
  })
})

describe('what is refused before money moves', () => {
  it.each([
    ['another chain', { chainId: 1 }, 'wrong-chain'],
    ['another contract', { contract: `0x${'99'.repeat(20)}` }, 'wrong-contract'],
    ['another token', { token: `0x${'99'.repeat(20)}` }, 'wrong-token'],
    ['another amount', { amount: 1n }, 'wrong-amount'],
    ['another seller', { seller: `0x${'99'.repeat(20)}` }, 'wrong-party'],
    ['another arbiter', { arbiter: zeroAddress }, 'wrong-arbiter']
  ] as const)('terms that name %s', async (_name, change, code) => {
    const order = await makeOrder(chain)
    const before = await balance(chain, order.buyer)
    const expected = { ...termsOf(order, chain), ...change }
    await expect(buyer.escrow.fund(order, { expected })).rejects.toMatchObject({ code })
    expect(await balance(chain, order.buyer)).toBe(before)
    expect(await statusOf(order)).toBe('none')
  })

  it('a payer who is not the buyer, and a seller who did not sign', async () => {
    const order = await makeOrder(chain)
    const expected = termsOf(order, chain)
    await expect(seller.escrow.fund(order, { expected })).rejects.toMatchObject({ code: 'wrong-party' })
    const sellerSignature = await buyer.escrow.sign({ kind: 'accept', order })
    await expect(buyer.escrow.fund(order, { expected, sellerSignature })).rejects.toMatchObject({
      code: 'bad-signature'
    })
    await expect(buyer.escrow.fund(order, { expected, sellerSignature: '0x1234' })).rejects.toMatchObject({
      code: 'bad-signature'
    })
  })

  it('an endpoint on another chain, and a contract with other code', async () => {
    const order = await makeOrder(chain)
    const elsewhere: Rpc = { send: async (name, params) => (name === 'eth_chainId' ? '0x1' : rpc.send(name, params)) }
    const misled = await party(chain, 0, { rpc: elsewhere })
    await expect(misled.escrow.fund(order, { expected: termsOf(order, chain) })).rejects.toMatchObject({
      code: 'wrong-chain'
    })
    const fake = `0x${'77'.repeat(20)}` as const
    await chain.send('anvil_setCode', [fake, '0x00'])
    const fooled = await party(chain, 0, { contract: fake })
    const expected = { ...termsOf(order, chain), contract: fake }
    await expect(fooled.escrow.fund(order, { expected })).rejects.toMatchObject({ code: 'wrong-contract' })
    await expect(
      verifyDeployment(rpc, { chainId: chain.chainId, contract: `0x${'78'.repeat(20)}` })
    ).rejects.toMatchObject({
      code: 'wrong-contract'
    })
  })

  it('too little of a token', async () => {
    const poor = await party(chain, 8)
    const order = await makeOrder(chain, {
      buyer: poor.address,
      token: chain.token as `0x${string}`,
      amount: 900_000_000n
    })
    const balanceSlotDrain = {
      from: poor.address,
      to: chain.token,
      data: transferAll(buyer.address, 1_000_000_000_000n)
    }
    await chain.send('eth_sendTransaction', [balanceSlotDrain])
    await expect(poor.escrow.fund(order, { expected: termsOf(order, chain) })).rejects.toMatchObject({
      code: 'insufficient-funds'
    })
  })

  it('anything, without a payer', async () => {
    const init = { chainId: chain.chainId, contract: chain.escrow, maxAmountByToken: new Map() }
    const reader = createEscrow({ provider: rpc, store: memoryStore() }, init)
    const order = await makeOrder(chain)
    expect(await reader.state(reader.orderId(order))).toMatchObject({ status: 'none' })
    await expect(reader.release(order)).rejects.toMatchObject({ code: 'no-payer' })
  })
})

describe('keys', () => {
  it('opens an encrypted key with its passphrase only, natively', async () => {
    const key = getBytes(`0x${'42'.repeat(32)}`)
    const json = await encryptKey(key, 'correct horse')
    const plain = await keystorePayer(key)
    const opened = await keystorePayer({ json, passphrase: 'correct horse' })
    expect(await opened.address()).toBe(await plain.address())
    await expect(keystorePayer({ json, passphrase: 'wrong' })).rejects.toMatchObject({ code: 'bad-keystore' })
    await expect(keystorePayer({ json: '{}', passphrase: '' })).rejects.toMatchObject({ code: 'bad-keystore' })
    await expect(keystorePayer(new Uint8Array(31))).rejects.toMatchObject({ code: 'bad-keystore' })
  })
})

describe('deployment', () => {
  it('is at the same address on another chain, and is not repeated', async () => {
    await using other = await startChain({ chainId: 4242 })
    expect(other.escrow).toBe(escrowAddress)
    await verifyDeployment(connectRpc(other.url, other), { chainId: 4242, contract: escrowAddress })
    const provider = new JsonRpcProvider(other.url, 4242, { staticNetwork: true })
    const signer = new Wallet(`0x${'42'.repeat(32)}`, provider)
    expect(await deployEscrow(signer)).toBe(escrowAddress)
    expect(await provider.getTransactionCount(signer)).toBe(0)
    await other.send('anvil_setCode', [escrowAddress, '0x'])
    await other.send('anvil_setCode', ['0x4e59b44847b379578588920cA78FbF26c0B4956C', '0x'])
    await expect(deployEscrow(signer)).rejects.toMatchObject({ code: 'no-deployer' })
    provider.destroy()
  })
})

function transferAll(to: string, amount: bigint): string {
  return `0xa9059cbb${to.slice(2).padStart(64, '0')}${amount.toString(16).padStart(64, '0')}`
}

async function feeOf(hash: string | undefined): Promise<bigint> {
  const receipt = (await chain.send('eth_getTransactionReceipt', [hash])) as {
    gasUsed: string
    effectiveGasPrice: string
  }
  return BigInt(receipt.gasUsed) * BigInt(receipt.effectiveGasPrice)
}
