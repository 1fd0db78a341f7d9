import { createDevnet, type Devnet, type Person } from '@souk/devnet'
import type { OrderView } from '@souk/node'
import { sample, shuffledSubarray } from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventsOf, identityOf, openPost, type Profile, profileOf, startStranger } from './stranger.ts'

/** Which order of arrival is tried; printed by the reporter with the test's name. */
const seed = 20_261_122

const purse = 100_000_000n

let market: Devnet
let seller: Person
let buyer: Person

beforeAll(async () => {
  market = await createDevnet()
  // Nobody knows the relay: it would keep letters for those who sleep, and bring them in their order.
  seller = await market.join({ name: 'Ana', bootstrap: [] })
  buyer = await market.join({ name: 'Bruno', bootstrap: [] })
  await meet()
  await seller.call('PUT /v1/profile', { body: { name: 'Ana' } })
  await buyer.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
  await market.chain.fund(buyer.wallet, purse)
  await market.chain.fund(seller.wallet, 1n)
})

afterAll(async () => market[Symbol.asyncDispose]())

async function meet(): Promise<void> {
  await buyer.call('POST /v1/peers', { body: { address: seller.addresses[0] ?? '' } })
}

/** What both sides of an order must agree on. */
function shared({ phase, reason, legs, timeline, total, tracking, listing, shipTo }: OrderView) {
  return { phase, reason, legs, timeline, total, tracking, listing, shipTo }
}

function orderOn(person: Person, id: string, is: (order: OrderView) => boolean): Promise<OrderView> {
  return person.until('the order as it should be', async () => {
    const order = (await person.call('GET /v1/orders')).find((each) => each.id === id)
    return order !== undefined && is(order) && order
  })
}

/** Stops one side, and starts the other: never is anybody there whom they could write to themselves. */
async function change({ leaves, comes }: { leaves: Person; comes: Person }): Promise<Profile> {
  await leaves.stop()
  const profile = await profileOf(comes)
  await comes.start()
  return { ...profile, peers: [{ id: comes.peerId, addresses: [...comes.addresses] }], mailboxes: [] }
}

interface Delivery {
  readonly from: Person
  readonly to: Person
  readonly reach: Profile
  readonly order: string
}

/**
 * Takes everything that is known on one side of an order to the other, over a connection that is neither's own: each
 * event twice, under names that the other side has not seen, in an order drawn from the seed.
 *
 * @returns How many letters were acknowledged.
 */
async function deliverShuffled({ from, to, reach, order }: Delivery): Promise<number> {
  const [events, identity] = await Promise.all([eventsOf(from, order), identityOf(from)])
  const all = [...events, ...events]
  const [shuffled = []] = sample(shuffledSubarray(all, { minLength: all.length }), { seed, numRuns: 1 })
  await using courier = await startStranger({ bootstrap: to.addresses })
  await using post = await openPost(courier, identity)
  for (const event of shuffled) expect(await post.letter(event, { did: to.did, reach })).toBe('delivered')
  return shuffled.length
}

test(`each event comes twice and shuffled (seed ${seed}), and both sides end alike`, async () => {
  const gift = await seller.call('POST /v1/listings', {
    body: {
      title: 'Moving boxes',
      category: 'hg',
      businessFunction: 'Give',
      trade: 'fixed-price',
      settlements: [{ kind: 'none' }],
      delivery: [{ kind: 'ship', price: '0', to: ['DE'], handlingDays: 1, transitDays: 3 }],
      quantity: 3
    }
  })
  await buyer.until('the boxes', async () => {
    const page = await buyer.call('GET /v1/search', { query: { text: 'boxes' } })
    return page.total === 1
  })

  // The buyer asks while the seller sleeps; then the buyer sleeps, and the letters come by somebody else's hand.
  await seller.stop()
  const { id } = await buyer.call('POST /v1/orders', {
    body: { listing: gift.id, delivery: 'ship', country: 'DE', shipTo: 'Bruno, Berlin' }
  })
  await buyer.call('GET /v1/orders/:id', { params: { id } })
  const toSeller = await change({ leaves: buyer, comes: seller })
  expect(await deliverShuffled({ from: buyer, to: seller, reach: toSeller, order: id })).toBe(2)
  await orderOn(seller, id, ({ phase }) => phase === 'REQUESTED')

  // The seller says two things that build on each other; nobody hears them but the courier.
  await seller.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'accept' } })
  await seller.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'ship', tracking: 'X1' } })
  const shipped = await orderOn(seller, id, ({ tracking }) => tracking?.code === 'X1')
  const toBuyer = await change({ leaves: seller, comes: buyer })
  expect(await deliverShuffled({ from: seller, to: buyer, reach: toBuyer, order: id })).toBe(6)
  const arrived = await orderOn(buyer, id, ({ tracking }) => tracking?.code === 'X1')
  expect(shared(arrived)).toEqual(shared(shipped))

  await buyer.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'confirm' } })
  const backToSeller = await change({ leaves: buyer, comes: seller })
  expect(await deliverShuffled({ from: buyer, to: seller, reach: backToSeller, order: id })).toBe(8)
  const ended = await orderOn(seller, id, ({ reason }) => reason !== undefined)

  // Both are there: each sends its own letters once more, for the third time.
  await buyer.start()
  await meet()
  const onBuyer = await orderOn(
    buyer,
    id,
    ({ timeline, undelivered }) => timeline.length === ended.timeline.length && undelivered === 0
  )
  const onSeller = await orderOn(seller, id, ({ undelivered }) => undelivered === 0)
  expect(shared(onBuyer)).toEqual(shared(onSeller))
  expect(onSeller).toMatchObject({ phase: 'CLOSED', reason: 'accepted' })
  // The stock was taken once.
  expect(await seller.call('GET /v1/listings/:id', { params: { id: gift.key } })).toMatchObject({ quantity: 2 })
}, 120_000)

test(`so they do with a payment through escrow, which is made once (seed ${seed})`, async () => {
  const { chain } = market
  const { id: lamp } = await seller.call('POST /v1/listings', {
    body: {
      title: 'Lamp in escrow',
      category: 'hg',
      price: { minor: '2000', currency: 'EUR' },
      settlements: [{ kind: 'escrow' }],
      delivery: [{ kind: 'ship', price: '0', to: ['DE'], handlingDays: 1, transitDays: 3 }]
    }
  })
  await buyer.until('the lamp', async () => {
    const page = await buyer.call('GET /v1/search', { query: { text: 'escrow' } })
    return page.total === 1
  })
  await seller.stop()
  const { id } = await buyer.call('POST /v1/orders', {
    body: { listing: lamp, delivery: 'ship', country: 'DE', shipTo: 'Bruno, Berlin', settlement: 'escrow' }
  })
  await orderOn(buyer, id, ({ escrow }) => escrow?.certainty === 'final')
  const toSeller = await change({ leaves: buyer, comes: seller })
  expect(await deliverShuffled({ from: buyer, to: seller, reach: toSeller, order: id })).toBe(2)

  await orderOn(seller, id, ({ allowed }) => allowed.includes('accept'))
  await seller.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'accept' } })
  await orderOn(seller, id, ({ allowed }) => allowed.includes('ship'))
  await seller.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'ship', tracking: 'X2' } })
  await orderOn(seller, id, ({ escrow }) => escrow?.status === 'dispatched' && escrow.certainty === 'final')
  const toBuyer = await change({ leaves: seller, comes: buyer })
  expect(await deliverShuffled({ from: seller, to: buyer, reach: toBuyer, order: id })).toBe(6)

  await orderOn(buyer, id, ({ tracking, allowed }) => tracking?.code === 'X2' && allowed.includes('confirm'))
  await buyer.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'confirm' } })
  await orderOn(buyer, id, ({ escrow }) => escrow?.status === 'released' && escrow.certainty === 'final')
  const backToSeller = await change({ leaves: buyer, comes: seller })
  expect(await deliverShuffled({ from: buyer, to: seller, reach: backToSeller, order: id })).toBe(8)

  await buyer.start()
  await meet()
  const isEnd = ({ timeline, undelivered, escrow }: OrderView): boolean =>
    timeline.some(({ what }) => what === 'close') && undelivered === 0 && escrow?.certainty === 'final'
  const [onBuyer, onSeller] = await Promise.all([orderOn(buyer, id, isEnd), orderOn(seller, id, isEnd)])
  expect({ ...shared(onBuyer), escrow: onBuyer.escrow }).toEqual({ ...shared(onSeller), escrow: onSeller.escrow })
  expect(onSeller).toMatchObject({ phase: 'CLOSED', reason: 'accepted' })
  const [ofBuyer, ofSeller] = await Promise.all([buyer, seller].map(({ wallet }) => chain.balanceOf(wallet)))
  expect({ ofBuyer, ofSeller, inEscrow: await chain.balanceOf(chain.escrow) }).toEqual({
    ofBuyer: purse - 20_000_000n,
    ofSeller: 20_000_001n,
    inEscrow: 0n
  })
}, 180_000)

test('killed between two steps, a side has lost nothing', async () => {
  const before = {
    orders: await seller.call('GET /v1/orders'),
    listings: await seller.call('GET /v1/listings'),
    status: await seller.call('GET /v1/status')
  }
  await seller.kill()
  await seller.start()
  const after = await seller.call('GET /v1/status')
  expect(await seller.call('GET /v1/orders')).toEqual(before.orders)
  expect(await seller.call('GET /v1/listings')).toEqual(before.listings)
  const { did, peerId, records, listings } = before.status
  expect(after).toMatchObject({ did, peerId, records, listings })
})
