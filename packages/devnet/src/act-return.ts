import { hasListings } from './act-market.ts'
import type { Traded } from './act-trade.ts'
import type { Stage } from './cast.ts'
import { type Balances, readBalances, tokenText } from './money.ts'
import { hold, seen } from './story.ts'

/** Who went away comes back, and nothing is missing. */
export async function comeBack(stage: Stage, { order, price, before }: Traded): Promise<Balances> {
  const { story, seller, buyer, goods } = stage
  await story.tell({ who: `${seller.name}, ${buyer.name}`, name: 'start again, nothing is lost' }, async () => {
    await Promise.all([seller.start(), buyer.start()])
    for (const person of [seller, buyer]) {
      await hasListings(person, goods.length)
      const orders = await person.call('GET /v1/orders')
      hold(orders.length === 2, `${person.name} has ${orders.length} orders`)
      const kept = orders.find(({ id }) => id === order)
      hold(kept?.reason === 'accepted' && kept.feedback.given !== undefined, `${person.name}’s order has changed`)
    }
    return seen(`${goods.length} listings, two orders and a rating each`)
  })
  return story.tell({ who: 'the chain', name: 'the balances are exact' }, async () => {
    const after = await readBalances(stage)
    hold(after.seller === before.seller + price, `the seller has ${after.seller}`)
    hold(after.buyer === before.buyer - price, `the buyer has ${after.buyer}`)
    hold(after.escrow === 0n, `the escrow holds ${after.escrow}`)
    return seen(`${tokenText(price)} went from ${buyer.name} to ${seller.name}, the escrow holds nothing`, after)
  })
}
