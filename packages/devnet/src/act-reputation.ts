import type { FeedbackView, ReputationView } from '@souk/node'
import { categories } from '@souk/records'
import { hasListings } from './act-market.ts'
import { names, type Stage } from './cast.ts'
import type { Person } from './person.ts'
import { hold, seen } from './story.ts'

/** Who traded goes away; who comes after them and never met them finds out what they did. */
export async function judge(
  stage: Stage,
  { neighbour, rating }: { neighbour: Person; rating: string }
): Promise<ReputationView> {
  const { story, seller, buyer } = stage
  await story.tell({ who: `${seller.name}, ${buyer.name}`, name: 'go offline' }, async () => {
    await Promise.all([seller.stop(), buyer.stop()])
    hold(!seller.isRunning && !buyer.isRunning, 'somebody still runs')
    return seen('both processes have ended')
  })
  const onlooker = await lookOn(stage, neighbour)
  await findRating(stage, onlooker)
  await fetchRating(stage, { onlooker, id: rating })
  return weigh(stage, onlooker)
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

/** What a stranger does who knows the seller's name only: asks those who keep the set of ratings on it. */
async function findRating({ story, seller, buyer }: Stage, onlooker: Person): Promise<void> {
  const title = { who: onlooker.name, name: 'finds the rating in the seller’s located set, both parties offline' }
  await story.tell(title, async () => {
    const found = await onlooker.until(
      'the rating',
      () => ratingOf(onlooker, { seller, buyer, search: 'true' }),
      patient
    )
    hold(found.stars === 5, `it has ${found.stars} stars`)
    await onlooker.until('the proof', async () => {
      // Two signatures, until the onlooker's own watcher has read the chain.
      const held = await ratingOf(onlooker, { seller, buyer, search: 'false' })
      return held?.evidence === 'escrow'
    })
    return seen(`${found.stars} stars, proved by the escrow’s event: “${found.text}”`)
  })
}

/** By its hash, as somebody hands on a link: the DHT's value, and no keeper of anybody's set is asked. */
async function fetchRating(
  { story, seller, buyer }: Stage,
  { onlooker, id }: { onlooker: Person; id: string }
): Promise<void> {
  await story.tell({ who: onlooker.name, name: 'fetches the other rating from the DHT, by its hash' }, async () => {
    const fetched = await onlooker.until('the value', () => valueOf(onlooker, id), patient)
    hold(fetched.rater === seller.did && fetched.subject === buyer.did, 'it is of somebody else')
    return seen(`${fetched.stars} stars by ${seller.name} on ${buyer.name}: “${fetched.text}”`)
  })
}

/** A node that has just joined knows few of the DHT: the next question may reach more of them. */
const patient = { everyMs: 1000 }

async function ratingOf(
  reader: Person,
  { seller, buyer, search }: { seller: Person; buyer: Person; search: 'true' | 'false' }
): Promise<FeedbackView | undefined> {
  const request = { params: { did: seller.did }, query: { search } }
  const ratings = await reader.call('GET /v1/feedback/:did', request)
  return ratings.find(({ rater }) => rater === buyer.did)
}

function valueOf({ call }: Person, id: string): Promise<FeedbackView | undefined> {
  const request = { params: { id }, query: { search: 'true' } } as const
  return call('GET /v1/ratings/:id', request).catch((error: { code?: string }) => {
    if (error.code !== 'not-found') throw error
    return undefined
  })
}

async function weigh({ story, seller, buyer }: Stage, onlooker: Person): Promise<ReputationView> {
  return story.tell({ who: onlooker.name, name: 'computes the seller’s reputation, and says why' }, async () => {
    const reputation = await onlooker.call('GET /v1/reputation/:did', { params: { did: seller.did } })
    const [because] = reputation.because
    hold(reputation.expected > 0.5, `${reputation.expected} is no better than knowing nothing`)
    hold(because !== undefined && because.path.includes(buyer.did), 'nothing says why')
    const share = `${(100 * reputation.expected).toFixed(0)} %`
    return seen(`${share} expected good, because ${onlooker.name} trusts ${buyer.name}`, reputation)
  })
}
