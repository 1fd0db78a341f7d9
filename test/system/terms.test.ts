import { randomBytes } from 'node:crypto'
import { createDevnet, type Devnet, type Person } from '@souk/devnet'
import {
  type ContentOf,
  createPhrase,
  type Identity,
  identityFromPhrase,
  type RecordId,
  sealRecord,
  type SoukRecord,
  walletAddress
} from '@souk/records'
import { createRequest, termsFromListing } from '@souk/trading'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { knownProfile, openPost, startStranger } from './stranger.ts'

type Listing = SoukRecord<'listing'> & { readonly content: ContentOf<'listing'> }
type Escrow = Extract<Listing['content']['settlements'][number], { kind: 'escrow' }>

const purse = 500_000_000n

let market: Devnet
let seller: Person
let buyer: Person
let stranger: Identity

beforeAll(async () => {
  market = await createDevnet({ people: ['Ana', 'Bruno'] })
  seller = market.person('Ana')
  buyer = market.person('Bruno')
  stranger = identityFromPhrase(createPhrase())
  await seller.call('PUT /v1/profile', { body: { name: 'Ana' } })
  await market.chain.fund(buyer.wallet, purse)
})

afterAll(async () => market[Symbol.asyncDispose]())

async function expectNoMoneyMoved(): Promise<void> {
  const { chain } = market
  expect(await chain.balanceOf(buyer.wallet)).toBe(purse)
  expect(await chain.balanceOf(chain.escrow)).toBe(0n)
}

/** An escrow as this market has it, for 20 tEUR. */
function goodEscrow(seller: string): Escrow {
  const { init, token } = market.chain
  return { kind: 'escrow', chain: init.chain, contract: init.contract, token, seller, price: '20000000' }
}

function sealLamp({ signer, walletKey }: Identity, change: Partial<Escrow>): SoukRecord<'listing'> {
  const createdAtMs = Date.now()
  const content = {
    type: 'Offer',
    businessFunction: 'Sell',
    trade: 'fixed-price',
    title: `A lamp with another ${Object.keys(change).join()}`,
    description: '',
    language: 'en',
    category: 'hg',
    price: { minor: '2000', currency: 'EUR' },
    unit: 'C62',
    quantity: 1,
    images: [],
    delivery: [{ kind: 'pick-up' }],
    settlements: [{ ...goodEscrow(walletAddress(walletKey)), ...change }],
    tags: []
  } as ContentOf<'listing'>
  const key = `hg.${randomBytes(10).toString('hex')}`
  const times = { createdAtMs, expiresAtMs: createdAtMs + 86_400_000 }
  return sealRecord({ kind: 'listing', market: 'main', key, seq: 0, ...times, content }, signer)
}

const elsewhere = `0x${'ab'.repeat(20)}`

/** What a cheat would change, and how a node calls it. */
const cheats: { name: string; change: Partial<Escrow>; onBuying: string; onAccepting: string }[] = [
  { name: 'contract', change: { contract: elsewhere }, onBuying: 'wrong-contract', onAccepting: 'wrong-contract' },
  { name: 'token', change: { token: elsewhere }, onBuying: 'no-chain', onAccepting: 'wrong-token' },
  { name: 'chain', change: { chain: 'eip155:1' }, onBuying: 'no-chain', onAccepting: 'wrong-chain' },
  { name: 'amount', change: { price: '1000000001' }, onBuying: 'over-cap', onAccepting: 'wrong-amount' }
]

test.each(cheats)(
  'a listing that names another $name is not bought, and no money moves',
  async ({ change, onBuying }) => {
    await using cheat = await startStranger({ bootstrap: buyer.addresses })
    const lamp = sealLamp(stranger, change)
    await cheat.publish(lamp)
    await buyer.until('the listing', async () => {
      const page = await buyer.call('GET /v1/search', { query: { text: `"${lamp.content?.title ?? ''}"` } })
      return page.hits.some(({ id }) => id === lamp.id)
    })
    const body = { listing: lamp.id, delivery: 'pick-up', settlement: 'escrow' } as const
    await expect(buyer.call('POST /v1/orders', { body })).rejects.toMatchObject({ code: onBuying })
    expect(await buyer.call('GET /v1/orders')).toEqual([])
    await expectNoMoneyMoved()
  }
)

test.each(cheats)(
  'a request with another $name than the listing is declined by the seller',
  async ({ name, change, onAccepting }) => {
    const published = await seller.call('POST /v1/listings', {
      body: {
        title: `A kettle for the ${name}`,
        category: 'hg',
        price: { minor: '2000', currency: 'EUR' },
        settlements: [{ kind: 'escrow' }],
        delivery: [{ kind: 'pick-up' }]
      }
    })
    await using cheat = await startStranger({ bootstrap: seller.addresses })
    const reach = await knownProfile(cheat, seller.did)
    const kettle = await seller.until('the kettle at the cheat', async () => {
      const held = await cheat.storage.records.get(published.id as RecordId)
      return held as Listing | undefined
    })
    // The terms hold together, but are those of a listing that the seller never published.
    const [escrow] = kettle.content.settlements as Escrow[]
    const forged = { ...kettle, content: { ...kettle.content, settlements: [{ ...(escrow as Escrow), ...change }] } }
    const { chain, token } = { ...(escrow as Escrow), ...change }
    const terms = termsFromListing(forged, {
      buyer: stranger.signer.publicKey,
      quantity: 1,
      delivery: { kind: 'pick-up' },
      settlement: { kind: 'escrow', chain, token, buyerAddress: walletAddress(stranger.walletKey) },
      salt: new Uint8Array(randomBytes(32)),
      pickupHash: new Uint8Array(randomBytes(32)),
      nowMs: Date.now()
    })
    const escrowId = new Uint8Array(randomBytes(32))
    const request = createRequest({ terms, atMs: terms.createdAtMs, escrowId }, stranger.signer)

    await using post = await openPost(cheat, stranger)
    expect(await post.letter(request.bytes, { did: seller.did, reach })).toBe('delivered')
    const order = await seller.call('GET /v1/orders/:id', { params: { id: request.order } })
    expect(order).toMatchObject({ phase: 'VOID', reason: 'declined', allowed: [] })
    const accept = { params: { id: request.order }, body: { action: 'accept' } } as const
    await expect(seller.call('POST /v1/orders/:id/actions', accept)).rejects.toMatchObject({ code: onAccepting })
    await expectNoMoneyMoved()
  }
)
