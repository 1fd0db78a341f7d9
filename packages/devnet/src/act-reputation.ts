import type { FeedbackView, ReputationView } from '@souk/node'
import { categories } from '@souk/records'
import { hasListings } from './act-market.ts'
import { names, type Stage } from './cast.ts'
import type { Person } from './person.ts'
import { hold, seen } from './story.ts'

/** Who traded goes away; who comes after them and never met them finds out what they did. */
export async function judge(stage: Stage, { neighbour }: { neighbour: Person }): Promise<ReputationView> {
  const { story, seller, buyer } = stage
  await story.tell({ who: `${seller.name}, ${buyer.name}`, name: 'go offline' }, async () => {
    await Promise.all([seller.stop(), buyer.stop()])
    hold(!seller.isRunning && !buyer.isRunning, 'somebody still runs')
    return seen('both processes have ended')
  })
  const onlooker = await lookOn(stage, neighbour)
  const listing = await findRatings(stage, onlooker)
  return weigh(stage, { onlooker, listing })
}

/**
 * Somebody who never had a connection to either: their node is made when both are gone. It carries everything but the
 * channel that ratings travel in, so that neither gossip nor catch-up can have brought one.
 */
async function lookOn({ market, story, seller, buyer, goods }: Stage, neighbour: Person): Promise<Person> {
  const name = names.onlooker
  return story.tell({ who: name, name: 'joins now, connected to neither of the two' }, async () => {
    const channels = ['people', ...categories.map(({ id }) => `listings/${id}`)]
    const onlooker = await market.join({ name, curators: [buyer.did], channels })
    await hasListings(onlooker, goods.length)
    const connected = (await onlooker.call('GET /v1/peers')).filter((peer) => peer.connected)
    const strangers = new Set([market.relay.peerId, neighbour.peerId])
    hold(connected.length > 0, 'nobody is connected')
    hold(
      connected.every(({ id }) => strangers.has(id)),
      'somebody else is connected'
    )
    hold(
      [seller, buyer].every(({ peerId }) => !connected.some(({ id }) => id === peerId)),
      'a party is connected'
    )
    const held = await onlooker.call('GET /v1/feedback/:did', { params: { did: seller.did } })
    hold(held.length === 0, 'a rating is here before anybody was asked')
    return seen(`${connected.length} peers, ${goods.length} listings, no rating`, onlooker)
  })
}

async function findRatings({ story, seller, buyer }: Stage, onlooker: Person): Promise<string> {
  const title = { who: onlooker.name, name: 'finds the rating in located set and DHT, both parties offline' }
  return story.tell(title, async () => {
    const query = { search: 'true' } as const
    // A node that has just joined knows few of the DHT: the next question may reach more of them.
    const found = await onlooker.until('the rating', () => ratingOf(onlooker, { seller, buyer, query }), {
      everyMs: 1000
    })
    hold(found.stars === 5, `it has ${found.stars} stars`)
    // Two signatures, until the onlooker's own watcher has read the chain.
    await onlooker.until('the proof', async () => {
      const held = await ratingOf(onlooker, { seller, buyer })
      return held?.evidence === 'escrow'
    })
    await onlooker.call('GET /v1/feedback/:did', { params: { did: buyer.did }, query })
    return seen(`${found.stars} stars, proved by the escrow’s event: “${found.text}”`, found.listing)
  })
}

async function ratingOf(
  reader: Person,
  { seller, buyer, query = {} }: { seller: Person; buyer: Person; query?: { search?: 'true' } }
): Promise<FeedbackView | undefined> {
  const ratings = await reader.call('GET /v1/feedback/:did', { params: { did: seller.did }, query })
  return ratings.find(({ rater }) => rater === buyer.did)
}

async function weigh(
  { story, seller, buyer }: Stage,
  { onlooker, listing }: { onlooker: Person; listing: string }
): Promise<ReputationView> {
  return story.tell({ who: onlooker.name, name: 'computes the seller’s reputation, and says why' }, async () => {
    const reputation = await onlooker.call('GET /v1/reputation/:did', { params: { did: seller.did } })
    const [because] = reputation.because
    hold(reputation.expected > 0.5, `${reputation.expected} is no better than knowing nothing`)
    hold(because !== undefined && because.path.includes(buyer.did), 'nothing says why')
    hold(listing !== '', 'the rating names no listing')
    return seen(
      `${(100 * reputation.expected).toFixed(0)} % expected good, because ${onlooker.name} trusts ${buyer.name}`,
      reputation
    )
  })
}
