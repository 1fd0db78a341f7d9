import { walletAddress } from '@souk/records'
import { expect, test } from 'vitest'
import type { OrderView, SoukNode } from '../src/index.ts'
import { lamp, makeDirectory, makeIdentity, openChain, openNode, until } from './support.ts'

/** Waits until one side of an order looks as the test wants it. */
const orderOn = (node: SoukNode, id: string, is: (order: OrderView) => boolean): Promise<OrderView> =>
  until(node, async () => {
    const order = (await node.orders.list()).find((each) => each.id === id)
    return order !== undefined && is(order) ? order : undefined
  })

async function findLamp(buyer: SoukNode): Promise<string> {
  return (await until(buyer, async () => (await buyer.search({ text: 'lamp' })).hits[0])).id
}

test('a pick-up: the code shown at the door ends the order on both sides, and both can rate', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const { key } = await seller.listings.publish(lamp)
  const bought = await buyer.orders.buy({ listing: await findLamp(buyer), delivery: 'pick-up' })
  const asked = await orderOn(seller, bought.id, ({ phase }) => phase === 'REQUESTED')
  expect(asked.pickupCode).toBeUndefined()

  await seller.orders.act(bought.id, { action: 'accept' })
  expect((await seller.listings.get(key)).quantity).toBe(1)
  await orderOn(buyer, bought.id, ({ phase }) => phase === 'AGREED')
  await expect(seller.orders.act(bought.id, { action: 'handover', code: 'a'.repeat(26) })).rejects.toMatchObject({
    code: 'refused'
  })
  await seller.orders.act(bought.id, { action: 'handover', code: (bought.pickupCode ?? '').toUpperCase() })
  await orderOn(seller, bought.id, ({ reason }) => reason === 'accepted')
  await orderOn(buyer, bought.id, ({ reason }) => reason === 'accepted')

  const given = await buyer.feedback.give({ order: bought.id, stars: 5, text: 'As described' })
  expect(given.evidence).toBe('pair')
  await expect(buyer.feedback.give({ order: bought.id, stars: 1 })).rejects.toMatchObject({ code: 'already-given' })
  await until(seller, async () => (await seller.feedback.about(seller.did)).length === 1)
  expect(await seller.feedback.get(given.id)).toEqual(given)
  const unknown = `${given.id.slice(0, -4)}aaaa`
  await expect(seller.feedback.get(unknown, { search: true })).rejects.toMatchObject({ code: 'not-found' })
})

test('through escrow: the money goes to the seller when the buyer confirms, to the unit', async () => {
  const chain = await openChain()
  const [sellerId, buyerId] = [makeIdentity(), makeIdentity()]
  const [sellerWallet, buyerWallet] = [walletAddress(sellerId.walletKey), walletAddress(buyerId.walletKey)]
  for (const wallet of [sellerWallet, buyerWallet]) await chain.send('anvil_setBalance', [wallet, '0xde0b6b3a7640000'])
  await chain.mint(buyerWallet, 100_000_000n)
  const seller = await openNode({ identity: sellerId, chains: [chain.init] })
  const buyer = await openNode({ identity: buyerId, chains: [chain.init], near: [seller] })
  await seller.listings.publish({ ...lamp, settlements: [{ kind: 'escrow' }] })

  const bought = await buyer.orders.buy({
    listing: await findLamp(buyer),
    delivery: 'ship',
    country: 'DE',
    shipTo: 'Bo, Berlin'
  })
  expect(bought.total).toEqual({ minor: '20000000', currency: `eip155:31337/erc20:${chain.token.toLowerCase()}` })
  const paid = await orderOn(
    seller,
    bought.id,
    ({ escrow }) => escrow?.status === 'funded' && escrow.certainty === 'final'
  )
  expect(paid.shipTo).toBe('Bo, Berlin')
  expect(paid.escrow).toMatchObject({ amount: '20000000', symbol: 'tEUR', decimals: 6 })
  await expect(seller.orders.act(bought.id, { action: 'ship' })).rejects.toMatchObject({ code: 'not-allowed-now' })

  await seller.orders.act(bought.id, { action: 'accept' })
  await orderOn(seller, bought.id, ({ allowed }) => allowed.includes('ship'))
  await seller.orders.act(bought.id, { action: 'ship', carrier: 'Post', tracking: 'X1' })
  await orderOn(
    buyer,
    bought.id,
    ({ escrow, allowed }) => escrow?.status === 'dispatched' && allowed.includes('confirm')
  )
  await buyer.orders.act(bought.id, { action: 'confirm' })
  for (const node of [seller, buyer])
    await orderOn(node, bought.id, ({ reason, escrow }) => reason === 'accepted' && escrow?.certainty === 'final')

  expect((await seller.wallet.balances())[0]?.available).toBe('20000000')
  expect((await buyer.wallet.balances())[0]).toMatchObject({ available: '80000000', locked: '0' })
  const rating = await buyer.feedback.give({ order: bought.id, stars: 5 })
  expect(rating.evidence).toBe('escrow')
})

test('cancelled before acceptance, everything comes back', async () => {
  const chain = await openChain()
  const buyerId = makeIdentity()
  const wallet = walletAddress(buyerId.walletKey)
  await chain.send('anvil_setBalance', [wallet, '0xde0b6b3a7640000'])
  await chain.mint(wallet, 100_000_000n)
  const seller = await openNode({ chains: [chain.init] })
  const buyer = await openNode({ identity: buyerId, chains: [chain.init], near: [seller] })
  await seller.listings.publish({ ...lamp, settlements: [{ kind: 'escrow' }] })

  const bought = await buyer.orders.buy({ listing: await findLamp(buyer), delivery: 'pick-up' })
  await orderOn(buyer, bought.id, ({ escrow }) => escrow?.status === 'funded')
  expect((await buyer.wallet.balances())[0]).toMatchObject({ available: '85000000', locked: '15000000' })
  await buyer.orders.act(bought.id, { action: 'cancel' })
  await orderOn(buyer, bought.id, ({ escrow, reason }) => escrow?.status === 'refunded' && reason !== undefined)
  expect((await buyer.wallet.balances())[0]).toMatchObject({ available: '100000000', locked: '0' })
})

test('a listing that names another contract is refused before money moves', async () => {
  const chain = await openChain()
  const seller = await openNode({ chains: [{ ...chain.init, contract: `0x${'1'.repeat(40)}` }] })
  const buyer = await openNode({ chains: [chain.init], near: [seller] })
  await seller.listings.publish({ ...lamp, settlements: [{ kind: 'escrow' }] })
  await expect(buyer.orders.buy({ listing: await findLamp(buyer), delivery: 'pick-up' })).rejects.toMatchObject({
    code: 'wrong-contract'
  })
  expect(await buyer.orders.list()).toEqual([])
})

test('a request that the seller cannot serve is declined with its reason', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const { key } = await seller.listings.publish({ ...lamp, quantity: 1 })
  const listing = await findLamp(buyer)
  const first = await buyer.orders.buy({ listing, delivery: 'pick-up' })
  await orderOn(seller, first.id, () => true)
  await seller.orders.act(first.id, { action: 'accept' })
  await until(buyer, async () => (await buyer.listings.list())[0]?.quantity === 0)
  const gone = (await buyer.listings.list())[0]?.id ?? ''
  await expect(buyer.orders.buy({ listing: gone, delivery: 'pick-up' })).rejects.toMatchObject({ code: 'out-of-stock' })
  expect((await seller.listings.get(key)).quantity).toBe(0)
})

test('a request that is made twice with one key buys once, at once or after a start', async () => {
  const seller = await openNode()
  const [directory, identity] = [await makeDirectory(), makeIdentity()]
  const buyer = await openNode({ directory, identity, near: [seller] })
  await seller.listings.publish(lamp)
  const request = { listing: await findLamp(buyer), delivery: 'pick-up', requestKey: 'purchase 1' } as const
  const [first, second] = await Promise.all([
    buyer.orders.buy(request),
    buyer.orders.buy({ note: undefined, ...request })
  ])
  expect(second.id).toBe(first.id)
  await expect(buyer.orders.buy({ ...request, quantity: 2 })).rejects.toMatchObject({ code: 'key-used' })
  await buyer[Symbol.asyncDispose]()
  const again = await openNode({ directory, identity, near: [seller] })
  expect((await again.orders.buy(request)).id).toBe(first.id)
  expect((await again.orders.buy({ ...request, requestKey: 'purchase 2' })).id).not.toBe(first.id)
  expect(await again.orders.list()).toHaveLength(2)
})

test('orders come in pages, newest first', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  await seller.listings.publish(lamp)
  const listing = await findLamp(buyer)
  const ids: string[] = []
  for (let n = 0; n < 5; n++) ids.unshift((await buyer.orders.buy({ listing, delivery: 'pick-up' })).id)
  const pageAfter = async (filter: Parameters<SoukNode['orders']['list']>[0]): Promise<string[]> =>
    (await buyer.orders.list(filter)).map(({ id }) => id)
  const newestFirst = await pageAfter({})
  expect(newestFirst.toSorted()).toEqual(ids.toSorted())
  expect(await pageAfter({ limit: 2 })).toEqual(newestFirst.slice(0, 2))
  expect(await pageAfter({ limit: 2, after: newestFirst[1] })).toEqual(newestFirst.slice(2, 4))
  expect(await pageAfter({ after: newestFirst[4] })).toEqual([])
  await expect(pageAfter({ after: 'ab'.repeat(32) })).rejects.toMatchObject({ code: 'not-found' })

  await buyer.orders.act(newestFirst[3] ?? '', { action: 'cancel' })
  expect(await pageAfter({ open: false })).toEqual([newestFirst[3]])
  // A filter does not lose the place: what the page ended with may have come to an end since.
  expect(await pageAfter({ open: true, limit: 1, after: newestFirst[2] })).toEqual([newestFirst[4]])
  expect(await pageAfter({ open: true, after: newestFirst[3] })).toEqual([newestFirst[4]])
  expect(await pageAfter({ role: 'seller' })).toEqual([])
})

test('one does not buy from oneself', async () => {
  const seller = await openNode()
  const { id } = await seller.listings.publish(lamp)
  await expect(seller.orders.buy({ listing: id, delivery: 'pick-up' })).rejects.toMatchObject({ code: 'own-listing' })
})

test('an order waits for a seller who sleeps', async () => {
  const relay = await openNode()
  const seller = await openNode({ near: [relay] })
  const buyer = await openNode({ near: [relay, seller] })
  await seller.listings.publish(lamp)
  const listing = await findLamp(buyer)
  await seller[Symbol.asyncDispose]()
  const bought = await buyer.orders.buy({ listing, delivery: 'pick-up' })
  expect(bought.undelivered).toBe(1)
  expect((await buyer.orders.get(bought.id.slice(0, 8))).phase).toBe('REQUESTED')
})

test('bought at once from one revision, accepted at once: nothing is lost, no unit sold twice, the stock right', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const { key } = await seller.listings.publish({ ...lamp, quantity: 5 })
  const listing = await findLamp(buyer)
  const buy = (): Promise<OrderView> => buyer.orders.buy({ listing, delivery: 'pick-up' })
  const [first, second] = await Promise.all([buy(), buy()])
  await Promise.all([first, second].map(({ id }) => orderOn(seller, id, ({ phase }) => phase === 'REQUESTED')))
  // The revision that was bought is another's predecessor by the time that these come.
  await seller.listings.update(key, { description: 'Made of tin, red.' })
  await Promise.all([first, second].map(({ id }) => seller.orders.act(id, { action: 'accept' })))
  expect((await seller.listings.get(key)).quantity).toBe(3)
  const agreed = await Promise.all(
    [first, second].map(({ id }) => orderOn(buyer, id, ({ phase }) => phase === 'AGREED'))
  )
  expect(agreed.map(({ listing: { id } }) => id)).toEqual([listing, listing])
})

test('a request for a revision that has changed meanwhile arrives', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const { key } = await seller.listings.publish(lamp)
  const listing = await findLamp(buyer)
  // The buyer orders what he saw a moment ago, before the change has reached him.
  const [bought] = await Promise.all([
    buyer.orders.buy({ listing, delivery: 'pick-up' }),
    seller.listings.update(key, { description: 'Made of brass.' })
  ])
  const asked = await orderOn(seller, bought.id, ({ phase }) => phase === 'REQUESTED')
  expect(asked.listing.id).toBe(listing)
  expect(await seller.letters.kept()).toEqual([])
})

test('what a person says twice at once is said once', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  await seller.listings.publish(lamp)
  const { id, pickupCode = '' } = await buyer.orders.buy({ listing: await findLamp(buyer), delivery: 'pick-up' })
  await orderOn(seller, id, ({ phase }) => phase === 'REQUESTED')
  const twice = async <T>(say: () => Promise<T>): Promise<unknown[]> => {
    const said = await Promise.allSettled([say(), say()])
    // Which of the two is first does not matter.
    return said.map((one) => (one.status === 'fulfilled' ? 'said' : (one.reason as { code: string }).code)).toSorted()
  }
  expect(await twice(() => seller.orders.act(id, { action: 'accept' }))).toEqual(['not-allowed-now', 'said'])
  await orderOn(buyer, id, ({ phase }) => phase === 'AGREED')
  await seller.orders.act(id, { action: 'handover', code: pickupCode })
  const ended = await orderOn(buyer, id, ({ reason }) => reason === 'accepted')
  expect(await twice(() => buyer.feedback.give({ order: id, stars: 5 }))).toEqual(['already-given', 'said'])
  const said = ended.timeline.map(({ what }) => what)
  expect(said.toSorted()).toEqual([...new Set(said)].toSorted())
})
