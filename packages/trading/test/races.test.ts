import { type Signer, signStatement } from '@souk/records'
import { describe, expect, test } from 'vitest'
import {
  type AnyEvent,
  closingOf,
  createEvent,
  encodeTerms,
  type EventInput,
  type EventType,
  type OrderState,
  sealEvent,
  TradingError
} from '../src/index.ts'
import {
  buyer,
  buyer as buyerSigner,
  day,
  escrowId,
  folded,
  hour,
  secret,
  seller,
  start,
  stranger,
  type Story,
  tell
} from './world.ts'

/** Each makes its event from the same state, neither having seen the other's. */
function race(story: Story, a: Say, b: Say): OrderState {
  const state = story.state()
  story.events.push(
    ...[a, b].map(([signer, input]) => createEvent(state, { atMs: story.nowMs, ...input } as EventInput, signer))
  )
  return story.state()
}

type Say = readonly [Signer, { readonly type: EventType; readonly payload: object; readonly atMs?: number }]

const say = (signer: Signer, type: EventType, payload: object = {}): Say => [signer, { type, payload }]
const funded = (): Story => tell('escrow').says('seller', 'accept').fact('funded').fact('accepted')
const paid = (): Story =>
  tell('direct').says('seller', 'accept').says('buyer', 'paid').says('seller', 'payment-received')
const shipped = (): Story => paid().says('seller', 'ship')

const races: readonly [string, () => OrderState, Partial<OrderState>][] = [
  [
    'acceptance beats an unseen withdrawal, which then cancels',
    () => race(tell('direct'), say(seller, 'accept', { unit: 0 }), say(buyer, 'withdraw')),
    { phase: 'CANCELLED', reason: 'cancelled-buyer' }
  ],
  [
    'delivery beats cancellation, direct',
    () => race(paid(), say(seller, 'ship'), say(buyer, 'cancel')),
    { phase: 'ACTIVE' }
  ],
  [
    'delivery beats cancellation, escrow',
    () => race(funded(), say(seller, 'ship'), say(buyer, 'cancel')),
    { phase: 'ACTIVE' }
  ],
  [
    'both cancel: the first by time, then by id',
    () =>
      race(
        paid(),
        [seller, { type: 'cancel', payload: {}, atMs: start + 1 }],
        [buyer, { type: 'cancel', payload: {}, atMs: start + 2 }]
      ),
    { phase: 'RETURNING' }
  ],
  [
    'consent beats objection',
    () => race(shipped(), say(buyer, 'confirm'), say(buyer, 'dispute', { reason: 'no' })),
    { phase: 'SETTLING' }
  ],
  ['consent beats refund', () => race(shipped(), say(buyer, 'confirm'), say(seller, 'refund')), { phase: 'SETTLING' }],
  [
    'refund beats objection',
    () => race(shipped(), say(seller, 'refund'), say(buyer, 'dispute', { reason: 'no' })),
    { phase: 'RETURNING' }
  ]
]

test.each(races)('%s', (_name, run, expected) => {
  expect(run()).toMatchObject(expected)
})

test('who ships after he has seen the cancellation has not shipped', () => {
  const story = paid().says('buyer', 'cancel')
  const { order, heads } = story.state()
  story.events.push(sealEvent({ order, type: 'ship', prev: heads, atMs: story.nowMs, payload: {} }, seller))
  expect(story.state().phase).toBe('RETURNING')
})

test('the chain beats what anybody says', () => {
  const story = tell('escrow').says('seller', 'accept').says('buyer', 'cancel')
  expect(story.state().phase).toBe('CANCELLED')
  story.fact('funded').fact('accepted').fact('dispatched')
  expect(story.state().phase).toBe('ACTIVE')
  story.fact('closed', { status: 'released', toSeller: 139_750_000n })
  expect(story.state()).toMatchObject({ phase: 'CLOSED', reason: 'accepted' })
})

test('a late acceptance is none, one in time that comes late is one', () => {
  const late = tell('direct')
  const { order, heads } = late.state()
  const accept = createEvent(late.state(), { type: 'accept', atMs: start + hour, payload: { unit: 0 } }, seller)
  expect(folded({ events: [...late.events, accept], facts: [] }, start + 2 * day + hour).phase).toBe('AGREED')
  const { sig, terms } = accept.payload as { sig: Uint8Array; terms: Uint8Array }
  const tooLate = sealEvent(
    { order, type: 'accept', prev: heads, atMs: start + 2 * day + 1, payload: { unit: 0, sig, terms } },
    seller
  )
  expect(folded({ events: [...late.events, tooLate], facts: [] }, start + 2 * day + hour)).toMatchObject({
    phase: 'VOID',
    reason: 'lapsed'
  })
})

test('nobody dates a thing before what he had seen', () => {
  const story = tell('direct')
    .after(2 * day)
    .says('buyer', 'withdraw')
  story.nowMs += 1
  const state = story.state()
  expect(state).toMatchObject({ phase: 'VOID', reason: 'withdrawn' })
  expect(state.timeline.map(({ atMs }) => atMs)).toEqual([start, start + 2 * day])
  const backdated = sealEvent(
    { order: state.order, type: 'cancel', prev: state.heads, atMs: start, payload: {} },
    seller
  )
  expect(folded({ events: [...story.events, backdated], facts: [] }, story.nowMs).timeline.at(-1)).toMatchObject({
    atMs: start + 2 * day
  })
})

test('a split through escrow needs both signatures on chain', () => {
  const sig = new Uint8Array(65).fill(2)
  const bare = funded().says('seller', 'settle-offer', { toSeller: '1' })
  const offer = Buffer.from(bare.events.at(-1)?.id ?? '', 'hex')
  expect(bare.says('buyer', 'settle-accept', { offer: new Uint8Array(offer) }).state().phase).toBe('FUNDED')
  const signed = funded().says('seller', 'settle-offer', { toSeller: '1', escrowSig: sig })
  const id = new Uint8Array(Buffer.from(signed.events.at(-1)?.id ?? '', 'hex'))
  const state = signed.says('buyer', 'settle-accept', { offer: id, escrowSig: sig }).state()
  expect(state.phase).toBe('SETTLING')
  expect(state.chainActions).toEqual(
    ['buyer', 'seller'].map((by) => ({ by, do: 'settle', split: { toSeller: 1n, buyerSig: sig, sellerSig: sig } }))
  )
  expect(signed.fact('closed', { status: 'settled', toSeller: 1n, toBuyer: 1n }).state()).toMatchObject({
    phase: 'CLOSED',
    reason: 'settled'
  })
})

describe('equivocation', () => {
  const twice = (story: Story, signer: Signer, type: EventType, payloads: readonly [object, object]): Story => {
    const state = story.state()
    story.events.push(
      ...payloads.map((payload) => createEvent(state, { type, atMs: story.nowMs, payload } as EventInput, signer))
    )
    return story
  }

  test('is kept as proof, and one counts', () => {
    const story = twice(paid(), seller, 'ship', [{ tracking: 'A' }, { tracking: 'B' }])
    const [first] = story.state().equivocations
    expect(first).toMatchObject({ role: 'seller', type: 'ship' })
    const ids = story.events.slice(-2).map(({ id }) => id)
    expect(first?.events.toSorted()).toEqual(ids.toSorted())
    const counted = story.events.find(({ id }) => id === first?.events[0]) as AnyEvent
    expect(story.state().shipment?.tracking).toBe((counted.payload as { tracking: string }).tracking)
    expect(story.state().phase).toBe('ACTIVE')
  })

  test('what the other has built upon cannot be taken back', () => {
    for (const index of [0, 1] as const) {
      const story = twice(paid(), seller, 'ship', [{ tracking: 'A' }, { tracking: 'B' }])
      const kept = story.events.filter((_, at) => at !== story.events.length - 1 - index)
      const seen = folded({ events: kept, facts: [] }, story.nowMs)
      const confirm = createEvent(seen, { type: 'confirm', atMs: story.nowMs, payload: {} }, buyer)
      const state = folded({ events: [...story.events, confirm], facts: [] }, story.nowMs)
      expect(state.shipment).toEqual(seen.shipment)
    }
  })

  test('an equal duplicate is none', () => {
    const story = shipped()
    story.events.push(...story.events)
    expect(story.state().equivocations).toEqual([])
  })
})

describe('forgery', () => {
  const forged: readonly [string, string, () => Story, Signer, EventType, (state: OrderState) => object][] = [
    ['stranger', 'a stranger accepts', () => tell('direct'), stranger, 'decline', () => ({})],
    ['stranger', 'a stranger confirms', shipped, stranger, 'confirm', closing(stranger)],
    [
      'wrong-role',
      'the buyer says that the money came',
      () => tell('direct').says('seller', 'accept'),
      buyer,
      'payment-received',
      () => ({})
    ],
    ['wrong-role', 'the seller confirms', shipped, seller, 'confirm', closing(seller)],
    ['wrong-role', 'the buyer ships', paid, buyer, 'ship', () => ({})],
    [
      'wrong-role',
      'the seller says paid',
      () => tell('direct').says('seller', 'accept'),
      seller,
      'paid',
      () => ({ method: 'bank' })
    ],
    ['wrong-trade', 'a handover of a parcel', paid, seller, 'handover', () => ({ secret })],
    [
      'wrong-trade',
      'cash beside the escrow',
      () => tell('escrow').says('seller', 'accept'),
      buyer,
      'paid',
      () => ({ method: 'bank' })
    ],
    [
      'wrong-secret',
      'a guessed secret',
      () => tell('direct pick-up').says('seller', 'accept'),
      seller,
      'handover',
      () => ({ secret: new Uint8Array(16) })
    ],
    [
      'wrong-terms',
      'other terms accepted',
      () => tell('direct'),
      seller,
      'accept',
      () => ({ terms: new Uint8Array(32), sig: new Uint8Array(64), unit: 0 })
    ],
    [
      'bad-statement',
      'an acceptance that signs nothing',
      () => tell('direct'),
      seller,
      'accept',
      (state) => ({ terms: hexBytes(state.order), sig: new Uint8Array(64), unit: 0 })
    ],
    ['bad-statement', 'a confirmation signed by another', shipped, buyer, 'confirm', closing(stranger)],
    ['no-cause', 'a closing of nothing', shipped, seller, 'close', closing(seller)],
    [
      'no-cause',
      'an answer to one’s own offer',
      () => paid().says('buyer', 'settle-offer'),
      buyer,
      'settle-accept',
      (state) => ({ offer: hexBytes(state.heads[0] ?? '') })
    ]
  ]

  test.each(forged)('%s: %s', (code, _name, make, signer, type, payload) => {
    const story = make()
    const honest = story.state()
    const draft = {
      order: honest.order,
      type,
      prev: honest.heads,
      atMs: story.nowMs,
      payload: payload(honest) as never
    }
    const event = sealEvent(draft, signer) as AnyEvent
    story.events.push(event)
    const state = story.state()
    expect(state.refused).toEqual([{ id: event.id, code }])
    expect({ ...state, refused: [] }).toEqual(honest)
  })

  test('what follows a forgery waits for ever', () => {
    const story = paid()
    const { order, heads } = story.state()
    const forgery = sealEvent({ order, type: 'ship', prev: heads, atMs: story.nowMs, payload: {} }, buyer)
    const follower = sealEvent({ order, type: 'refund', prev: [forgery.id], atMs: story.nowMs, payload: {} }, seller)
    story.events.push(forgery, follower)
    expect(story.state()).toMatchObject({ phase: 'FUNDED', waiting: [follower.id], missing: [] })
  })

  test('a request whose terms name another buyer is no order', () => {
    const story = tell('direct')
    const [request] = story.events as [AnyEvent]
    const { payload, order, atMs } = request
    const stolen = sealEvent({ order, type: 'request', prev: [], atMs, payload: payload as never }, stranger)
    expect(() => folded({ events: [stolen], facts: [] }, start)).toThrow('no request')
    const both = folded({ events: [stolen, request], facts: [] }, start)
    expect(both.refused).toEqual([{ id: stolen.id, code: 'stranger' }])
  })

  test('createEvent refuses what is not allowed', () => {
    const state = tell('direct').state()
    const tries: readonly [Signer, EventType][] = [
      [buyerSigner, 'accept'],
      [stranger, 'withdraw'],
      [seller, 'ship']
    ]
    for (const [signer, type] of tries) {
      expect(() => createEvent(state, { type, atMs: start, payload: {} } as EventInput, signer)).toThrow(TradingError)
    }
  })
})

function closing(signer: Signer): (state: OrderState) => object {
  return (state) => ({
    sig: signStatement(closingOf(state.terms, encodeTerms(state.terms), { escrowId, atMs: start }), signer)
  })
}

function hexBytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

test('facts about another escrow are not about this order', () => {
  const story = tell('escrow').says('seller', 'accept')
  const before = story.state()
  story.fact('funded', { escrowId: `0x${'00'.repeat(32)}` })
  expect(story.state()).toEqual(before)
})

test('nobody ships while the money may still be undone', () => {
  const seen = tell('escrow')
    .says('seller', 'accept')
    .fact('funded', { final: false })
    .fact('accepted', { final: false })
  expect(seen.state().allowed.seller).not.toContain('ship')
  expect(funded().state().allowed.seller).toContain('ship')
})

test('an extension moves the deadline', () => {
  const story = funded()
  const byMs = story.state().waitingFor?.byMs ?? 0
  story.fact('extended', { deadlineMs: byMs + day })
  expect(story.state().waitingFor?.byMs).toBe(byMs + day)
})
