import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { identityFromPhrase, createPhrase } from '@souk/records'
import { expect, test } from 'vitest'
import { createNode } from '../src/index.ts'
import { lamp, makeDirectory, openNode, until } from './support.ts'

const photos = join(import.meta.dirname, '../../devnet/assets/photos')

async function aPhoto(): Promise<Uint8Array> {
  const [first] = JSON.parse(await readFile(join(photos, 'photos.json'), 'utf8')) as { file: string }[]
  return new Uint8Array(await readFile(join(photos, first?.file ?? '')))
}

test('a listing with its photograph is found and seen on another node', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const picture = await seller.images.add(await aPhoto())
  expect(picture.hadLocation).toBe(true)
  const published = await seller.listings.publish({ ...lamp, images: [picture] })

  const found = await until(buyer, async () => (await buyer.search({ text: 'lamp' })).hits[0])
  expect(found).toEqual(published)
  const bytes = await buyer.images.get(picture.thumbnail)
  expect(Array.from(bytes.subarray(0, 4), (byte) => String.fromCharCode(byte)).join('')).toBe('RIFF')
})

test('a picture that no listing shows is fetched from nobody', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const picture = await seller.images.add(await aPhoto())
  await expect(buyer.images.get(picture.image)).rejects.toMatchObject({ code: 'not-held' })
})

test('a change replaces, a deletion removes, on both nodes', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const { key } = await seller.listings.publish(lamp)
  await until(buyer, async () => (await buyer.search({ text: 'lamp' })).total === 1)

  const changed = await seller.listings.update(key, { title: 'A blue lamp' })
  await until(buyer, async () => (await buyer.search({ text: 'blue' })).hits.some(({ id }) => id === changed.id))
  expect((await buyer.search({ text: 'red' })).total).toBe(0)

  await seller.listings.delete(key)
  await until(buyer, async () => (await buyer.search({ text: 'lamp' })).total === 0)
  await expect(seller.listings.get(key)).rejects.toMatchObject({ code: 'not-found' })
})

test('only its seller changes a listing, and not its top category', async () => {
  const seller = await openNode()
  const other = await openNode({ near: [seller] })
  const listing = await seller.listings.publish(lamp)
  await until(other, async () => (await other.search({ text: 'lamp' })).total === 1)
  await expect(other.listings.update(listing.id, { title: 'Mine' })).rejects.toMatchObject({ code: 'not-yours' })
  await expect(seller.listings.update(listing.key, { category: 'el' })).rejects.toMatchObject({ code: 'bad-draft' })
})

test('who comes later gets everything that is live, and nothing that was deleted', async () => {
  const seller = await openNode()
  const titles = Array.from({ length: 20 }, (_, index) => `Lamp number ${index}`)
  const published = []
  for (const title of titles) published.push(await seller.listings.publish({ ...lamp, title }))
  await seller.listings.delete(published[0]?.key ?? '')

  const late = await openNode({ near: [seller] })
  await until(late, async () => (await late.search({ text: 'lamp' })).total === 19)
  expect((await late.search({ text: 'lamp', limit: 50 })).hits.map(({ title }) => title).toSorted()).toEqual(
    titles.slice(1).toSorted()
  )
})

test('many published at once are found elsewhere, and one that is refused keeps none back', async () => {
  const seller = await openNode()
  const buyer = await openNode({ near: [seller] })
  const titles = Array.from({ length: 90 }, (_, index) => `Lamp number ${index}`)
  const drafts = [...titles.map((title) => ({ ...lamp, title })), { ...lamp, category: 'nonsense' }]
  const results = await seller.listings.publishMany(drafts)
  expect(results.map((one) => ('listing' in one ? one.listing.title : one.refused.code))).toEqual([
    ...titles,
    'bad-content'
  ])
  await until(buyer, async () => (await buyer.search({ text: 'lamp' })).total === 90)
})

test('a bulk that is given up ends between two lots', async () => {
  const seller = await openNode()
  const giveUp = new AbortController()
  const publishing = seller.listings.publishMany(
    Array.from({ length: 500 }, () => lamp),
    { signal: giveUp.signal }
  )
  giveUp.abort()
  await expect(publishing).rejects.toMatchObject({ name: 'AbortError' })
  expect((await seller.status()).listings).toBeLessThan(500)
})

test('a node that was stopped has lost nothing: identity, listings, orders and who it is among peers', async () => {
  const directory = await makeDirectory()
  const identity = identityFromPhrase(createPhrase())
  const init = { directory, identity, network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false } }
  const before = await createNode(init)
  const listing = await before.listings.publish(lamp)
  await before.profiles.publish({ name: 'Ana', region: 'PT' })
  const buyer = await openNode({ near: [before] })
  await until(buyer, async () => (await buyer.search({ text: 'lamp' })).total === 1)
  const order = await buyer.orders.buy({ listing: listing.id, delivery: 'pick-up' })
  await until(before, async () => (await before.orders.list()).length === 1)
  const { peerId } = await before.status()
  await before[Symbol.asyncDispose]()

  await using after = await createNode(init)
  expect(await after.listings.get(listing.key)).toEqual(listing)
  expect((await after.profiles.get(after.did))?.name).toBe('Ana')
  expect((await after.orders.get(order.id)).phase).toBe('REQUESTED')
  expect((await after.status()).peerId).toBe(peerId)
})

test('one folder is of one node', async () => {
  const directory = await makeDirectory()
  await openNode({ directory })
  await expect(openNode({ directory })).rejects.toMatchObject({ code: 'locked' })
})
