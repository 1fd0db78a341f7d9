/** Events made from a state: the signatures and links that follow from it are filled in. */
import { sameBytes, type Signer, signStatement } from '@souk/records'
import { TradingError } from './errors.ts'
import { type AnyEvent, type EventDraft, type OrderEvent, sealEvent } from './event.ts'
import { hexToBytes } from '@noble/hashes/utils.js'
import type { EventType, Party, PayloadOf } from './payloads.ts'
import type { OrderState } from './state.ts'
import { agreementOf, closingOf } from './statement.ts'
import { encodeTerms, orderIdOf, type Terms, termsHash } from './terms.ts'

export interface RequestInput {
  readonly terms: Terms
  readonly atMs: number
  /** EIP-712 id of the order that `escrowOrderOf` gives; exactly where the terms settle through escrow. 32 bytes. */
  readonly escrowId?: Uint8Array
  readonly deliverTo?: string
  readonly note?: string
}

/** Fields that {@link createEvent} computes. */
type Computed = 'sig' | 'terms'

/** What one party wants to say in an order. */
export type EventInput = {
  [T in Exclude<EventType, 'request'>]: {
    readonly type: T
    readonly atMs: number
    readonly payload: { [K in keyof PayloadOf<T> as K extends Computed ? never : K]: PayloadOf<T>[K] }
  }
}[Exclude<EventType, 'request'>]

/** The first event of an order, signed by the buyer: terms, and his half of the agreement. */
export function createRequest(input: RequestInput, signer: Signer): OrderEvent<'request'> {
  const { terms, atMs, escrowId, deliverTo, note } = input
  if ((escrowId === undefined) !== (terms.settlement.kind !== 'escrow')) {
    throw new TradingError(
      'wrong-escrow',
      'an escrow id goes with terms that settle through escrow, and with no others'
    )
  }
  const bytes = encodeTerms(terms)
  const sig = signStatement(agreementOf(terms, bytes, input), signer)
  const payload = { terms: bytes, sig, ...defined({ escrowId, deliverTo, note }) }
  return sealEvent({ order: orderIdOf(bytes), type: 'request', prev: [], atMs, payload }, signer)
}

/**
 * The next event of an order: linked to all that its author has seen, with the statement signed where there is one.
 * Refuses what the state does not allow to the signer.
 *
 * @throws {@link TradingError} `not-allowed`, or a code of {@link sealEvent}.
 */
export function createEvent(state: OrderState, input: EventInput, signer: Signer): AnyEvent {
  const role = partyOf(state, signer.publicKey)
  if (role === undefined || !state.allowed[role].includes(input.type)) {
    const options = role ? state.allowed[role].join(', ') || 'nothing' : 'nothing'
    throw new TradingError('not-allowed', `${input.type} is not allowed in ${state.phase}; you may: ${options}`)
  }
  const payload = { ...input.payload, ...computed(state, input, signer) }
  const draft = { order: state.order, type: input.type, prev: state.heads, atMs: input.atMs, payload } as EventDraft
  return sealEvent(draft, signer) as AnyEvent
}

/** What a key is in an order. */
export function partyOf({ terms }: OrderState, publicKey: Uint8Array): Party | undefined {
  if (sameBytes(publicKey, terms.buyer)) return 'buyer'
  return sameBytes(publicKey, terms.seller) ? 'seller' : undefined
}

function computed(state: OrderState, input: EventInput, signer: Signer) {
  const { terms, termsBytes } = state
  const escrowId = state.escrowId === undefined ? undefined : hexToBytes(state.escrowId.slice(2))
  if (input.type === 'accept') {
    const statement = agreementOf(terms, termsBytes, defined({ escrowId }))
    return { terms: termsHash(termsBytes), sig: signStatement(statement, signer) }
  }
  if (input.type !== 'confirm' && input.type !== 'close') return {}
  const atMs = input.type === 'confirm' ? input.atMs : confirmedAtMs(state)
  return { sig: signStatement(closingOf(terms, termsBytes, { escrowId, atMs }), signer) }
}

function confirmedAtMs({ confirmedAtMs: atMs }: OrderState): number {
  if (atMs === undefined) throw new TradingError('not-allowed', 'there is no confirmation to close')
  return atMs
}

function defined<T extends object>(
  fields: T
): { [K in keyof T as T[K] extends undefined ? never : K]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}
