/** A seller, a buyer, a listing, and a chain that says what a test wants: everything that a story is made of. */
import { type ContentOf, identityFromPhrase, sameBytes, sealRecord, type Signer } from '@souk/records'
import { sha256 } from '@noble/hashes/sha2.js'
import { hexToBytes } from '@noble/hashes/utils.js'
import {
  type AnyEvent,
  type ChainFact,
  type Choice,
  createEvent,
  createRequest,
  type EventInput,
  type EventType,
  fold,
  type Listing,
  type LocalConfig,
  type OrderState,
  type Party,
  type Terms,
  termsFromListing
} from '../src/index.ts'

export const second = 1000
export const hour = 3600 * second
export const day = 24 * hour
/** A Monday at noon, a whole second. */
export const start = Date.UTC(2026, 0, 5, 12)

const signers: { readonly [name: string]: Signer } = {
  buyer: identityFromPhrase('legal winner thank year wave sausage worth useful legal winner thank yellow').signer,
  seller: identityFromPhrase('letter advice cage absurd amount doctor acoustic avoid letter advice cage above').signer,
  stranger: identityFromPhrase('zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong').signer
}

export const buyer = signers['buyer'] as Signer
export const seller = signers['seller'] as Signer
export const stranger = signers['stranger'] as Signer

export const chain = 'eip155:31337'
export const contract = `0x${'c0'.repeat(20)}` as const
export const coin = `0x${'00'.repeat(20)}` as const
export const usdc = `0x${'a1'.repeat(20)}` as const
export const buyerAddress = `0x${'b0'.repeat(20)}` as const
export const sellerAddress = `0x${'5e'.repeat(20)}` as const
export const arbiterAddress = `0x${'ab'.repeat(20)}` as const
export const escrowId = sha256(new TextEncoder().encode('an escrow'))
export const escrowHex = `0x${Array.from(escrowId, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
export const secret = new Uint8Array(16).fill(7)
export const salt = new Uint8Array(32).fill(9)

export const content: ContentOf<'listing'> = {
  type: 'Offer',
  businessFunction: 'Sell',
  trade: 'fixed-price',
  title: 'A field camera, 1974',
  description: 'Shutter tested at all speeds.',
  language: 'en',
  category: 'el',
  itemCondition: 'Used',
  price: { minor: '12000', currency: 'EUR' },
  unit: 'C62',
  quantity: 3,
  images: [],
  delivery: [{ kind: 'ship', price: '900', to: ['PT', 'ES'], handlingDays: 2, transitDays: 5 }, { kind: 'pick-up' }],
  settlements: [
    { kind: 'escrow', chain, contract, token: coin, seller: sellerAddress, price: '50000000000000000' },
    { kind: 'escrow', chain, contract, token: usdc, seller: sellerAddress, price: '130000000' },
    { kind: 'direct', methods: ['bank', 'cash'] }
  ],
  arbitrators: [{ identity: stranger.publicKey, address: arbiterAddress }],
  tags: []
}

export function listingWith(changes: Partial<ContentOf<'listing'>> = {}): Listing {
  return sealRecord(
    {
      kind: 'listing',
      market: 'main',
      key: 'el.4f7c09a1',
      seq: 1,
      createdAtMs: start - day,
      expiresAtMs: start + 20 * day,
      content: { ...content, ...changes }
    },
    seller,
    // What work proves is no matter of an order, and vectors with the same bytes need no search.
    { workBits: 0 }
  )
}

export const config: LocalConfig = {
  nowMs: start,
  chains: [{ chain, contract, tokens: [{ address: coin }, { address: usdc, amountMax: 500_000_000n }] }]
}

export const choices = {
  direct: {
    buyer: buyer.publicKey,
    quantity: 1,
    delivery: { kind: 'ship', country: 'PT' },
    settlement: { kind: 'direct' },
    salt,
    nowMs: start
  },
  escrow: {
    buyer: buyer.publicKey,
    quantity: 1,
    delivery: { kind: 'ship', country: 'PT' },
    settlement: { kind: 'escrow', chain, token: usdc, buyerAddress, arbiter: arbiterAddress },
    salt,
    nowMs: start
  },
  'direct pick-up': {
    buyer: buyer.publicKey,
    quantity: 1,
    delivery: { kind: 'pick-up' },
    settlement: { kind: 'direct' },
    salt,
    nowMs: start,
    pickupHash: sha256(secret)
  },
  'escrow pick-up': {
    buyer: buyer.publicKey,
    quantity: 1,
    delivery: { kind: 'pick-up' },
    settlement: { kind: 'escrow', chain, token: coin, buyerAddress },
    salt,
    nowMs: start,
    pickupHash: sha256(secret)
  }
} satisfies Record<string, Choice>

export type ChoiceName = keyof typeof choices

export function termsOf(choice: ChoiceName, changes: Partial<Choice> = {}): Terms {
  return termsFromListing(listingWith(), { ...choices[choice], ...changes })
}

/** What happens in a story, in the order in which it happens. */
export interface Happening {
  readonly events: AnyEvent[]
  readonly facts: ChainFact[]
}

/** Payloads that need no more than their type. */
const payloads: { readonly [type: string]: object } = {
  accept: { unit: 0, escrowSig: new Uint8Array(65).fill(1) },
  paid: { method: 'bank', reference: 'RF18 5390' },
  ship: { carrier: 'CTT', tracking: 'RR123456785PT' },
  handover: { secret },
  dispute: { reason: 'It is another camera.' },
  'settle-offer': { toSeller: '6000' }
}

const split = new Uint8Array(65).fill(2)

/** A payload that has its type's shape, and answers the other's last offer where it has to. */
export function payloadOf(type: EventType, { by, events }: { by: Party; events: readonly AnyEvent[] }): object {
  if (type === 'settle-offer') return { toSeller: '6000', escrowSig: split }
  if (type !== 'settle-accept') return payloads[type] ?? {}
  const own = by === 'buyer' ? buyer : seller
  const offer = events.findLast((event) => event.type === 'settle-offer' && !sameBytes(event.author, own.publicKey))
  return { offer: hexToBytes(offer?.id ?? '00'.repeat(32)), escrowSig: split }
}

/** A story in the making: time goes on, each party says things in the knowledge of all that was said before. */
export interface Story extends Happening {
  nowMs: number
  readonly terms: Terms
  after(ms: number): Story
  says(role: Party, type: EventInput['type'], payload?: object): Story
  fact(kind: ChainFact['kind'], changes?: Partial<ChainFact>): Story
  state(): OrderState
}

export function tell(choice: ChoiceName): Story {
  const terms = termsOf(choice)
  const isEscrow = terms.settlement.kind === 'escrow'
  const request = createRequest(
    { terms, atMs: start, deliverTo: 'Ana, Rua 1, Porto', ...(isEscrow && { escrowId }) },
    buyer
  )
  const story: Story = {
    nowMs: start,
    terms,
    events: [request],
    facts: [],
    after(ms) {
      story.nowMs += ms
      return story
    },
    says(role, type, payload) {
      const input = { type, atMs: story.nowMs, payload: payload ?? payloads[type] ?? {} } as EventInput
      story.events.push(createEvent(story.state(), input, role === 'buyer' ? buyer : seller))
      return story
    },
    fact(kind, changes) {
      story.facts.push(factOf(terms, { kind, atMs: story.nowMs, place: story.facts.length, ...changes }))
      return story
    },
    state() {
      return folded(story, story.nowMs)
    }
  }
  return story
}

/** A fact with the deadline that the contract would set. */
export function factOf(
  terms: Terms,
  { kind, atMs, place, ...changes }: Partial<ChainFact> & { kind: ChainFact['kind']; atMs: number; place: number }
): ChainFact {
  const deadlineMs = deadlineAfter(terms, kind, atMs)
  return {
    escrowId: escrowHex,
    kind,
    ...(deadlineMs !== undefined && { deadlineMs }),
    tx: `0x${place.toString(16).padStart(64, '0')}`,
    logIndex: place,
    blockTimeMs: atMs,
    final: true,
    ...changes
  }
}

function deadlineAfter({ settlement }: Terms, kind: ChainFact['kind'], atMs: number): number | undefined {
  if (settlement.kind !== 'escrow') return undefined
  const { order } = settlement
  if (kind === 'funded') return order.acceptBy * second
  if (kind === 'accepted') return atMs + order.dispatchWindow * second
  if (kind === 'dispatched') return atMs + order.releaseWindow * second
  return kind === 'disputed' ? atMs + order.rulingWindow * second : undefined
}

export function folded({ events, facts }: Happening, nowMs: number): OrderState {
  const state = fold(events, facts, nowMs)
  if (state === undefined) throw new Error('the story has no request')
  return state
}

/** One text for one state: bytes as hex, amounts as digits, links as text. */
export function printed(state: unknown): string {
  return JSON.stringify(state, jsonOf, 1)
}

export function jsonOf(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return value
}

export { encodeCanonical as encode } from '@souk/records'
