import { hexToBytes } from '@noble/hashes/utils.js'
import { type Did, keyFromDid, type Signer, type SoukRecord } from '@souk/records'
import type { Outbox, OutboxHeader, RecordStore, Storage, Sublevel } from '@souk/storage'
import { checkTerms, escrowOrderOf, type EventInput, nextUnit, type Terms, TradingError } from '@souk/trading'
import { type Chains, localConfigOf } from './chains.ts'
import type { TokenInit } from './config.ts'
import { NodeError } from './errors.ts'
import { pageDefault, pageMax } from './limits.ts'
import type { ListingDesk } from './listings.ts'
import type { LetterState } from './letters.ts'
import type { OrderAction, Orders, OrderView } from './order.ts'
import { createOrderBook, type HeldOrder } from './order-book.ts'
import { createBuying } from './order-buying.ts'
import { createOrderOutlines, type OrderOutline, type OrderOutlines } from './order-outlines.ts'
import { createReceiving, type Receiving } from './order-receiving.ts'
import { createOrderSteps, expectedOf } from './order-steps.ts'
import { orderView } from './order-view.ts'
import { secretFromCode } from './pickup-code.ts'
import { createTurns } from './turns.ts'

export interface OrdersComponents {
  readonly storage: Pick<Storage, 'orders' | 'sublevel' | 'inbox'>
  readonly records: Pick<RecordStore, 'head'>
  readonly outbox: Pick<Outbox, 'list'>
  readonly listings: Pick<ListingDesk, 'recordOf' | 'revision' | 'take'>
  readonly chains: Chains
  readonly signer: Signer
  /** Lower case. */
  readonly wallet: string
  readonly regionOf: (did: Did) => Promise<string | undefined>
  readonly random: (length: number) => Uint8Array
  readonly onChange: (order: Pick<OrderView, 'id' | 'phase' | 'role' | 'counterparty'>) => void
  readonly onProblem: (problem: { code: string; message: string }) => void
}

/** Orders, and what moves them on while nobody looks. */
export interface OrderDesk extends Orders, AsyncDisposable {
  /** The order behind a view. @throws {@link NodeError} `not-found`. */
  held(order: string): Promise<HeldOrder>
  receive: Receiving['receive']
  /** All of them, newest first. */
  outlines: OrderOutlines['list']
  addFact: ReturnType<typeof createOrderBook>['addFact']
  /**
   * Looks at every order in which something may still happen, takes the steps that are open, those that a crash interrupted
   * among them, and tries the letters again whose time has come.
   */
  lookAtAll(): Promise<void>
}

export function createOrders(components: OrdersComponents, init: { now: () => number }): OrderDesk {
  const { storage, records, listings, chains, signer } = components
  const book = createOrderBook({ storage, signer }, init)
  const outlines = createOrderOutlines({ storage, book }, init)
  const steps = createOrderSteps({ book, chains, onProblem: components.onProblem })

  /** Orders that this side has accepted and not yet taken out of its stock, by id. */
  const stockOwed: Sublevel<StockOwed> = storage.sublevel<StockOwed>('stock-owed', { values: 'json' })
  // What is said in an order builds on what was said before; units of a listing follow each other across orders.
  const inTurn = createTurns()

  const buying = createBuying({ ...components, book, inTurn }, init)
  const receiving = createReceiving({ ...components, book, inTurn }, init)

  const unsubscribe = storage.orders.onAppended((order) => {
    changed(order).catch((error: unknown) => components.onProblem({ code: 'order', message: String(error) }))
  })

  /** What this side does by itself when an order has changed. */
  const changed = (order: string): Promise<void> =>
    inTurn(order, async () => {
      const held = await book.get(order)
      if (held === undefined) return
      const { state, role, counterparty } = held
      components.onChange({ id: order, phase: state.phase, role, counterparty })
      steps.look(order)
      await takeFromStock(order)
      const owed = owedBy(held)
      if (owed !== undefined) await book.say(held, { type: owed, atMs: init.now(), payload: {} })
    })

  /** Once for each acceptance: that it is owed goes from the disk in the batch in which the stock is smaller. */
  const takeFromStock = async (order: string): Promise<void> => {
    const owed = await stockOwed.get(order)
    if (owed === undefined) return
    const extraOps = [{ type: 'del', sublevel: stockOwed, key: order } as const]
    const taken = await listings.take(owed.listing, { quantity: owed.quantity, extraOps })
    if (!taken) await stockOwed.del(order)
  }

  const held = async (start: string): Promise<HeldOrder> => {
    if (!/^[0-9a-f]{8,64}$/.test(start)) throw new NodeError('not-found', `"${start.slice(0, 80)}" is no order's id`)
    const found = await storage.orders.list(start)
    const order = found.length === 1 ? await book.get(found[0]?.order ?? '') : undefined
    if (order === undefined)
      throw new NodeError(
        'not-found',
        `${found.length === 0 ? 'no order starts' : 'several orders start'} with ${start}`
      )
    return order
  }

  const view = async (order: HeldOrder): Promise<OrderView> => {
    const waiting = components.outbox.list({ order: order.state.order })
    const given = await feedbackIn(signer.publicKey, order)
    const received = await feedbackIn(keyFromDid(order.counterparty), order)
    const feedback = { ...(given === undefined ? {} : { given }), ...(received === undefined ? {} : { received }) }
    const token = tokenOf(order.state.terms)
    return orderView(order, { undelivered: waiting.length, letters: stateOf(waiting), feedback, token })
  }

  const tokenOf = ({ settlement }: Terms): TokenInit | undefined =>
    settlement.kind === 'escrow'
      ? chains.all
          .find(({ init: { chain } }) => chain === settlement.chain)
          ?.init.tokens.find(({ address }) => address === settlement.order.token)
      : undefined

  const feedbackIn = async (author: Uint8Array, { state }: HeldOrder): Promise<string | undefined> =>
    (await records.head({ author, kind: 'feedback', key: state.order }))?.id

  /** Units of this revision that are left, by the seller's newest word and by what was accepted of it before. */
  const unitsLeft = async (listing: SoukRecord<'listing'>): Promise<{ next: number; available: number }> => {
    const next = nextUnit(await outlines.list(), listing.id)
    const head = (await records.head(listing)) as SoukRecord<'listing'> | undefined
    const offered = head?.content?.quantity ?? 0
    return { next, available: Math.max(0, Math.min(offered, (listing.content?.quantity ?? 0) - next)) }
  }

  const act = async (start: string, action: OrderAction): Promise<OrderView> => {
    const { state, listing } = await held(start)
    const { order } = state
    return inTurn(order, async () =>
      action.action === 'accept' ? inTurn(`stock ${listing.key}`, () => accept(order)) : say(order, action)
    )
  }

  const say = async (id: string, action: OrderAction): Promise<OrderView> => {
    const order = await held(id)
    const input = await inputOf(order, action)
    return view(await allowed(book.say(order, input)))
  }

  /** Two acceptances at once would burn one unit twice: that is what proves a fraud. */
  const accept = async (id: string): Promise<OrderView> => {
    const order = await held(id)
    const input = await inputOf(order, { action: 'accept' })
    const value = { listing: order.listing.key, quantity: order.state.terms.quantity }
    const after = await allowed(book.say(order, input, [{ type: 'put', sublevel: stockOwed, key: id, value }]))
    await takeFromStock(id)
    return view(after)
  }

  const inputOf = async (order: HeldOrder, action: OrderAction): Promise<EventInput> => {
    const atMs = init.now()
    switch (action.action) {
      case 'accept':
        return { type: 'accept', atMs, payload: await acceptanceOf(order) }
      case 'decline':
        return { type: 'decline', atMs, payload: action.why === undefined ? {} : { reason: action.why } }
      case 'cancel': {
        if (order.state.allowed[order.role].includes('withdraw')) return { type: 'withdraw', atMs, payload: {} }
        return { type: 'cancel', atMs, payload: action.why === undefined ? {} : { reason: action.why } }
      }
      case 'paid': {
        const { settlement } = order.state.terms
        const method = (settlement.kind === 'direct' ? settlement.methods[0] : undefined) ?? 'other'
        return {
          type: 'paid',
          atMs,
          payload: { method, ...(action.reference === undefined ? {} : { reference: action.reference }) }
        }
      }
      case 'ship': {
        requireFinal(order)
        const { carrier, tracking } = action
        return {
          type: 'ship',
          atMs,
          payload: { ...(carrier === undefined ? {} : { carrier }), ...(tracking === undefined ? {} : { tracking }) }
        }
      }
      case 'handover':
        requireFinal(order)
        return { type: 'handover', atMs, payload: { secret: secretFromCode(action.code) } }
      case 'payment-received':
      case 'confirm':
      case 'refund':
      case 'refund-received':
        return { type: action.action, atMs, payload: {} }
    }
  }

  /** The seller's half of the contract: the terms are checked again, against today's stock and configuration. */
  const acceptanceOf = async ({ state, listing }: HeldOrder) => {
    const { next, available } = await unitsLeft(listing)
    checkTerms(state.terms, listing, { ...localConfigOf(chains, init.now()), available })
    const { settlement } = state.terms
    if (settlement.kind !== 'escrow') return { unit: next }
    const { escrow } = chains.get(settlement.chain)
    const order = escrowOrderOf(state.terms, state.termsBytes)
    await escrow.check(order, expectedOf(state, escrow))
    return { unit: next, escrowSig: hexToBytes((await escrow.sign({ kind: 'accept', order })).slice(2)) }
  }

  const readFacts = async (order: string): Promise<void> => {
    const { state } = (await book.get(order)) ?? {}
    if (state === undefined || (state.reason !== undefined && state.chain?.final === true)) return
    const { settlement } = state.terms
    if (settlement.kind !== 'escrow' || state.escrowId === undefined) return
    await book.addMissingFacts(order, await chains.get(settlement.chain).factsOf(state.escrowId))
  }

  return {
    held,
    buy: async (request) => view(await held(await buying.buy(request))),
    act,
    receive: (letter, source) => receiving.receive(letter, source),
    addFact: (escrowId, fact) => book.addFact(escrowId, fact),
    get: async (order) => view(await held(order)),
    outlines: () => outlines.list(),
    async list({ role, open, after, limit = pageDefault } = {}) {
      const all = await outlines.list()
      const from = after === undefined ? 0 : all.findIndex(({ id }) => id === after) + 1
      if (from === 0 && after !== undefined)
        throw new NodeError('not-found', `"${after.slice(0, 80)}" is no order here`)
      const isWanted = (order: OrderOutline): boolean =>
        (role === undefined || order.role === role) && (open === undefined || order.open === open)
      const page = all.slice(from).filter(isWanted).slice(0, Math.min(limit, pageMax))
      return Promise.all(page.map(async ({ id }) => view(await held(id))))
    },
    async lookAtAll() {
      await receiving.retry()
      const stirring = (await outlines.list()).filter(({ atRest }) => !atRest)
      for (const order of new Set([...stirring.map(({ id }) => id), ...(await stockOwed.keys().all())])) {
        await readFacts(order)
        await changed(order)
      }
    },
    async [Symbol.asyncDispose]() {
      unsubscribe()
      await steps[Symbol.asyncDispose]()
    }
  }
}

/** Of letters under way, where the least advanced one is. */
function stateOf(waiting: readonly Pick<OutboxHeader, 'state'>[]): LetterState {
  if (waiting.length === 0) return 'delivered'
  return waiting.some(({ state }) => state === 'sending') ? 'sending' : 'at-relay'
}

/** What an acceptance takes out of the stock. */
interface StockOwed {
  /** Its key. */
  readonly listing: string
  readonly quantity: number
}

/** Says by a code of this package that the state of the order forbids it. */
async function allowed<T>(saying: Promise<T>): Promise<T> {
  try {
    return await saying
  } catch (error) {
    if (!(error instanceof TradingError) || error.code !== 'not-allowed') throw error
    throw new NodeError('not-allowed-now', error.message, { cause: error })
  }
}

/** The signature that this side owes once both have had what they wanted: nobody needs to be asked for it. */
function owedBy({ state, role }: HeldOrder): 'confirm' | 'close' | undefined {
  if (role === 'seller' && state.allowed.seller.includes('close')) return 'close'
  const handedOver = state.timeline.some(({ what }) => what === 'handover')
  return role === 'buyer' && handedOver && state.allowed.buyer.includes('confirm') ? 'confirm' : undefined
}

/** Nobody ships on money that may still be undone. */
function requireFinal({ state }: HeldOrder): void {
  if (state.escrowId !== undefined && state.chain?.final !== true) {
    throw new NodeError(
      'not-allowed-now',
      'the payment is not final yet; wait for more blocks before you hand anything over'
    )
  }
}
