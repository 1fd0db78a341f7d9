/**
 * A whole trade between two people who meet: an order, the code that the buyer shows at the door, a rating from each,
 * and what the seller's rating then looks like to the buyer. No chain, no server.
 *
 *     node --conditions=@souk/source examples/03-buy-and-pick-up.ts
 */
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, createPhrase, identityFromPhrase, type OrderView, type SoukNode, until } from '@souk/node'

await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-example-'))

const open = (name: string, bootstrap: readonly string[]): Promise<SoukNode> =>
  createNode({
    directory: join(folder.path, name),
    identity: identityFromPhrase(createPhrase()),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap }
  })

await using seller = await open('seller', [])
await using buyer = await open('buyer', (await seller.status()).addresses)

/** Waits until one side sees an order as it should be. */
const seen = (node: SoukNode, id: string, is: (order: OrderView) => boolean): Promise<OrderView> =>
  until(node, async () => (await node.orders.list()).find((order) => order.id === id && is(order)))

await seller.listings.publish({ title: 'Wall clock', category: 'hg', price: { minor: '2500', currency: 'EUR' } })
const clock = await until(buyer, async () => (await buyer.search({ text: 'clock' })).hits[0])

const { id, pickupCode = '' } = await buyer.orders.buy({ listing: clock.id, delivery: 'pick-up' })
const asked = await seen(seller, id, ({ phase }) => phase === 'REQUESTED')
console.log(`The seller is asked for: ${asked.listing.title}. The code is only on the buyer's side.`)

await seller.orders.act(id, { action: 'accept' })
await seen(buyer, id, ({ phase }) => phase === 'AGREED')

// They meet. The buyer looks at the clock, is content, and shows the code; the seller types it in.
await seller.orders.act(id, { action: 'handover', code: pickupCode })
for (const node of [seller, buyer]) await seen(node, id, ({ reason }) => reason === 'accepted')

await buyer.feedback.give({ order: id, stars: 5, text: 'Ticks.', aspects: { described: 5 } })
await seller.feedback.give({ order: id, stars: 5 })
for (const node of [seller, buyer]) {
  await until(node, async () => (await node.feedback.about(seller.did)).length === 1)
  await until(node, async () => (await node.feedback.about(buyer.did)).length === 1)
}

const { expected, ratings, because } = await buyer.feedback.reputation(seller.did)
console.log(`${ratings} rating, expected ${expected.toFixed(2)}; ${because[0]?.text ?? 'no path'}`)
