import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { sha256 } from '@noble/hashes/sha2.js'
import {
  type Did,
  didFromKey,
  keyFromDid,
  nymFromKey,
  type RecordId,
  type Signer,
  type SoukRecord
} from '@souk/records'
import type { Outbox, OutboxHeader, RecordStore, Storage, StorageOp, Sublevel } from '@souk/storage'
import {
  type AnyEvent,
  checkTerms,
  createRequest,
  encodeTerms,
  escrowOrderOf,
  type EventInput,
  fold,
  type LocalConfig,
  nextUnit,
  openEvent,
  openTerms,
  type OrderEvent,
  reopenEvent,
  type SettlementChoice,
  type Terms,
  termsFromListing,
  termsHash,
  TradingError
} from '@souk/trading'
import type { Chains } from './chains.ts'
import type { TokenInit } from './config.ts'
import { NodeError } from './errors.ts'
import { pageDefault, pageMax } from './limits.ts'
import type { ListingDesk } from './listings.ts'
import type { LetterState } from './letters.ts'
import { type Letter, openLetter } from './mail.ts'
import type { BuyRequest, OrderAction, Orders, OrderView } from './order.ts'
import { createOrderBook, type HeldOrder, type OrderNote } from './order-book.ts'
import { createOrderOutlines, type OrderOutline, type OrderOutlines } from './order-outlines.ts'
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
  /** Takes in an event from the other party, durably, and marks the letter as processed in the same batch. */
  receive(letter: Letter, source: { from: Did; inboxId: string }): Promise<void>
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
  const me = didFromKey(signer.publicKey)

  /** Orders that this side has accepted and not yet taken out of its stock, by id. */
  const stockOwed: Sublevel<StockOwed> = storage.sublevel<StockOwed>('stock-owed', { values: 'json' })
  /** Requests that have become orders, by the key with which they were made. */
  const bought: Sublevel<Bought> = storage.sublevel<Bought>('order-requests', { values: 'json' })
  // What is said in an order builds on what was said before; units of a listing follow each other across orders.
  const inTurn = createTurns()

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

  const localConfig = (): LocalConfig => ({
    nowMs: init.now(),
    chains: chains.all.map(({ init: { chain, contract, tokens } }) => ({
      chain,
      contract,
      tokens: tokens.map(({ address, orderMax }) => ({
        address,
        ...(orderMax === undefined ? {} : { amountMax: orderMax })
      }))
    }))
  })

  const escrowIdOf = (terms: Terms, termsBytes: Uint8Array): string | undefined =>
    terms.settlement.kind === 'escrow'
      ? chains.get(terms.settlement.chain).escrow.orderId(escrowOrderOf(terms, termsBytes))
      : undefined

  /** Units of this revision that are left, by the seller's newest word and by what was accepted of it before. */
  const unitsLeft = async (listing: SoukRecord<'listing'>): Promise<{ next: number; available: number }> => {
    const next = nextUnit(await outlines.list(), listing.id)
    const head = (await records.head(listing)) as SoukRecord<'listing'> | undefined
    const offered = head?.content?.quantity ?? 0
    return { next, available: Math.max(0, Math.min(offered, (listing.content?.quantity ?? 0) - next)) }
  }

  const buy = async ({ requestKey: key, ...request }: BuyRequest): Promise<OrderView> => {
    if (key === undefined) return buyNow(request)
    const hash = bytesToHex(sha256(utf8ToBytes(JSON.stringify(request, Object.keys(request).toSorted()))))
    return inTurn(`buy ${key}`, async () => {
      const before = await bought.get(key)
      if (before === undefined) {
        return buyNow(request, (order) => [{ type: 'put', sublevel: bought, key, value: { order, hash } }])
      }
      if (before.hash !== hash)
        throw new NodeError('key-used', 'another request was made with this key; draw a new one')
      return view(await held(before.order))
    })
  }

  const buyNow = async (
    request: BuyRequest,
    extraOps: (order: string) => StorageOp[] = () => []
  ): Promise<OrderView> => {
    const listing = await listings.recordOf(request.listing)
    if (didFromKey(listing.author) === me) throw new NodeError('own-listing', 'this listing is your own')
    const delivery = await deliveryOf(listing, request)
    const secret = delivery.kind === 'pick-up' ? components.random(16) : undefined
    const choice = {
      buyer: signer.publicKey,
      quantity: request.quantity ?? 1,
      delivery,
      settlement: settlementOf(listing, request),
      salt: components.random(32),
      nowMs: init.now(),
      ...(secret === undefined ? {} : { pickupHash: sha256(secret) })
    }
    const terms = termsFromListing(listing, choice)
    checkTerms(terms, listing, { ...localConfig(), buyerAddress: components.wallet })
    const event = await requestOf(terms, request)
    const note: OrderNote = { paysAtOnce: true, ...(secret === undefined ? {} : { pickupSecret: bytesToHex(secret) }) }
    const escrowId = event.payload.escrowId && `0x${bytesToHex(event.payload.escrowId)}`
    const to = didFromKey(listing.author)
    await book.open(event, { note, listing, escrowId, to, extraOps: extraOps(event.order) })
    return view(await held(event.order))
  }

  /** Signs the request; with escrow, only after the order on chain has passed every check that comes before paying. */
  const requestOf = async (terms: Terms, { shipTo, note }: BuyRequest): Promise<OrderEvent<'request'>> => {
    const said = {
      terms,
      atMs: terms.createdAtMs,
      ...(shipTo === undefined ? {} : { deliverTo: shipTo }),
      ...(note === undefined ? {} : { note })
    }
    if (terms.settlement.kind !== 'escrow') return createRequest(said, signer)
    const { escrow } = chains.get(terms.settlement.chain)
    // The salt makes the terms' bytes known only now: a request without its escrow's id cannot be signed.
    const termsBytes = encodeTerms(terms)
    const order = escrowOrderOf(terms, termsBytes)
    await escrow.check(order, expectedOf({ terms, order: bytesToHex(termsHash(termsBytes)) as never }, escrow))
    return createRequest({ ...said, escrowId: hexToBytes(escrow.orderId(order).slice(2)) }, signer)
  }

  const deliveryOf = async (listing: SoukRecord<'listing'>, request: BuyRequest) => {
    const kind =
      request.delivery ??
      listing.content?.delivery.find((offer) => offer.kind === 'ship' || offer.kind === 'pick-up')?.kind
    if (kind !== 'ship') return { kind: 'pick-up' as const }
    const country = request.country ?? (await components.regionOf(me)) ?? soleCountry(listing)
    if (country === undefined) throw new NodeError('bad-draft', 'say to which country it is to be shipped')
    return { kind, country }
  }

  const settlementOf = (listing: SoukRecord<'listing'>, { settlement }: BuyRequest): SettlementChoice => {
    const offers = listing.content?.settlements ?? []
    const usable = offers.find(
      (offer) =>
        offer.kind === 'escrow' &&
        chains.all.some(
          ({ init: { chain, tokens } }) =>
            chain === offer.chain && tokens.some(({ address }) => address === offer.token)
        )
    )
    if (settlement !== 'direct' && usable?.kind === 'escrow') {
      const { chain, token } = usable
      return { kind: 'escrow', chain, token, buyerAddress: components.wallet as `0x${string}` }
    }
    if (settlement === 'escrow')
      throw new NodeError('no-chain', 'the listing takes no escrow that this node is set up for')
    return { kind: offers.some(({ kind }) => kind === 'direct') ? 'direct' : 'none' }
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
    checkTerms(state.terms, listing, { ...localConfig(), available })
    const { settlement } = state.terms
    if (settlement.kind !== 'escrow') return { unit: next }
    const { escrow } = chains.get(settlement.chain)
    const order = escrowOrderOf(state.terms, state.termsBytes)
    await escrow.check(order, expectedOf(state, escrow))
    return { unit: next, escrowSig: hexToBytes((await escrow.sign({ kind: 'accept', order })).slice(2)) }
  }

  const receive: OrderDesk['receive'] = async (letter, source) => {
    const event = openEvent(letter.event, { nowMs: init.now() })
    await inTurn(event.order, () => receiveEvent(event, source))
    if (event.type === 'request') await retryLetters()
  }

  const receiveEvent = async (event: AnyEvent, { from, inboxId }: { from: Did; inboxId: string }): Promise<void> => {
    const known = await book.events(event.order)
    if (known.length === 0) return receiveFirst(event, { from, inboxId })
    const state = fold([...known, event], [], init.now())
    const sender = keyFromDid(from)
    const isParty =
      state !== undefined && [state.terms.buyer, state.terms.seller].some((key) => didFromKey(key) === from)
    if (!isParty || didFromKey(sender) === me)
      throw new NodeError('refused', `${from} is no party of order ${event.order}`)
    const fault = state.refused.find(({ id }) => id === event.id)
    if (fault !== undefined) throw new NodeError('refused', `the ${event.type} is refused: ${fault.code}`)
    await book.add(event, { processed: inboxId })
  }

  /** A request, from whoever wants to buy; anything else came before its request, and waits among the dead letters. */
  const receiveFirst = async (event: AnyEvent, { from, inboxId }: { from: Did; inboxId: string }): Promise<void> => {
    if (event.type !== 'request')
      throw new NodeError('early', `the ${event.type} came before the request of order ${event.order}`)
    const terms = openTerms(event.payload.terms)
    if (
      fold([event], [], init.now()) === undefined ||
      didFromKey(terms.buyer) !== from ||
      didFromKey(terms.seller) !== me
    ) {
      throw new NodeError('refused', `the request is not one of ${nymFromKey(keyFromDid(from))} to this identity`)
    }
    const listing = await listings.revision(terms.listing.toString() as RecordId)
    if (listing === undefined) throw new NodeError('not-found', 'the request is for a listing that is not here')
    const fault = faultOf(terms, { listing, event })
    const escrowId = event.payload.escrowId && `0x${bytesToHex(event.payload.escrowId)}`
    const facts =
      fault === undefined && escrowId !== undefined && terms.settlement.kind === 'escrow'
        ? await chains.get(terms.settlement.chain).factsOf(escrowId)
        : []
    await book.open(event, { listing, escrowId: fault === undefined ? escrowId : undefined, facts, processed: inboxId })
    if (fault !== undefined)
      await book.say(await held(event.order), { type: 'decline', atMs: init.now(), payload: { reason: fault.code } })
  }

  /** Why this side will not trade on these terms, if there is a reason. */
  const faultOf = (
    terms: Terms,
    { listing, event }: { listing: SoukRecord<'listing'>; event: OrderEvent<'request'> }
  ): { code: string } | undefined => {
    try {
      checkTerms(terms, listing, localConfig())
      const escrowId = escrowIdOf(terms, event.payload.terms)
      const named = event.payload.escrowId && `0x${bytesToHex(event.payload.escrowId)}`
      return escrowId === named ? undefined : { code: 'wrong-escrow' }
    } catch (error) {
      if (error instanceof TradingError || error instanceof NodeError) return error
      throw error
    }
  }

  const readFacts = async (order: string): Promise<void> => {
    const { state } = (await book.get(order)) ?? {}
    if (state === undefined || (state.reason !== undefined && state.chain?.final === true)) return
    const { settlement } = state.terms
    if (settlement.kind !== 'escrow' || state.escrowId === undefined) return
    await book.addMissingFacts(order, await chains.get(settlement.chain).factsOf(state.escrowId))
  }

  /** Letters that could not be processed when they came, and can now. */
  const retryLetters = async (): Promise<void> => {
    for (const { id, from, code } of storage.inbox.deadLetters()) {
      const bytes = waiting.has(code) ? await storage.inbox.deadLetterBytes(id) : undefined
      if (bytes === undefined) continue
      const letter = openLetter(bytes)
      if (!(await hasTimeCome(code, reopenEvent(letter.event)))) continue
      const source = { from: from as Did, inboxId: id }
      await storage.inbox.replay(id, async () => {
        const event = openEvent(letter.event, { nowMs: init.now() })
        await inTurn(event.order, () => receiveEvent(event, source))
      })
    }
  }

  const hasTimeCome = async (code: string, event: AnyEvent): Promise<boolean> => {
    if (code === 'early') return (await book.events(event.order)).length > 0
    if (code === 'not-yet-valid') return event.atMs <= init.now()
    if (event.type !== 'request') return false
    return (await listings.revision(openTerms(event.payload.terms).listing.toString() as RecordId)) !== undefined
  }

  return {
    held,
    buy,
    act,
    receive,
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
      await retryLetters()
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

interface Bought {
  readonly order: string
  /** SHA-256 of the request, in hexadecimal. */
  readonly hash: string
}

/** Why a letter waits for something that may still come: its request, its time, the listing. */
const waiting: ReadonlySet<string> = new Set(['early', 'not-yet-valid', 'not-found'])

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

function soleCountry({ content }: SoukRecord<'listing'>): string | undefined {
  const countries = content?.delivery.flatMap((offer) => (offer.kind === 'ship' ? offer.to : [])) ?? []
  return countries.length === 1 ? countries[0] : undefined
}
