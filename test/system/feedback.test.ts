import { createDevnet, type Devnet, type Person } from '@souk/devnet'
import type { FeedbackView } from '@souk/node'
import { keyFromDid, sealRecord, type SoukRecord, workBitsMin } from '@souk/records'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { identityOf, startStranger } from './stranger.ts'

let market: Devnet
let seller: Person
let buyer: Person
let neighbour: Person
let rating: FeedbackView

beforeAll(async () => {
  market = await createDevnet({ people: ['Ana', 'Bruno', 'Chidi'], chain: false })
  seller = market.person('Ana')
  buyer = market.person('Bruno')
  neighbour = market.person('Chidi')
  rating = await tradeAndRate()
})

afterAll(async () => market[Symbol.asyncDispose]())

/** The shortest trade there is: a pick-up, paid in cash at the door. */
async function tradeAndRate(): Promise<FeedbackView> {
  for (const person of [seller, buyer]) await person.call('PUT /v1/profile', { body: { name: person.name } })
  const body = { title: 'A lamp', category: 'hg', price: { minor: '1500', currency: 'EUR' } }
  const { id: listing } = await seller.call('POST /v1/listings', { body })
  await buyer.until(
    'the lamp',
    async () => (await buyer.call('GET /v1/search', { query: { text: 'lamp' } })).total === 1
  )
  const { id, pickupCode = '' } = await buyer.call('POST /v1/orders', { body: { listing, delivery: 'pick-up' } })
  const isIn = (person: Person, phase: string): Promise<boolean> =>
    person.until(phase, async () => (await person.call('GET /v1/orders')).some((order) => order.phase === phase))
  await isIn(seller, 'REQUESTED')
  await seller.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'accept' } })
  await isIn(buyer, 'AGREED')
  await seller.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'handover', code: pickupCode } })
  await isIn(buyer, 'CLOSED')
  const given = await buyer.call('POST /v1/feedback', { body: { order: id, stars: 5, text: 'As described.' } })
  await Promise.all(
    [seller, neighbour].map((person) => person.until('the rating', async () => (await ratingsOn(person)).length === 1))
  )
  return given
}

function ratingsOn(reader: Person): Promise<FeedbackView[]> {
  return reader.call('GET /v1/feedback/:did', { params: { did: seller.did } })
}

test('of two ratings of one order, signed by the same buyer, the harsher stands everywhere', async () => {
  const identity = await identityOf(buyer)
  await using device = await startStranger({ bootstrap: market.relay.addresses })
  const slot = { author: keyFromDid(buyer.did), kind: 'feedback', key: rating.order } as const
  const first = await neighbour.until('the rating at the other device', async () => {
    const head = await device.storage.records.head(slot)
    return head as SoukRecord<'feedback'> | undefined
  })
  expect(first.work?.bits).toBeGreaterThanOrEqual(workBitsMin)
  const { content } = first
  if (content === null) throw new Error('a rating is never deleted')
  const createdAtMs = Date.now()
  const second = sealRecord(
    {
      kind: 'feedback',
      market: 'main',
      key: rating.order,
      seq: 0,
      createdAtMs,
      expiresAtMs: createdAtMs + 86_400_000,
      content: { ...content, stars: 1, text: 'On second thoughts, I want my money back.' }
    },
    identity.signer
  )
  await device.network.publish(second)
  for (const reader of [seller, neighbour, buyer]) {
    // Each has seen it, and keeps both as evidence that the buyer said two things.
    const request = { params: { id: second.id }, query: {} }
    await reader.until('the second rating', () =>
      reader.call('GET /v1/ratings/:id', request).catch((error: { code?: string }) => {
        if (error.code !== 'not-found') throw error
        return undefined
      })
    )
    expect((await ratingsOn(reader)).map(({ id, stars }) => ({ id, stars }))).toEqual([{ id: second.id, stars: 1 }])
    // The kinder one is not gone: who asks for it by its id gets it.
    const kinder = await reader.call('GET /v1/ratings/:id', { params: { id: rating.id }, query: {} })
    expect(kinder.stars).toBe(5)
  }
})
