import { bytesToHex } from '@noble/hashes/utils.js'
import {
  type Did,
  didFromKey,
  keyFromDid,
  nymFromKey,
  type RecordId,
  type Signer,
  type SoukRecord
} from '@souk/records'
import type { Storage } from '@souk/storage'
import {
  type AnyEvent,
  checkTerms,
  escrowOrderOf,
  fold,
  openEvent,
  openTerms,
  type OrderEvent,
  reopenEvent,
  type Terms,
  TradingError
} from '@souk/trading'
import { type Chains, localConfigOf } from './chains.ts'
import { NodeError } from './errors.ts'
import type { ListingDesk } from './listings.ts'
import { type Letter, openLetter } from './mail.ts'
import type { OrderBook } from './order-book.ts'
import type { Turns } from './turns.ts'

export interface ReceivingComponents {
  readonly storage: Pick<Storage, 'inbox'>
  readonly book: Pick<OrderBook, 'get' | 'events' | 'open' | 'add' | 'say'>
  readonly listings: Pick<ListingDesk, 'revision'>
  readonly chains: Chains
  readonly signer: Signer
  readonly inTurn: Turns
}

/** Takes in what the other parties of orders write. */
export interface Receiving {
  /** Takes in an event from the other party, durably, and marks the letter as processed in the same batch. */
  receive(letter: Letter, source: { from: Did; inboxId: string }): Promise<void>
  /** Processes letters that could not be processed when they came, and can now. */
  retry(): Promise<void>
}

export function createReceiving(components: ReceivingComponents, init: { now: () => number }): Receiving {
  const { storage, book, listings, chains, signer, inTurn } = components
  const me = didFromKey(signer.publicKey)

  const receive: Receiving['receive'] = async (letter, source) => {
    const event = openEvent(letter.event, { nowMs: init.now() })
    await inTurn(event.order, () => receiveEvent(event, source))
    if (event.type === 'request') await retry()
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
    if (fault === undefined) return
    const held = await book.get(event.order)
    if (held !== undefined) await book.say(held, { type: 'decline', atMs: init.now(), payload: { reason: fault.code } })
  }

  /** Why this side will not trade on these terms, if there is a reason. */
  const faultOf = (
    terms: Terms,
    { listing, event }: { listing: SoukRecord<'listing'>; event: OrderEvent<'request'> }
  ): { code: string } | undefined => {
    try {
      checkTerms(terms, listing, localConfigOf(chains, init.now()))
      const escrowId = escrowIdOf(terms, event.payload.terms)
      const named = event.payload.escrowId && `0x${bytesToHex(event.payload.escrowId)}`
      return escrowId === named ? undefined : { code: 'wrong-escrow' }
    } catch (error) {
      if (error instanceof TradingError || error instanceof NodeError) return error
      throw error
    }
  }

  const escrowIdOf = (terms: Terms, termsBytes: Uint8Array): string | undefined =>
    terms.settlement.kind === 'escrow'
      ? chains.get(terms.settlement.chain).escrow.orderId(escrowOrderOf(terms, termsBytes))
      : undefined

  const retry = async (): Promise<void> => {
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

  return { receive, retry }
}

/** Why a letter waits for something that may still come: its request, its time, the listing. */
const waiting: ReadonlySet<string> = new Set(['early', 'not-yet-valid', 'not-found'])
