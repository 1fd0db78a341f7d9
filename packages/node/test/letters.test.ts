import { createPhrase, identityFromPhrase } from '@souk/records'
import { expect, test, vi } from 'vitest'
import { createNode, type NodeInit, type SoukNode } from '../src/index.ts'
import { lamp, makeDirectory, makeIdentity, openNode, until } from './support.ts'

const cashLamp = { ...lamp, settlements: [{ kind: 'direct' as const, methods: ['cash'] }] }

const buy = (buyer: SoukNode, listing: string) =>
  buyer.orders.buy({ listing, delivery: 'pick-up', settlement: 'direct' })

const listingOn = (node: SoukNode, id: string) => until(node, () => node.listings.get(id).catch(() => undefined))

test('two installations of one identity keep one profile, and both get every letter', async () => {
  const identity = makeIdentity()
  const hub = await openNode()
  const desk = await openNode({ identity, near: [hub] })
  await desk.profiles.publish({ name: 'Ana' })
  const phone = await openNode({ identity, near: [hub] })
  const both = (await Promise.all([desk, phone].map((node) => node.status()))).map(({ peerId }) => peerId)
  const peersIn = async (node: SoukNode) => (await node.profiles.get(identity.did))?.peers.map(({ id }) => id)
  for (const node of [desk, phone, hub]) {
    await until(node, async () => (await peersIn(node))?.length === 2)
    expect((await peersIn(node))?.toSorted()).toEqual(both.toSorted())
  }
  expect((await phone.profiles.get(identity.did))?.name).toBe('Ana')

  const { id } = await desk.listings.publish(cashLamp)
  await listingOn(phone, id)
  const buyer = await openNode({ near: [hub] })
  await listingOn(buyer, id)
  await until(buyer, async () => (await peersIn(buyer))?.length === 2)
  const order = await buy(buyer, id)
  for (const node of [desk, phone]) {
    await until(node, async () => (await node.orders.list({ role: 'seller' })).some((one) => one.id === order.id))
  }
  await until(buyer, async () => (await buyer.orders.get(order.id)).letters === 'delivered')
  expect(await buyer.letters.outgoing()).toEqual([])
})

test('what a person says on one installation stands above whatever another has written by itself', async () => {
  const identity = makeIdentity()
  const phones = { directory: await makeDirectory(), identity }
  const network = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false }
  // Among others it knows of no profile, and its address is another each time.
  const elsewhere = await openNode()
  for (let start = 0; start < 4; start++) {
    const bootstrap = (await elsewhere.status()).addresses
    await using phone = await createNode({ ...phones, network: { ...network, bootstrap } })
    const { addresses } = await phone.status()
    await until(elsewhere, async () => {
      const [peer] = (await elsewhere.profiles.get(identity.did))?.peers ?? []
      return addresses.some((address) => peer?.addresses.some((named) => address.startsWith(named)))
    })
  }
  const hub = await openNode()
  const desk = await openNode({ identity, near: [hub] })
  await desk.profiles.publish({ name: 'Ana' })

  const bootstrap = (await hub.status()).addresses
  await using phone = await createNode({ ...phones, network: { ...network, bootstrap } })
  for (const node of [phone, desk, hub]) {
    await until(node, async () => (await node.profiles.get(identity.did))?.peers.length === 2)
    expect((await node.profiles.get(identity.did))?.name).toBe('Ana')
  }
})

test('a letter on its way is seen to be, until it is there', async () => {
  const init: NodeInit = {
    directory: await makeDirectory(),
    identity: makeIdentity(),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false }
  }
  const before = await createNode(init)
  const { id } = await before.listings.publish(cashLamp)
  const buyer = await openNode({ near: [before] })
  await listingOn(buyer, id)
  await before[Symbol.asyncDispose]()

  const order = await buy(buyer, id)
  expect(order.letters).toBe('sending')
  await vi.waitUntil(async () => (await buyer.letters.outgoing())[0]?.error !== undefined, { timeout: 20_000 })
  const [letter] = await buyer.letters.outgoing()
  expect(letter).toMatchObject({ to: before.did, order: order.id, state: 'sending' })

  const bootstrap = (await buyer.status()).addresses
  await using after = await createNode({ ...init, network: { ...init.network, bootstrap } })
  await until(buyer, async () => (await buyer.orders.get(order.id)).letters === 'delivered')
  expect((await after.orders.get(order.id)).role).toBe('seller')
})

test('an identity restored from its words alone gets the letters that were written to what it lost', async () => {
  const phrase = createPhrase()
  const hub = await openNode()
  const lost = await createNode({
    directory: await makeDirectory(),
    identity: identityFromPhrase(phrase),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap: (await hub.status()).addresses }
  })
  await lost.profiles.publish({ name: 'Ana' })
  const { id } = await lost.listings.publish(cashLamp)
  const buyer = await openNode({ near: [hub] })
  await listingOn(buyer, id)
  await lost[Symbol.asyncDispose]()
  const order = await buy(buyer, id)
  expect(order.letters).toBe('sending')

  const restored = await openNode({ identity: identityFromPhrase(phrase), near: [hub] })
  await until(restored, async () => (await restored.orders.list()).some((one) => one.id === order.id))
  await until(restored, async () => (await restored.profiles.get(restored.did))?.name === 'Ana')
  await until(buyer, async () => (await buyer.orders.get(order.id)).letters === 'delivered')
})

test('two that have both moved find each other, though the profile that one has of the other is old', async () => {
  const hub = await openNode()
  const bootstrap = (await hub.status()).addresses
  const network = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap }
  const sellers = { directory: await makeDirectory(), identity: makeIdentity(), network }
  const buyers = { directory: await makeDirectory(), identity: makeIdentity(), network }
  const listing = await (async () => {
    await using seller = await createNode(sellers)
    await using buyer = await createNode(buyers)
    const published = await seller.listings.publish(cashLamp)
    await listingOn(buyer, published.id)
    await until(buyer, () => buyer.profiles.get(seller.did))
    return published
  })()

  await using seller = await createNode(sellers)
  // It carries no profiles any more: only the DHT can say where the seller is.
  await using buyer = await createNode({ ...buyers, network: { ...network, channels: ['feedback'] } })
  const order = await buy(buyer, listing.id)
  await until(buyer, async () => (await buyer.orders.get(order.id)).letters === 'delivered')
  expect((await seller.orders.get(order.id)).role).toBe('seller')
  const known = (await buyer.profiles.get(seller.did))?.peers[0]?.addresses
  expect(known).not.toContain((await seller.status()).addresses[0])
})

test('what could not be processed is processed when it is replayed in its time', async () => {
  const clock = { aheadMs: 0 }
  const seller = await openNode({ now: () => Date.now() + clock.aheadMs })
  const { id } = await seller.listings.publish(cashLamp)
  const bootstrap = (await seller.status()).addresses
  const network = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap }
  const hasty = await openNode({ network, now: () => Date.now() + 3_600_000 })
  await listingOn(hasty, id)
  const order = await buy(hasty, id)
  await until(seller, async () => (await seller.letters.kept()).length === 1)
  const [letter] = await seller.letters.kept()
  expect(letter).toMatchObject({ from: hasty.did, code: 'not-yet-valid' })
  expect(await seller.orders.list()).toEqual([])

  clock.aheadMs = 3_600_000
  expect(await seller.letters.replay(letter?.id ?? '')).toBeUndefined()
  expect(await seller.letters.kept()).toEqual([])
  expect((await seller.orders.get(order.id)).role).toBe('seller')
  await expect(seller.letters.replay(letter?.id ?? '')).rejects.toMatchObject({ code: 'not-found' })
})
