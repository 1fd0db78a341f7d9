import type { ListingView } from '@souk/node'
import { names, type Stage } from './cast.ts'
import { type Goods, readPhoto } from './goods.ts'
import { findableWithinMs } from './limits.ts'
import type { Person } from './person.ts'
import { readBlock, tracesIn } from './photo.ts'
import { hold, seen } from './story.ts'

/** How many of the fifty things the seller has; the rest is a late joiner's. */
const sellersShare = 40

/** Names, listings with photographs, search, and somebody who comes late. */
export async function openMarket(stage: Stage): Promise<{ neighbour: Person; wanted: ListingView }> {
  await introduce(stage)
  const wanted = await publishFirst(stage)
  await lookAtPhoto(stage, wanted)
  await publishRest(stage)
  const neighbour = await joinLate(stage)
  return { neighbour, wanted }
}

async function introduce({ story, seller, buyer }: Stage): Promise<void> {
  await story.tell({ who: `${seller.name}, ${buyer.name}`, name: 'each sees the profile of the other' }, async () => {
    await seller.call('PUT /v1/profile', {
      body: { name: seller.name, about: 'I clear out my grandmother’s house.', region: 'DE', languages: ['en', 'de'] }
    })
    await buyer.call('PUT /v1/profile', { body: { name: buyer.name, region: 'AT', languages: ['en'] } })
    await Promise.all([seesName(seller, buyer), seesName(buyer, seller)])
    return seen(`${seller.name} sells from Germany, ${buyer.name} lives in Austria`)
  })
}

function seesName(reader: Person, other: Person): Promise<boolean> {
  return reader.until(`the profile of ${other.name}`, async () => {
    const profile = await reader.call('GET /v1/profiles/:did', { params: { did: other.did } }).catch(() => undefined)
    return profile?.name === other.name
  })
}

/** The one thing that is bought later: from the seller's click to the other's search in less than two seconds. */
async function publishFirst({ story, seller, buyer, goods }: Stage): Promise<ListingView> {
  const djembe = goods.find(({ photo }) => photo === 'djembe.jpg')
  hold(djembe !== undefined, 'the djembe is not among the goods')
  const image = await story.tell({ who: seller.name, name: 'a photograph loses camera and place' }, async () =>
    seen('EXIF and GPS were in the file, nothing is in the block', await addPhoto(seller, djembe))
  )
  return story.tell({ who: buyer.name, name: 'a listing is found within two seconds of publishing' }, async () => {
    const begunAtMs = performance.now()
    const published = seller.call('POST /v1/listings', { body: { ...djembe.draft, images: [image] } })
    const found = await buyer.until('the djembe in the search', async () => {
      const page = await buyer.call('GET /v1/search', { query: { text: 'djembe' } })
      return page.hits[0]
    })
    const tookMs = Math.round(performance.now() - begunAtMs)
    hold((await published).id === found.id, 'another listing was found')
    hold(tookMs <= findableWithinMs, `it took ${tookMs} ms`)
    return seen(`${tookMs} ms from ${seller.name}’s click to ${buyer.name}’s search`, found)
  })
}

/** Adds a photograph and looks at what became of it. */
async function addPhoto(seller: Person, { photo, draft }: Goods) {
  hold(photo !== undefined, `${draft.title} has no photograph`)
  const file = await readPhoto(photo)
  const before = await tracesIn(file)
  hold(before.camera && before.place, `${photo} has no camera data to take out`)
  const { hadLocation, ...image } = await seller.call('POST /v1/images', { body: file })
  hold(hadLocation, `the node did not notice the place in ${photo}`)
  for (const cid of [image.image, image.thumbnail]) {
    const after = await tracesIn(await readBlock(seller.home, cid))
    hold(!after.camera && !after.place, `${cid} still tells of camera or place`)
  }
  return { ...image, alt: draft.title }
}

async function lookAtPhoto({ story, seller, buyer }: Stage, { images, title }: ListingView): Promise<void> {
  await story.tell({ who: buyer.name, name: 'the photograph comes, and has the hash that was signed' }, async () => {
    const [image] = images
    hold(image !== undefined, `${title} has no picture`)
    const shown = await buyer.call('GET /v1/images/:cid', { params: { cid: image.image } })
    hold(shown.length > 0, 'the picture is empty')
    const block = await readBlock(buyer.home, image.image)
    const sent = await readBlock(seller.home, image.image)
    hold(Buffer.compare(block, sent) === 0, 'another picture came')
    return seen(`${image.width} × ${image.height}, ${Math.round(block.length / 1000)} kB`)
  })
}

async function publishRest({ story, seller, buyer, goods }: Stage): Promise<void> {
  await story.tell({ who: seller.name, name: `${sellersShare} listings, ${buyer.name} has them all` }, async () => {
    const rest = goods.slice(0, sellersShare).filter(({ photo }) => photo !== 'djembe.jpg')
    for (const each of rest) {
      const images = each.photo === undefined ? [] : [await addPhoto(seller, each)]
      await seller.call('POST /v1/listings', { body: { ...each.draft, images } })
    }
    await hasListings(buyer, sellersShare)
    const photographs = goods.slice(0, sellersShare).filter(({ photo }) => photo !== undefined).length
    const categories = new Set(goods.slice(0, sellersShare).map(({ draft }) => draft.category)).size
    return seen(`${categories} categories, ${photographs} photographs without camera and place`)
  })
}

async function joinLate({ market, story, seller, buyer, goods }: Stage): Promise<Person> {
  const name = names.neighbour
  const joined = await story.tell(
    { who: name, name: 'who joins late has every listing and its pictures' },
    async () => {
      const neighbour = await market.join(name)
      await hasListings(neighbour, sellersShare)
      const { hits } = await neighbour.call('GET /v1/search', { query: { text: 'bowl' } })
      const cid = hits[0]?.images[0]?.thumbnail
      hold(cid !== undefined, 'the bowl has no picture')
      hold((await neighbour.call('GET /v1/images/:cid', { params: { cid } })).length > 0, 'the picture is empty')
      return seen(`${sellersShare} listings, knowing the relay only`, neighbour)
    }
  )
  await story.tell({ who: name, name: `sells too, everybody has all ${goods.length} listings` }, async () => {
    await joined.call('PUT /v1/profile', { body: { name, region: 'PT' } })
    for (const { draft } of goods.slice(sellersShare)) await joined.call('POST /v1/listings', { body: draft })
    await Promise.all([seller, buyer, joined].map((person) => hasListings(person, goods.length)))
    return seen(`services, rentals, gifts and wants by ${name}`)
  })
  return joined
}

/** Waits until a node holds so many listings and finds each of them. */
export function hasListings(person: Person, count: number): Promise<boolean> {
  return person.until(`${count} listings`, async () => {
    const { listings, searchable } = await person.call('GET /v1/status')
    return searchable && listings === count
  })
}
