import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RequestOf } from '@souk/api'
import { createDevnet, type Devnet, type Person } from '@souk/devnet'
import type { ListingView, OrderView } from '@souk/node'
import { keyFromDid } from '@souk/records'
import { fold, reopenEvent } from '@souk/trading'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Blow, fusedEnv, strike, type Struck } from './killer.ts'
import { buyerNext, type Codes, type Deal, eventsOfDeal, labelOf, play, sellerNext, shared } from './story.ts'
import { withStoreOf } from './stranger.ts'

/** `KILL_ROUNDS=100 KILL_SEED=n npm test -- test/system/kill.test.ts` is the long run. */
const rounds = Number(process.env['KILL_ROUNDS'] ?? 4)
const isLong = 'KILL_ROUNDS' in process.env
const seed = Number(process.env['KILL_SEED'] ?? 20_261_122)

const stock = 1_000
const purse = 900_000_000n
/** 2 EUR, as the escrow counts them. */
const price = 2_000_000n

const count = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max })
const fuse = fc.oneof(
  fc.record({ at: fc.constantFrom('before-write' as const, 'after-write' as const), count: count(40) }),
  fc.record({ at: fc.constant('send' as const), count: count(200) })
)
interface Plan {
  readonly who: 'buyer' | 'seller' | 'relay'
  readonly blow: Blow
}

const plan: fc.Arbitrary<Plan> = fc.record({
  who: fc.constantFrom('buyer', 'seller', 'relay'),
  blow: fc.record({ fuse, again: fc.option(fuse, { freq: 2 }) })
})

let directory: string
let market: Devnet
let seller: Person
let buyer: Person
let boxesKey: string
const deaths = { chosen: 0, atRest: 0 }
const traded: Deal[] = []

const fuseOf = (who: string): string => join(directory, `${who}.fuse`)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'souk-kill-'))
  market = await createDevnet({ env: fusedEnv(fuseOf('relay')) })
  seller = await market.join({ name: 'Ana', env: fusedEnv(fuseOf('seller')) })
  buyer = await market.join({ name: 'Bruno', env: fusedEnv(fuseOf('buyer')) })
  await seller.call('PUT /v1/profile', { body: { name: 'Ana' } })
  await buyer.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
  await market.chain.fund(buyer.wallet, purse)
  await market.chain.fund(seller.wallet, 1n)
  const ship = { kind: 'ship', price: '0', to: ['DE'], handlingDays: 1, transitDays: 3 } satisfies Offer
  boxesKey = (await publish({ title: 'Moving boxes', quantity: stock, delivery: [ship] })).key
})

afterAll(async () => {
  await market[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

type Draft = RequestOf<'POST /v1/listings'>['body']
type Offer = NonNullable<Draft['delivery']>[number]

/** Publishes what is settled either way. @returns The listing, once the buyer can find it. */
async function publish(goods: Pick<Draft, 'title' | 'quantity' | 'delivery'>): Promise<ListingView> {
  const body: Draft = {
    ...goods,
    category: 'hg',
    price: { minor: '200', currency: 'EUR' },
    settlements: [{ kind: 'escrow' }, { kind: 'direct', methods: ['cash'] }]
  }
  await seller.call('POST /v1/listings', { body })
  return buyer.until(goods.title, () => found(goods.title))
}

/** As the buyer's node knows it: perhaps not the newest revision. */
async function found(title: string): Promise<ListingView | undefined> {
  const { hits } = await buyer.call('GET /v1/search', { query: { text: `"${title}"` } })
  return hits.find((hit) => hit.title === title)
}

/** Three of one listing at once, one of them through escrow, and a thing that is there only once. */
async function dealsOf(round: number): Promise<Deal[]> {
  const lamp = await publish({ title: `Lamp ${round}`, quantity: 1, delivery: [{ kind: 'pick-up' }] })
  const shipped = { title: 'Moving boxes', quantity: 1, delivery: 'ship' } as const
  return [
    { ...shipped, label: `Bruno, ${round} A`, settlement: 'direct' },
    { ...shipped, label: `Bruno, ${round} B`, settlement: 'direct', quantity: 2 },
    { ...shipped, label: `Bruno, ${round} C`, settlement: 'escrow' },
    { label: lamp.title, title: lamp.title, quantity: 1, delivery: 'pick-up', settlement: 'direct' }
  ]
}

/** Where the deals stand on both sides, for whoever reads why a round has failed: first as both run, then on disk. */
async function tell(deals: readonly Deal[]): Promise<string> {
  const people = [buyer, seller]
  const standing = await Promise.all(people.map((person) => tellOf(person, deals)))
  const left = await Promise.all(people.map(tellLetters))
  return standing.map((lines, index) => [...lines, ...(left[index] ?? [])].join('\n  ')).join('\n')
}

/** All of them, page by page. */
async function ordersOf(person: Person): Promise<OrderView[]> {
  const orders: OrderView[] = []
  for (;;) {
    const page = await person.call('GET /v1/orders', { query: { limit: 500, after: orders.at(-1)?.id } })
    if (page.length === 0) return orders
    orders.push(...page)
  }
}

async function tellOf(person: Person, deals: readonly Deal[]): Promise<string[]> {
  if (!person.isRunning) return [`${person.name} is not running`]
  const orders = await ordersOf(person)
  const lines = deals.map(({ label }) => {
    const order = orders.find((each) => labelOf(each) === label)
    if (order === undefined) return `${label}: none`
    const { phase, allowed, timeline, feedback, undelivered } = order
    const said = timeline.map(({ what }) => what)
    return `${label}: ${JSON.stringify({ phase, allowed, said, feedback, undelivered })}`
  })
  const peers = await person.call('GET /v1/peers')
  return [`${person.name}, ${person.peerId}`, ...lines, ...peers.map((peer) => JSON.stringify(peer))]
}

async function tellLetters(person: Person): Promise<string[]> {
  await person.stop()
  const letters = await withStoreOf(person, ({ outbox, inbox }) =>
    Promise.resolve([outbox.list(), inbox.deadLetters()])
  )
  return letters.flat().map((each) => JSON.stringify(each))
}

async function playRound(deals: readonly Deal[], { who, blow }: Plan): Promise<Struck> {
  let back = Promise.withResolvers<void>()
  const revived = (): Promise<void> => back.promise
  const onBack = (): void => {
    back.resolve()
    back = Promise.withResolvers()
  }
  const codes: Codes = new Map()
  const played = Promise.all([
    play({ person: buyer, next: buyerNext(codes), buys: deals, revived }, deals),
    play({ person: seller, next: sellerNext(codes), buys: [], revived }, deals)
  ])
  const victim = { buyer, seller, relay: market.relay }[who]
  const struck = await strike({ victim, path: fuseOf(who) }, blow, { done: played, onBack })
  await played
  return struck
}

/** The same on both sides, each event once, the stock and the money right, one rating each. */
async function expectAllOver(): Promise<void> {
  const [bought, sold] = await Promise.all([ordersOf(buyer), ordersOf(seller)])
  expect(bought.map(labelOf).toSorted()).toEqual(traded.map(({ label }) => label).toSorted())
  const byId = (orders: readonly OrderView[]) => Object.fromEntries(orders.map((order) => [order.id, shared(order)]))
  expect(byId(sold)).toEqual(byId(bought))
  for (const order of bought) {
    const events = order.timeline.filter(({ by }) => by === 'buyer' || by === 'seller')
    const kind = order.settlement === 'escrow' ? 'escrow' : (order.delivery as 'ship' | 'pick-up')
    const said = { label: labelOf(order), events: events.map(({ by, what }) => `${by} ${what}`) }
    expect(said).toEqual({ label: labelOf(order), events: eventsOfDeal[kind] })
    expect(order).toMatchObject({ phase: 'CLOSED', reason: 'accepted' })
  }
  await expectRatedOnce(bought.map(({ id }) => id))
  await expectStock()
  await expectPaidOnce(bought.filter(({ settlement }) => settlement === 'escrow').length)
}

async function expectRatedOnce(orders: readonly string[]): Promise<void> {
  for (const reader of [buyer, seller]) {
    for (const { did } of [buyer, seller]) {
      const ratings = await reader.call('GET /v1/feedback/:did', { params: { did } })
      expect(ratings.map(({ order }) => order).toSorted()).toEqual(orders.toSorted())
    }
  }
}

async function expectStock(): Promise<void> {
  const shipped = traded.filter(({ delivery }) => delivery === 'ship')
  const gone = shipped.reduce((sum, { quantity }) => sum + quantity, 0)
  const { quantity } = await seller.call('GET /v1/listings/:id', { params: { id: boxesKey } })
  expect(quantity).toBe(stock - gone)
}

async function expectPaidOnce(orders: number): Promise<void> {
  const { chain } = market
  const paid = price * BigInt(orders)
  expect(await chain.balanceOf(chain.escrow)).toBe(0n)
  expect(await chain.balanceOf(buyer.wallet)).toBe(purse - paid)
  expect(await chain.balanceOf(seller.wallet)).toBe(1n + paid)
}

test(
  `killed at ${rounds} points of an order's messages, nothing is lost and nothing done twice (seed ${seed})`,
  async () => {
    for (const [round, plot] of fc.sample(plan, { seed, numRuns: rounds }).entries()) {
      const beganAtMs = performance.now()
      const deals: Deal[] = []
      try {
        deals.push(...(await dealsOf(round)))
        traded.push(...deals)
        const { chosen, atRest } = await playRound(deals, plot)
        deaths.chosen += chosen
        deaths.atRest += atRest
        await expectAllOver()
      } catch (cause) {
        throw new Error(`round ${round} of seed ${seed}: ${JSON.stringify(plot)}\n${await tell(deals)}`, { cause })
      }
      if (isLong)
        process.stderr.write(`round ${round} ${JSON.stringify(plot)} ${Math.round(performance.now() - beganAtMs)} ms\n`)
    }
    if (isLong) process.stderr.write(`${rounds} rounds, ${traded.length} orders, deaths ${JSON.stringify(deaths)}\n`)
    expect(deaths.chosen + deaths.atRest).toBeGreaterThanOrEqual(rounds)
  },
  240_000 * rounds
)

test('what is on disk says the same: no letter waits, no event is there twice, nobody has contradicted himself', async () => {
  await Promise.all([buyer.stop(), seller.stop()])
  const [ofBuyer, ofSeller] = await Promise.all([buyer, seller].map(readStore))
  expect(ofBuyer?.events).toEqual(ofSeller?.events)
  for (const store of [ofBuyer, ofSeller]) {
    expect(store).toMatchObject({ outbox: [], letters: [], equivocations: [], ratings: traded.length * 2 })
  }
})

async function readStore(person: Person) {
  return withStoreOf(person, async ({ orders, outbox, inbox, records }) => {
    const all = (await orders.list()).map(({ order }) => order)
    const held = await Promise.all(
      all.map(async (order) => (await orders.events(order)).map(({ bytes }) => reopenEvent(bytes)))
    )
    const slots = all.flatMap((key) =>
      [buyer, seller].map(({ did }) => ({ author: keyFromDid(did), kind: 'feedback', key }) as const)
    )
    const ratings = await Promise.all(slots.map((slot) => records.conflicts(slot)))
    return {
      events: Object.fromEntries(held.map((events, index) => [all[index], events.map(({ id }) => id).toSorted()])),
      equivocations: held.flatMap((events) => fold(events, [], Date.now())?.equivocations ?? []),
      outbox: outbox.list(),
      letters: inbox.deadLetters(),
      ratings: ratings.flat().length
    }
  })
}
