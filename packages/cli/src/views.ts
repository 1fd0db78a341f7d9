/** How the API's views are written as rows and pages. */
import type { ListingView, OrderView } from '@souk/node'
import type { Column } from './table.ts'
import { moneyText, timeText, tokenText } from './text.ts'

/** Columns of a list of listings. */
export const listingColumns: readonly Column<ListingView>[] = [
  { name: 'key', of: ({ key }) => key },
  { name: 'title', of: ({ title }) => title },
  { name: 'price', of: ({ price }) => moneyText(price), right: true },
  { name: 'category', of: ({ category }) => category },
  { name: 'place', of: ({ place }) => placeText(place) },
  { name: 'seller', of: ({ nym }) => nym },
  { name: 'expires', of: ({ expiresAtMs }) => timeText(expiresAtMs), wide: true },
  { name: 'id', of: ({ id }) => id }
]

/** What is shown of one listing. */
export const listingDetails: readonly Column<ListingView>[] = [
  { name: 'title', of: ({ title }) => title },
  { name: 'price', of: ({ price }) => moneyText(price) },
  { name: 'quantity', of: ({ quantity }) => quantity },
  { name: 'condition', of: ({ itemCondition }) => itemCondition },
  { name: 'category', of: ({ category }) => category },
  { name: 'kind', of: ({ type, businessFunction, trade }) => `${type}, ${businessFunction}, ${trade}` },
  { name: 'place', of: ({ place }) => placeText(place) },
  {
    name: 'delivery',
    of: ({ delivery, price }) => delivery.map((way) => deliveryText(way, price?.currency)).join('\n')
  },
  { name: 'settlements', of: ({ settlements }) => settlements.map(settlementText).join('\n') },
  {
    name: 'photos',
    of: ({ images }) => images.map(({ image, width, height }) => `${image} ${width}×${height}`).join('\n')
  },
  { name: 'tags', of: ({ tags }) => tags.join(', ') },
  { name: 'seller', of: ({ nym, seller }) => `${nym} ${seller}` },
  { name: 'key', of: ({ key }) => key },
  { name: 'id', of: ({ id }) => id },
  { name: 'revision', of: ({ seq }) => seq },
  { name: 'created', of: ({ createdAtMs }) => timeText(createdAtMs) },
  { name: 'expires', of: ({ expiresAtMs }) => timeText(expiresAtMs) },
  { name: 'description', of: ({ description }) => description }
]

export const orderColumns: readonly Column<OrderView>[] = [
  { name: 'id', of: ({ id }) => id.slice(0, 12) },
  { name: 'role', of: ({ role }) => role },
  { name: 'phase', of: ({ phase }) => phase },
  { name: 'total', of: (order) => totalText(order), right: true },
  { name: 'title', of: ({ listing }) => listing.title },
  { name: 'waiting', of: (order) => waitingText(order) },
  { name: 'updated', of: ({ updatedAtMs }) => timeText(updatedAtMs) }
]

export const orderDetails: readonly Column<OrderView>[] = [
  { name: 'id', of: ({ id }) => id },
  { name: 'phase', of: ({ phase }) => phase },
  { name: 'reason', of: ({ reason }) => reason },
  { name: 'waiting', of: (order) => waitingText(order) },
  { name: 'allowed', of: ({ allowed }) => allowed.join(', ') },
  { name: 'role', of: ({ role }) => role },
  { name: 'title', of: ({ listing }) => listing.title },
  { name: 'listing', of: ({ listing }) => listing.key },
  { name: 'quantity', of: ({ quantity }) => quantity },
  { name: 'total', of: (order) => totalText(order) },
  { name: 'delivery', of: ({ delivery }) => delivery },
  { name: 'settlement', of: ({ settlement }) => settlement },
  { name: 'escrow', of: ({ escrow }) => (escrow === undefined ? '' : escrowText(escrow)) },
  { name: 'shipTo', of: ({ shipTo }) => shipTo },
  { name: 'tracking', of: ({ tracking }) => [tracking?.carrier, tracking?.code].filter(Boolean).join(' ') },
  { name: 'pickupCode', of: ({ pickupCode }) => pickupCode },
  { name: 'counterparty', of: ({ counterparty }) => counterparty },
  {
    name: 'letters',
    of: ({ letters, undelivered }) => `${letters}${undelivered === 0 ? '' : `, ${undelivered} not acknowledged`}`
  },
  { name: 'feedback', of: ({ feedback }) => feedbackText(feedback) },
  {
    name: 'legs',
    of: ({ legs }) => legs.map(({ from, to, what, state }) => `${from} → ${to}: ${what}, ${state}`).join('\n')
  },
  {
    name: 'timeline',
    of: ({ timeline }) => timeline.map(({ atMs, by, what }) => `${timeText(atMs)} ${by}: ${what}`).join('\n')
  }
]

/** In the token's own decimals, where the node knows them. */
export function totalText({ total, escrow }: Pick<OrderView, 'total' | 'escrow'>): string {
  return (escrow && amountText(escrow)) ?? moneyText(total)
}

function amountText({ amount, symbol, decimals }: NonNullable<OrderView['escrow']>): string | undefined {
  return symbol === undefined || decimals === undefined ? undefined : tokenText(amount, { symbol, decimals })
}

/** Who must act, by when, and what happens otherwise. */
export function waitingText({ waitingFor, role }: OrderView): string {
  if (waitingFor === undefined) return ''
  const who = waitingFor.role === role ? 'you' : waitingFor.role
  return `${who}: ${waitingFor.action} by ${timeText(waitingFor.byMs)}, otherwise ${waitingFor.otherwise}`
}

export function placeText(place: ListingView['place']): string {
  return place === undefined ? '' : [place.locality, place.region, place.country].filter(Boolean).join(', ')
}

function deliveryText(way: ListingView['delivery'][number], currency: string | undefined): string {
  if (way.kind !== 'ship') return way.kind
  const price = way.price === '0' || currency === undefined ? 'free' : moneyText({ minor: way.price, currency })
  const days = `${way.handlingDays} + ${way.transitDays} days`
  return `ship to ${way.to.length === 0 ? 'everywhere' : way.to.join(', ')}: ${price}, ${days}`
}

function settlementText(settlement: ListingView['settlements'][number]): string {
  switch (settlement.kind) {
    case 'none':
      return 'nothing to pay'
    case 'direct':
      return `direct: ${settlement.methods.join(', ')}`
    case 'escrow':
      return `escrow: ${settlement.price} of ${settlement.token} on ${settlement.chain}`
  }
}

function escrowText(escrow: NonNullable<OrderView['escrow']>): string {
  const { amount, token, chain, status, certainty } = escrow
  return `${status} (${certainty}): ${amountText(escrow) ?? `${amount} of ${token}`} on ${chain}`
}

function feedbackText({ given, received }: OrderView['feedback']): string {
  return [given === undefined ? '' : `given ${given}`, received === undefined ? '' : `received ${received}`]
    .filter((text) => text !== '')
    .join('\n')
}
