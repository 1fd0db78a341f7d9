import { parseEther } from 'ethers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectRpc, keystorePayer, type EscrowOrder, type Payer, type EscrowStore, type Rpc } from '@souk/escrow'
import { startChain, type Chain } from '@souk/escrow/testing'
import { makeOrder, memoryStore, party, termsOf, type Party } from './market.ts'

let chain: Chain
let rpc: Rpc
let base: unknown

beforeAll(async () => {
  chain = await startChain({ token: true })
  rpc = connectRpc(chain.url, chain)
})
afterAll(() => chain.stop())
beforeEach(async () => {
  base = await chain.send('evm_snapshot')
})
afterEach(async () => {
  await chain.send('evm_setAutomine', [true])
  await chain.send('evm_revert', [base])
})

async function sentBy(address: string): Promise<number> {
  return Number(await chain.send('eth_getTransactionCount', [address, 'latest']))
}

const killed = new Error('killed')

/** Dies at its n-th use of the world: a write, a broadcast, before or after it took effect. */
function mortal(life: { left: number }, store: EscrowStore): { store: EscrowStore; rpc: Rpc } {
  const pass = (): void => {
    life.left -= 1
    if (life.left < 0) throw killed
  }
  return {
    store: {
      get: (key) => store.get(key),
      iterator: (range) => store.iterator(range),
      batch: async (operations, options) => {
        pass()
        await store.batch(operations, options)
        pass()
      }
    },
    rpc: {
      send: async (method, params) => {
        if (method !== 'eth_sendRawTransaction') return rpc.send(method, params)
        pass()
        const answer = await rpc.send(method, params)
        pass()
        return answer
      }
    }
  }
}

describe('a crash between any two steps', () => {
  it.each([
    ['native coin', false],
    ['a token, with its approval', true]
  ])('pays once in %s', async (_name, inToken) => {
    let deaths = 0
    for (let life = 0; life < 40; life += 1) {
      const order = await makeOrder(chain, inToken ? { token: chain.token as `0x${string}`, amount: 1_000_000n } : {})
      const before = await sentBy(order.buyer)
      const store = memoryStore()
      const world = mortal({ left: life }, store)
      const first = await party(chain, 0, world)
      const outcome = await first.escrow
        .fund(order, { expected: termsOf(order, chain) })
        .catch((error: unknown) => error)
      const hasDied = outcome === killed || (outcome as { cause?: unknown }).cause === killed
      if (hasDied) deaths += 1
      const second = await party(chain, 0, { store })
      await second.escrow.resume()
      const result = await second.escrow.fund(order, { expected: termsOf(order, chain) })
      expect(result).toMatchObject({ key: `fund:${second.escrow.orderId(order)}`, final: true })
      expect(await second.escrow.held(order)).toBe(order.amount)
      expect((await sentBy(order.buyer)) - before, `life ${life}`).toBe(inToken ? 2 : 1)
      expect(await second.escrow.resume()).toEqual([])
      if (!hasDied) break
    }
    expect(deaths).toBeGreaterThanOrEqual(inToken ? 14 : 7)
  })

  it('pays once when the wallet keeps the hash to itself and the answer is lost', async () => {
    const order = await makeOrder(chain)
    const store = memoryStore()
    const account = chain.accounts[0]
    const key = await keystorePayer(account.privateKey)
    // Like a browser wallet: it signs and sends by itself, and the node dies before it hears of it.
    const wallet: Payer = {
      ...key,
      send: async (transaction, hand) => {
        await key.send(transaction, { ...hand, onSigned: async () => undefined })
        throw killed
      }
    }
    const before = await sentBy(order.buyer)
    const first = await party(chain, 0, { store, payer: wallet })
    await expect(first.escrow.fund(order, { expected: termsOf(order, chain) })).rejects.toMatchObject({ cause: killed })
    const second = await party(chain, 0, { store })
    const result = await second.escrow.fund(order, { expected: termsOf(order, chain) })
    expect(result).toMatchObject({ hash: undefined, final: true })
    expect((await sentBy(order.buyer)) - before).toBe(1)
  })

  it('takes a new nonce when another device has used the one it meant', async () => {
    const order = await makeOrder(chain)
    const store = memoryStore()
    // Intent written, hash written, nothing sent.
    const first = await party(chain, 0, mortal({ left: 4 }, store))
    await expect(first.escrow.fund(order, { expected: termsOf(order, chain) })).rejects.toMatchObject({ cause: killed })
    const before = await sentBy(order.buyer)
    await chain.send('eth_sendTransaction', [{ from: order.buyer, to: order.seller, value: '0x1' }])
    const second = await party(chain, 0, { store })
    await second.escrow.fund(order, { expected: termsOf(order, chain) })
    expect(await second.escrow.held(order)).toBe(order.amount)
    expect((await sentBy(order.buyer)) - before).toBe(2)
  })
})

describe('asking again', () => {
  let buyer: Party
  let order: EscrowOrder
  beforeEach(async () => {
    buyer = await party(chain, 0)
    order = await makeOrder(chain)
  })

  it('returns the same result and sends nothing', async () => {
    const first = await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    const count = await sentBy(order.buyer)
    const [again, and] = await Promise.all([
      buyer.escrow.fund(order, { expected: termsOf(order, chain) }),
      buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    ])
    expect([again, and]).toEqual([first, first])
    expect(await sentBy(order.buyer)).toBe(count)
  })

  it('pays one order once, however many ask at the same time', async () => {
    const before = await sentBy(order.buyer)
    await Promise.all([1, 2, 3, 4].map(() => buyer.escrow.fund(order, { expected: termsOf(order, chain) })))
    expect((await sentBy(order.buyer)) - before).toBe(1)
  })

  it('gives each of many payments at once a nonce of its own', async () => {
    const orders = await Promise.all(Array.from({ length: 8 }, () => makeOrder(chain)))
    const results = await Promise.all(orders.map((o) => buyer.escrow.fund(o, { expected: termsOf(o, chain) })))
    expect(new Set(results.map(({ hash }) => hash)).size).toBe(8)
    for (const o of orders) expect(await buyer.escrow.held(o)).toBe(o.amount)
  })

  it('pays many orders in a token at once, each from an allowance of its own', async () => {
    const change = { token: chain.token as `0x${string}`, amount: 1_000_000n }
    const orders = await Promise.all(Array.from({ length: 4 }, () => makeOrder(chain, change)))
    await Promise.all(orders.map((o) => buyer.escrow.fund(o, { expected: termsOf(o, chain) })))
    for (const o of orders) expect(await buyer.escrow.held(o)).toBe(o.amount)
  })

  it('refuses a key that was used for another order', async () => {
    await buyer.escrow.fund(order, { expected: termsOf(order, chain), key: 'mine' })
    const other = await makeOrder(chain)
    await expect(buyer.escrow.fund(other, { expected: termsOf(other, chain), key: 'mine' })).rejects.toMatchObject({
      code: 'key-reused'
    })
  })

  it('refuses an order that was paid from elsewhere', async () => {
    await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    const device = await party(chain, 0)
    await expect(device.escrow.fund(order, { expected: termsOf(order, chain) })).rejects.toMatchObject({
      code: 'already-funded'
    })
  })
})

describe('waiting for a block', () => {
  const timing = { receiptPollMs: 10, receiptTimeoutMs: 15_000, replaceAfterMs: 40 }

  it('raises the fee of the same nonce until it is mined, once', async () => {
    const store = memoryStore()
    const buyer = await party(chain, 0, { store, timing })
    const order = await makeOrder(chain)
    const before = await sentBy(order.buyer)
    await chain.send('evm_setAutomine', [false])
    const paying = buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    const key = `journal!fund:${buyer.escrow.orderId(order)}`
    await expect
      .poll(async () => ((await store.get(key)) as { attempts: unknown[] } | undefined)?.attempts.length ?? 0)
      .toBeGreaterThanOrEqual(3)
    await chain.send('anvil_mine', ['0x1'])
    const result = await paying
    expect(result.final).toBe(true)
    const entry = (await store.get(key)) as { attempts: { hash: string; raw?: string; maxFeePerGas: string }[] }
    const fees = entry.attempts.map(({ maxFeePerGas }) => BigInt(maxFeePerGas))
    for (const [index, fee] of fees.slice(1).entries()) expect(fee * 100n).toBeGreaterThan((fees[index] ?? 0n) * 124n)
    expect(entry.attempts.map(({ hash }) => hash)).toContain(result.hash)
    expect(entry.attempts.every(({ raw }) => raw === undefined)).toBe(true)
    expect((await sentBy(order.buyer)) - before).toBe(1)
  })

  it('gives up when told to, or in time, and can be asked again', async () => {
    const store = memoryStore()
    const buyer = await party(chain, 0, { store, timing: { ...timing, receiptTimeoutMs: 60, replaceAfterMs: 60_000 } })
    const order = await makeOrder(chain)
    const expected = termsOf(order, chain)
    await chain.send('evm_setAutomine', [false])
    await expect(buyer.escrow.fund(order, { expected })).rejects.toMatchObject({ code: 'timeout' })
    const signal = AbortSignal.timeout(20)
    await expect(buyer.escrow.fund(order, { expected, signal })).rejects.toMatchObject({ code: 'aborted' })
    expect(await buyer.escrow.resume()).toMatchObject([{ state: 'hash' }])
    await chain.send('anvil_mine', ['0x1'])
    expect(await buyer.escrow.resume()).toEqual([])
    expect(await buyer.escrow.fund(order, { expected })).toMatchObject({ final: true })
  })

  it('tells mined from final, and notices what a reorganisation undid', async () => {
    const store = memoryStore()
    const buyer = await party(chain, 0, { store, confirmations: 3 })
    const order = await makeOrder(chain)
    const snapshot = await chain.send('evm_snapshot')
    expect(await buyer.escrow.fund(order, { expected: termsOf(order, chain) })).toMatchObject({ final: false })
    expect(await buyer.escrow.resume()).toMatchObject([{ state: 'mined' }])
    await chain.send('evm_revert', [snapshot])
    expect(await buyer.escrow.state(buyer.escrow.orderId(order))).toMatchObject({ status: 'none' })
    await buyer.escrow.resume()
    await expect.poll(() => buyer.escrow.held(order)).toBe(order.amount)
    await chain.mine(3)
    expect(await buyer.escrow.fund(order, { expected: termsOf(order, chain), until: 'final' })).toMatchObject({
      final: true
    })
    expect(await buyer.escrow.resume()).toEqual([])
  })

  it('says when it was mined in vain, and may be tried again', async () => {
    const order = await makeOrder(chain)
    const buyer = await party(chain, 0)
    const seller = await party(chain, 1)
    await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    await chain.send('evm_setAutomine', [false])
    const both = [buyer.escrow.cancel(order), seller.escrow.accept(order, { expected: termsOf(order, chain) })]
    const settled = Promise.allSettled(both)
    await expect.poll(async () => Number(((await chain.send('txpool_status')) as { pending: string }).pending)).toBe(2)
    await chain.send('anvil_mine', ['0x1'])
    const failed = (await settled).filter((result) => result.status === 'rejected')
    expect(failed).toMatchObject([{ reason: { code: 'reverted' } }])
    await chain.send('evm_setAutomine', [true])
    const again = (await settled)[0]?.status === 'rejected' ? buyer.escrow.cancel(order) : seller.escrow.dispatch(order)
    await expect(again).rejects.toMatchObject({ code: 'refused', contractError: 'BadStatus' })
  })
})

describe('a payer that cannot pay', () => {
  it('is told so, and is held up by nothing afterwards', async () => {
    const buyer = await party(chain, 3)
    const order = await makeOrder(chain, { buyer: buyer.address })
    await chain.send('anvil_setBalance', [buyer.address, '0x1000'])
    await expect(buyer.escrow.fund(order, { expected: termsOf(order, chain) })).rejects.toMatchObject({
      code: 'insufficient-funds'
    })
    await chain.send('anvil_setBalance', [buyer.address, `0x${parseEther('5').toString(16)}`])
    await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
    expect(await buyer.escrow.held(order)).toBe(order.amount)
  })
})
