import { parseEther } from 'ethers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startChain, type Chain } from '@souk/escrow/testing'
import { balance, makeOrder, party, termsOf, type Party } from './market.ts'

let chain: Chain
let buyer: Party
let seller: Party

beforeAll(async () => {
  chain = await startChain({ token: true })
  buyer = await party(chain, 0)
  seller = await party(chain, 1)
})
afterAll(() => chain.stop())

describe('the happy path', () => {
  it('pays the seller in native coin, in two transactions', async () => {
    const order = await makeOrder(chain)
    const sellerSignature = await seller.escrow.sign({ kind: 'accept', order })
    const before = await balance(chain, order.seller)
    await buyer.escrow.fund(order, { expected: termsOf(order, chain), sellerSignature })
    expect(await buyer.escrow.held(order)).toBe(parseEther('1'))
    const id = buyer.escrow.orderId(order)
    expect(await buyer.escrow.state(id)).toMatchObject({ status: 'accepted', toSeller: 0n })
    await buyer.escrow.release(order)
    expect(await buyer.escrow.state(id)).toMatchObject({ status: 'released', toSeller: order.amount })
    expect((await balance(chain, order.seller)) - before).toBe(order.amount)
  })
})
