import type { TokenInit } from './config.ts'
import type { OrderAction, OrderView } from './order.ts'
import type { HeldOrder } from './order-book.ts'
import { codeFromSecret } from './pickup-code.ts'

/** What a view says that the order itself does not. */
export interface KnownOfOrder extends Pick<OrderView, 'undelivered' | 'letters' | 'feedback'> {
  /** The token that it settles in, where this node is set up for it. */
  readonly token: Pick<TokenInit, 'symbol' | 'decimals'> | undefined
}

/** What a person sees of an order, from their side of it. */
export function orderView(held: HeldOrder, { token, ...known }: KnownOfOrder): OrderView {
  const { state, role, counterparty, listing, updatedAtMs } = held
  const { terms, waitingFor } = state
  return {
    id: state.order,
    role,
    counterparty,
    listing: { id: listing.id, key: listing.key, title: listing.content?.title ?? '' },
    quantity: terms.quantity,
    total: terms.total,
    delivery: terms.delivery.kind,
    settlement: terms.settlement.kind,
    phase: state.phase,
    ...(state.reason === undefined ? {} : { reason: state.reason }),
    legs: state.legs.map(({ from, to, what, state: legState }) => ({ from, to, what, state: legState })),
    ...(waitingFor === undefined
      ? {}
      : {
          waitingFor: {
            role: waitingFor.role,
            action: waitingFor.action,
            byMs: waitingFor.byMs,
            otherwise: waitingFor.thenWhat
          }
        }),
    allowed: actionsOf(held),
    timeline: state.timeline.map(({ atMs, who, what }) => ({ atMs, by: who, what })),
    ...escrowOf(held, token),
    ...pickupCodeOf(held),
    ...(state.private.deliverTo === undefined ? {} : { shipTo: state.private.deliverTo }),
    ...(state.shipment === undefined
      ? {}
      : { tracking: { carrier: state.shipment.carrier, code: state.shipment.tracking } }),
    ...known,
    updatedAtMs
  }
}

/** Events by the name that people know them by; those that nodes exchange by themselves have none. */
const actionNames: Readonly<Record<string, OrderAction['action']>> = {
  accept: 'accept',
  decline: 'decline',
  withdraw: 'cancel',
  cancel: 'cancel',
  paid: 'paid',
  'payment-received': 'payment-received',
  ship: 'ship',
  handover: 'handover',
  confirm: 'confirm',
  refund: 'refund',
  'refund-received': 'refund-received'
}

function actionsOf({ state, role }: HeldOrder): OrderAction['action'][] {
  const unpaid = state.escrowId !== undefined && state.chain?.final !== true
  const names = state.allowed[role].flatMap((type) => actionNames[type] ?? [])
  return [...new Set(names)].filter((name) => !unpaid || (name !== 'ship' && name !== 'handover'))
}

function escrowOf({ state }: HeldOrder, known: KnownOfOrder['token']): Pick<OrderView, 'escrow'> {
  const { settlement, total } = state.terms
  if (settlement.kind !== 'escrow' || state.escrowId === undefined) return {}
  const { chain, contract, order } = settlement
  const certainty = state.chain === undefined ? 'none' : state.chain.final ? 'final' : 'seen'
  const status = state.chain?.status ?? 'none'
  const token = { token: order.token, ...(known && { symbol: known.symbol, decimals: known.decimals }) }
  return { escrow: { chain, contract, id: state.escrowId, ...token, amount: total.minor, status, certainty } }
}

function pickupCodeOf({ note, role }: HeldOrder): Pick<OrderView, 'pickupCode'> {
  return role === 'buyer' && note.pickupSecret !== undefined ? { pickupCode: codeFromSecret(note.pickupSecret) } : {}
}
