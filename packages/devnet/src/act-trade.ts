import type { ListingView, OrderAction, OrderView } from '@souk/node'
import type { Stage } from './cast.ts'
import { type Balances, readBalances, tokenText } from './money.ts'
import type { Person } from './person.ts'
import { hold, seen } from './story.ts'

/** What the buyer has at the start: 500 tEUR. */
const purse = 500_000_000n

const address = 'Bruno Berger, Taborstraße 7, 1020 Wien, Austria'

/** What a trade left behind. */
export interface Traded {
  readonly order: string
  /** Id of what the seller said of the buyer. */
  readonly rating: string
  readonly price: bigint
  readonly before: Balances
}

/** Money, a purchase that is taken back, one that goes through, and what each says of the other. */
export async function trade(stage: Stage, wanted: ListingView): Promise<Traded> {
  const before = await fillPurse(stage)
  await changeMind(stage, before)
  const { order, price } = await buy(stage, wanted)
  await handOver(stage, { order, price, before })
  const rating = await rate(stage, order)
  return { order, rating, price, before }
}

async function fillPurse(stage: Stage): Promise<Balances> {
  const { market, story, seller, buyer } = stage
  return story.tell({ who: buyer.name, name: 'has money on the chain, both can pay its fees' }, async () => {
    await market.chain.fund(buyer.wallet, purse)
    await market.chain.fund(seller.wallet, 0n)
    const before = await readBalances(stage)
    hold(before.buyer === purse && before.seller === 0n && before.escrow === 0n, 'somebody has money already')
    return seen(`${tokenText(purse)} with ${buyer.name}, nothing in escrow`, before)
  })
}

async function changeMind(stage: Stage, before: Balances): Promise<void> {
  const { story, seller, buyer } = stage
  const order = await story.tell({ who: buyer.name, name: 'orders a clock, the money goes into escrow' }, async () => {
    const clock = await findOne(buyer, 'wall clock')
    const bought = await buyer.call('POST /v1/orders', { body: request(clock) })
    await orderOn(seller, bought.id, 'the payment', isPaid)
    const { escrow } = await readBalances(stage)
    hold(escrow === BigInt(bought.total.minor), `the escrow holds ${escrow}`)
    return seen(`${tokenText(escrow)} in escrow, ${seller.name} has not answered yet`, bought.id)
  })
  await story.tell({ who: buyer.name, name: 'cancels before acceptance, everything comes back' }, async () => {
    await act(buyer, order, { action: 'cancel' })
    const ended = await orderOn(buyer, order, 'the refund', ({ escrow }) => escrow?.status === 'refunded')
    await orderOn(seller, order, 'the end', ({ reason }) => reason !== undefined)
    const after = await readBalances(stage)
    hold(after.buyer === before.buyer, `${buyer.name} has ${after.buyer} of ${before.buyer}`)
    hold(after.escrow === 0n && after.seller === before.seller, 'money is left elsewhere')
    return seen(`${tokenText(after.buyer)} again, to the unit; the order is ${ended.phase}`)
  })
}

async function buy(stage: Stage, wanted: ListingView): Promise<{ order: string; price: bigint }> {
  const { story, seller, buyer } = stage
  return story.tell({ who: buyer.name, name: 'buys the djembe through escrow' }, async () => {
    const bought = await buyer.call('POST /v1/orders', { body: request(wanted) })
    const price = BigInt(bought.total.minor)
    const paid = await orderOn(seller, bought.id, 'the payment', isPaid)
    hold(paid.shipTo === address, 'the address did not come')
    const { escrow } = await readBalances(stage)
    hold(escrow === price, `the escrow holds ${escrow}, not ${price}`)
    return seen(`${tokenText(price)} in escrow, final on the chain`, { order: bought.id, price })
  })
}

async function handOver(stage: Stage, { order, price, before }: Omit<Traded, 'rating'>): Promise<void> {
  const { story, seller, buyer } = stage
  await story.tell({ who: seller.name, name: 'accepts, on the chain too' }, async () => {
    await act(seller, order, { action: 'accept' })
    await orderOn(seller, order, 'leave to ship', ({ allowed }) => allowed.includes('ship'))
    const { phase } = await orderOn(buyer, order, 'the acceptance', ({ escrow }) => escrow?.status === 'accepted')
    return seen(`both signed the same terms; ${phase}`)
  })
  await story.tell({ who: seller.name, name: 'ships' }, async () => {
    await act(seller, order, { action: 'ship', carrier: 'DHL', tracking: '00340434292135100186' })
    const { tracking } = await orderOn(buyer, order, 'the parcel', isOnItsWay)
    hold(tracking?.code === '00340434292135100186', 'the tracking code did not come')
    return seen(`${tracking.carrier} ${tracking.code}`)
  })
  await story.tell({ who: buyer.name, name: 'confirms, the seller has the price and the escrow nothing' }, async () => {
    await act(buyer, order, { action: 'confirm' })
    const [ofBuyer, ofSeller] = await Promise.all(
      [buyer, seller].map((each) => orderOn(each, order, 'the end', isOver))
    )
    hold(ofBuyer?.phase === ofSeller?.phase && ofBuyer?.reason === ofSeller?.reason, 'the two sides differ')
    const after = await readBalances(stage)
    hold(after.seller === before.seller + price, `${seller.name} has ${after.seller}`)
    hold(after.buyer === before.buyer - price && after.escrow === 0n, `${after.escrow} is left in escrow`)
    return seen(`${ofBuyer?.phase}, ${ofBuyer?.reason} on both sides`)
  })
}

async function rate(stage: Stage, order: string): Promise<string> {
  const { story, seller, buyer } = stage
  return story.tell({ who: `${buyer.name}, ${seller.name}`, name: 'rate each other, once' }, async () => {
    await buyer.call('POST /v1/feedback', {
      body: {
        order,
        stars: 5,
        aspects: { described: 5, communication: 5, punctuality: 4, care: 5 },
        text: 'Sounds as dry and open as promised, packed like an egg.'
      }
    })
    const { id } = await seller.call('POST /v1/feedback', {
      body: { order, stars: 5, text: 'Paid at once, a pleasure.' }
    })
    const again = await buyer.call('POST /v1/feedback', { body: { order, stars: 1 } }).then(
      () => undefined,
      (error: { code?: string }) => error.code
    )
    hold(again === 'already-given', `a second rating was answered with ${again ?? 'yes'}`)
    await Promise.all([hasRating(buyer, seller), hasRating(seller, buyer)])
    await areKept(stage)
    return seen('five stars each, kept by the relay too; a second rating is refused', id)
  })
}

/** What somebody else said of this person is with them. */
function hasRating(reader: Person, { did }: Person): Promise<boolean> {
  return reader.until('the rating', async () => {
    const ratings = await reader.call('GET /v1/feedback/:did', { params: { did } })
    return ratings.length === 1
  })
}

/** Both ratings are with somebody who is neither party: the relay's own figures say so. */
function areKept({ market, buyer }: Stage): Promise<boolean> {
  return buyer.until('the relay’s copy of both ratings', async () => {
    const figures = await (await fetch(`${market.relay.httpUrl}/metrics`)).text()
    return /^souk_relay_located_set_records 2$/m.test(figures)
  })
}

function request({ id }: ListingView) {
  return { listing: id, delivery: 'ship', settlement: 'escrow', country: 'AT', shipTo: address } as const
}

async function findOne(person: Person, text: string): Promise<ListingView> {
  const { hits } = await person.call('GET /v1/search', { query: { text } })
  const [hit] = hits
  hold(hit !== undefined, `${person.name} finds no ${text}`)
  return hit
}

async function act(person: Person, order: string, body: OrderAction): Promise<void> {
  await person.call('POST /v1/orders/:id/actions', { params: { id: order }, body })
}

/** Waits until one side's order looks as it should. */
function orderOn(person: Person, id: string, what: string, is: (order: OrderView) => boolean): Promise<OrderView> {
  return person.until(what, async () => {
    const order = await person.call('GET /v1/orders/:id', { params: { id } }).catch(notThereYet)
    return order !== undefined && is(order) && order
  })
}

function notThereYet(error: { code?: string }): undefined {
  if (error.code !== 'not-found') throw error
}

const isPaid = ({ escrow }: OrderView): boolean => escrow?.status === 'funded' && escrow.certainty === 'final'

const isOnItsWay = ({ escrow, allowed }: OrderView): boolean =>
  escrow?.status === 'dispatched' && allowed.includes('confirm')

const isOver = ({ reason, escrow }: OrderView): boolean => reason !== undefined && escrow?.certainty === 'final'
