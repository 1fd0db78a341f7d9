/** Two people trade over their nodes' APIs, each doing what is theirs to do, however often a node dies under them. */
import type { Person } from '@souk/devnet'
import type { OrderAction, OrderView } from '@souk/node'

/** What is traded, and how: one order. */
export interface Deal {
  /** Names the order on both sides: where it is shipped to, or the title of what is picked up. */
  readonly label: string
  /** Of the listing. */
  readonly title: string
  readonly quantity: number
  readonly delivery: 'ship' | 'pick-up'
  readonly settlement: 'direct' | 'escrow'
}

/** What each event of a deal is called in the timeline, and by whom it is: nothing more, nothing twice. */
export const eventsOfDeal: Readonly<Record<'ship' | 'pick-up' | 'escrow', readonly string[]>> = {
  ship: [
    'buyer request',
    'seller accept',
    'buyer paid',
    'seller payment-received',
    'seller ship',
    'buyer confirm',
    'seller close'
  ],
  'pick-up': ['buyer request', 'seller accept', 'seller handover', 'buyer confirm', 'seller close'],
  escrow: ['buyer request', 'seller accept', 'seller ship', 'buyer confirm', 'seller close']
}

/** What both sides of an order must agree on. */
export function shared({ phase, reason, legs, timeline, total, tracking, listing, shipTo, escrow }: OrderView) {
  return { phase, reason, legs, timeline, total, tracking, listing, shipTo, escrow }
}

export function labelOf({ shipTo, listing }: Pick<OrderView, 'shipTo' | 'listing'>): string {
  return shipTo ?? listing.title
}

/** True when this side has nothing left to do, to send or to hear. */
export function isOver({ reason, undelivered, feedback }: OrderView): boolean {
  const { given, received } = feedback
  return reason !== undefined && given !== undefined && received !== undefined && undelivered === 0
}

export interface Side {
  readonly person: Person
  /** What this side does about an order as it stands, if anything. */
  readonly next: (order: OrderView) => OrderAction | undefined
  /** What this side buys. */
  readonly buys: readonly Deal[]
  /** Resolves the next time that a node which has died runs again. */
  readonly revived: () => Promise<unknown>
}

/** Plays one side until all deals are over. A person looks before they act: what is done is not done again. */
export async function play(side: Side, deals: readonly Deal[]): Promise<OrderView[]> {
  const labels = new Set(deals.map(({ label }) => label))
  const orders = new Map<string, OrderView>()
  for (;;) {
    const { ended } = side.person
    try {
      return await side.person.until('the end of all deals', () => turn(side, { labels, orders }), patience)
    } catch (error) {
      if (!(await hasDied(ended))) throw error
      while (!side.person.isRunning) await side.revived()
    }
  }
}

/** Three restarts and eight blocks fit in many times. Nodes tell of what happens; looking costs them a fold an order. */
const patience = { timeoutMs: 180_000, everyMs: 200 }

interface Standing {
  readonly labels: ReadonlySet<string>
  /** As they were when last looked at, by label. */
  readonly orders: Map<string, OrderView>
}

async function turn({ person, buys, next }: Side, { labels, orders }: Standing): Promise<OrderView[] | undefined> {
  for (const order of await look(person, { labels, orders })) orders.set(labelOf(order), order)
  await Promise.all(buys.filter(({ label }) => !orders.has(label)).map((deal) => buy(person, deal)))
  const open = [...orders.values()].filter((order) => !isOver(order))
  await Promise.all(open.map((order) => act(person, order, next(order))))
  return orders.size === labels.size && open.length === 0 ? [...orders.values()] : undefined
}

/** The orders that are not over, once each is known by its id. */
async function look(person: Person, { labels, orders }: Standing): Promise<OrderView[]> {
  if (orders.size < labels.size)
    return (await person.call('GET /v1/orders')).filter((order) => labels.has(labelOf(order)))
  const open = [...orders.values()].filter((order) => !isOver(order))
  return Promise.all(open.map(({ id }) => person.call('GET /v1/orders/:id', { params: { id } })))
}

async function buy(person: Person, { label, title, quantity, delivery, settlement }: Deal): Promise<void> {
  const { hits } = await person.call('GET /v1/search', { query: { text: `"${title}"` } })
  const listing = hits.find((hit) => hit.title === title)?.id
  if (listing === undefined) return
  const where = delivery === 'ship' ? ({ country: 'DE', shipTo: label } as const) : {}
  const bought = person.call('POST /v1/orders', { body: { listing, quantity, delivery, settlement, ...where } })
  await unless(bought, 'not-found')
}

async function act(person: Person, order: OrderView, action: OrderAction | undefined): Promise<void> {
  const { id, reason, feedback } = order
  if (action !== undefined)
    await unless(person.call('POST /v1/orders/:id/actions', { params: { id }, body: action }), 'not-allowed-now')
  if (reason !== undefined && feedback.given === undefined)
    await person.call('POST /v1/feedback', { body: { order: id, stars: 5 } })
}

/** What one looked at has gone on meanwhile; then one looks again. */
async function unless(call: Promise<unknown>, code: string): Promise<void> {
  await call.catch((error: { code?: string }) => {
    if (error.code !== code) throw error
  })
}

/** A call fails a moment before the process is known to have ended. */
async function hasDied(ended: Promise<void>): Promise<boolean> {
  const timer = AbortSignal.timeout(deathTimeoutMs)
  const alive = new Promise<boolean>((resolve) => timer.addEventListener('abort', () => resolve(false)))
  return Promise.race([ended.then(() => true), alive])
}

const deathTimeoutMs = 3_000

const said = ({ timeline }: OrderView, what: string): boolean => timeline.some((entry) => entry.what === what)

/** What the buyer has shown at the door, by order: from one person's screen to the other's keyboard. */
export type Codes = Map<string, string>

/** The buyer: shows the code, pays, and is content with what comes. */
export function buyerNext(codes: Codes): Side['next'] {
  return (order) => {
    if (order.pickupCode !== undefined) codes.set(order.id, order.pickupCode)
    const may = (action: string): boolean => order.allowed.includes(action)
    if (may('paid') && order.delivery === 'ship') return { action: 'paid' }
    return may('confirm') && said(order, 'ship') ? { action: 'confirm' } : undefined
  }
}

/** The seller: accepts, and hands over what is paid. */
export function sellerNext(codes: Codes): Side['next'] {
  return (order) => {
    const may = (action: string): boolean => order.allowed.includes(action)
    if (may('accept')) return { action: 'accept' }
    if (may('payment-received') && said(order, 'paid')) return { action: 'payment-received' }
    if (may('ship') && isPaid(order)) return { action: 'ship', tracking: order.id.slice(0, 8) }
    const code = codes.get(order.id)
    return may('handover') && code !== undefined ? { action: 'handover', code } : undefined
  }
}

function isPaid(order: OrderView): boolean {
  return order.escrow === undefined ? said(order, 'payment-received') : order.escrow.certainty === 'final'
}
