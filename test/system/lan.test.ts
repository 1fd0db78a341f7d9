import { createSocket } from 'node:dgram'
import { createDevnet, type Devnet, type Person } from '@souk/devnet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buyerNext, type Codes, type Deal, play, sellerNext, shared } from './story.ts'

let market: Devnet
let seller: Person
let buyer: Person

beforeAll(async () => {
  market = await createDevnet({ chain: false })
  seller = await market.join({ name: 'Ana', mdns: true })
  buyer = await market.join({ name: 'Bruno', mdns: true })
})

afterAll(async () => market[Symbol.asyncDispose]())

/** Whether what is sent to a multicast group on this machine comes back: without, no node finds another by mDNS. */
async function isMulticastHeard(): Promise<boolean> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  socket.once('message', () => resolve(true))
  socket.once('error', () => resolve(false))
  const late = setTimeout(() => resolve(false), multicastTimeoutMs)
  socket.bind(0, () => {
    try {
      socket.addMembership(group, '127.0.0.1')
      socket.setMulticastInterface('127.0.0.1')
      socket.send('souk', socket.address().port, group)
    } catch {
      resolve(false)
    }
  })
  return promise.finally(() => {
    clearTimeout(late)
    socket.close()
  })
}

/** Of mDNS. */
const group = '224.0.0.251'
const multicastTimeoutMs = 2_000

async function peersOf(person: Person): Promise<string[]> {
  const peers = await person.call('GET /v1/peers')
  return peers.filter(({ connected }) => connected).map(({ id }) => id)
}

function sees(reader: Person, other: Person): Promise<boolean> {
  return reader.until(`the profile of ${other.name}`, async () => {
    const profile = await reader.call('GET /v1/profiles/:did', { params: { did: other.did } }).catch(() => undefined)
    return profile?.name === other.name
  })
}

/** Lists a thing, buys it, pays for it, ships it, and both rate. */
async function trade(): Promise<void> {
  await seller.call('POST /v1/listings', {
    body: {
      title: 'A lamp',
      category: 'hg',
      price: { minor: '1500', currency: 'EUR' },
      delivery: [{ kind: 'ship', price: '0', to: ['DE'], handlingDays: 1, transitDays: 3 }]
    }
  })
  const deal: Deal = { label: 'Bruno', title: 'A lamp', quantity: 1, delivery: 'ship', settlement: 'direct' }
  const codes: Codes = new Map()
  const revived = (): Promise<never> => Promise.reject(new Error('nobody dies here'))
  const [[bought], [sold]] = await Promise.all([
    play({ person: buyer, next: buyerNext(codes), buys: [deal], revived }, [deal]),
    play({ person: seller, next: sellerNext(codes), buys: [], revived }, [deal])
  ])
  expect(bought).toMatchObject({ phase: 'CLOSED', reason: 'accepted' })
  expect(bought && shared(bought)).toEqual(sold && shared(sold))
}

/** mDNS asks every 20 s, and a datagram may be lost. */
const patience = { timeoutMs: 100_000 }

test('two who met before find each other on a LAN with every relay off, at other ports, and trade', async (context) => {
  if (!(await isMulticastHeard())) context.skip('no multicast on this machine: mDNS has nothing to work with')
  await seller.call('PUT /v1/profile', { body: { name: 'Ana' } })
  await buyer.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
  await Promise.all([sees(buyer, seller), sees(seller, buyer)])
  const before = [...seller.addresses, ...buyer.addresses]

  await Promise.all([seller.stop(), buyer.stop()])
  await market.relay.stop()
  await Promise.all([seller.start(), buyer.start()])
  expect([...seller.addresses, ...buyer.addresses].filter((address) => before.includes(address))).toEqual([])

  await Promise.all([
    buyer.until('the seller on the LAN', async () => (await peersOf(buyer)).includes(seller.peerId), patience),
    seller.until('the buyer on the LAN', async () => (await peersOf(seller)).includes(buyer.peerId), patience)
  ])
  expect(await peersOf(buyer)).toEqual([seller.peerId])
  expect(await peersOf(seller)).toEqual([buyer.peerId])
  await trade()
}, 240_000)
