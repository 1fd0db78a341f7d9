import { openReceipt } from '@souk/records'
import { describe, expect, test } from 'vitest'
import { explain, type OrderState, receiptOf } from '../src/index.ts'
import { day, hour, type Story, tell } from './world.ts'

const pending = { toSeller: 0n, toBuyer: 0n }

/** What a story ends with; fields that are left out are not looked at. */
interface Ending {
  readonly phase: OrderState['phase']
  readonly reason?: OrderState['reason']
  readonly leg?: OrderState['legs'][number]['state']
  readonly role?: string
  readonly action?: string
  readonly steps?: readonly string[]
  readonly thenWhat?: string
}

const funded = (): Story =>
  tell('escrow').after(hour).says('seller', 'accept').after(hour).fact('funded').fact('accepted')
const dispatched = (): Story => funded().after(day).says('seller', 'ship').after(hour).fact('dispatched')
const paid = (): Story =>
  tell('direct')
    .after(hour)
    .says('seller', 'accept')
    .after(day)
    .says('buyer', 'paid')
    .after(day)
    .says('seller', 'payment-received')
const shipped = (): Story => paid().after(day).says('seller', 'ship')
const released = (story: Story): Story =>
  story.fact('closed', { status: 'released', toSeller: 139_750_000n, toBuyer: 0n })
const refunded = (story: Story): Story =>
  story.fact('closed', { status: 'refunded', toSeller: 0n, toBuyer: 139_750_000n })

const stories: readonly [string, () => Story, Ending][] = [
  [
    'a request waits for the seller',
    () => tell('direct'),
    { phase: 'REQUESTED', role: 'seller', action: 'accept', thenWhat: 'lapsed' }
  ],
  ['the seller declines', () => tell('direct').says('seller', 'decline'), { phase: 'VOID', reason: 'declined' }],
  ['the buyer withdraws', () => tell('direct').says('buyer', 'withdraw'), { phase: 'VOID', reason: 'withdrawn' }],
  ['nobody answers', () => tell('direct').after(2 * day + 1), { phase: 'VOID', reason: 'lapsed' }],
  ['the last moment to answer', () => tell('direct').after(2 * day), { phase: 'REQUESTED' }],

  // direct, shipped
  [
    'agreed',
    () => tell('direct').says('seller', 'accept'),
    { phase: 'AGREED', role: 'buyer', action: 'paid', thenWhat: 'no-fund' }
  ],
  [
    'never paid',
    () =>
      tell('direct')
        .says('seller', 'accept')
        .after(3 * day + 1),
    { phase: 'VOID', reason: 'no-fund' }
  ],
  [
    'the buyer cancels before paying',
    () => tell('direct').says('seller', 'accept').says('buyer', 'cancel'),
    { phase: 'CANCELLED', reason: 'cancelled-buyer' }
  ],
  [
    'the seller cancels before payment',
    () => tell('direct').says('seller', 'accept').says('seller', 'cancel'),
    { phase: 'CANCELLED', reason: 'cancelled-seller' }
  ],
  [
    'the buyer says paid',
    () => tell('direct').says('seller', 'accept').says('buyer', 'paid'),
    { phase: 'AGREED', role: 'seller', action: 'payment-received', thenWhat: 'late' }
  ],
  [
    'the seller never says that it came',
    () =>
      tell('direct')
        .says('seller', 'accept')
        .says('buyer', 'paid')
        .after(12 * day + 1),
    { phase: 'CLOSED', reason: 'no-show' }
  ],
  ['paid and received', paid, { phase: 'FUNDED', role: 'seller', action: 'ship', thenWhat: 'late' }],
  ['late, but not lost', () => paid().after(4 * day + 1), { phase: 'FUNDED', thenWhat: 'no-show' }],
  ['never shipped', () => paid().after(11 * day + 1), { phase: 'CLOSED', reason: 'no-show' }],
  [
    'cancelled after payment',
    () => paid().says('buyer', 'cancel'),
    { phase: 'RETURNING', role: 'seller', action: 'refund' }
  ],
  [
    'cancelled and refunded',
    () => paid().says('buyer', 'cancel').says('seller', 'refund').says('buyer', 'refund-received'),
    { phase: 'CANCELLED', reason: 'cancelled-buyer' }
  ],
  [
    'cancelled and never refunded',
    () =>
      paid()
        .says('buyer', 'cancel')
        .after(14 * day + 1),
    { phase: 'CLOSED', reason: 'unresolved' }
  ],
  [
    'shipped',
    shipped,
    { phase: 'ACTIVE', leg: 'STARTED', role: 'buyer', action: 'confirm', thenWhat: 'accepted-by-timeout' }
  ],
  [
    'the buyer is silent',
    () => shipped().after(14 * day + 1),
    { phase: 'CLOSED', reason: 'accepted-by-timeout', leg: 'ACCEPTED' }
  ],
  [
    'confirmed',
    () => shipped().after(day).says('buyer', 'confirm'),
    { phase: 'SETTLING', role: 'seller', action: 'close' }
  ],
  [
    'happy, direct',
    () => shipped().after(day).says('buyer', 'confirm').says('seller', 'close'),
    { phase: 'CLOSED', reason: 'accepted', leg: 'ACCEPTED' }
  ],
  [
    'the seller never closes',
    () =>
      shipped()
        .says('buyer', 'confirm')
        .after(7 * day + 1),
    { phase: 'CLOSED', reason: 'accepted' }
  ],
  [
    'the seller gives it back',
    () => shipped().says('seller', 'refund'),
    { phase: 'RETURNING', role: 'buyer', action: 'refund-received' }
  ],
  [
    'given back and silent',
    () =>
      shipped()
        .says('seller', 'refund')
        .after(14 * day + 1),
    { phase: 'CLOSED', reason: 'refunded' }
  ],
  [
    'the refund does not come',
    () => shipped().says('seller', 'refund').after(day).says('buyer', 'dispute'),
    { phase: 'DISPUTED' }
  ],
  [
    'the buyer objects',
    () => shipped().says('buyer', 'dispute'),
    { phase: 'DISPUTED', leg: 'REJECTED', thenWhat: 'unresolved' }
  ],
  [
    'nobody gives in',
    () =>
      shipped()
        .says('buyer', 'dispute')
        .after(30 * day + 1),
    { phase: 'CLOSED', reason: 'unresolved' }
  ],

  // direct, picked up
  [
    'cash at the door',
    () => tell('direct pick-up').says('seller', 'accept'),
    { phase: 'AGREED', role: 'seller', action: 'handover' }
  ],
  [
    'handed over',
    () => tell('direct pick-up').says('seller', 'accept').after(day).says('seller', 'handover'),
    { phase: 'SETTLING', leg: 'ACCEPTED', role: 'buyer', action: 'confirm' }
  ],
  [
    'happy, picked up',
    () =>
      tell('direct pick-up')
        .says('seller', 'accept')
        .after(day)
        .says('seller', 'handover')
        .says('buyer', 'confirm')
        .says('seller', 'close'),
    { phase: 'CLOSED', reason: 'accepted' }
  ],
  [
    'nobody came',
    () =>
      tell('direct pick-up')
        .says('seller', 'accept')
        .after(14 * day + 1),
    { phase: 'CLOSED', reason: 'no-show' }
  ],

  // escrow, shipped
  [
    'agreed, to be funded',
    () => tell('escrow').says('seller', 'accept'),
    { phase: 'AGREED', role: 'buyer', action: 'fund', steps: ['buyer fund'] }
  ],
  [
    'never funded',
    () =>
      tell('escrow')
        .says('seller', 'accept')
        .after(2 * day + 1),
    { phase: 'VOID', reason: 'no-fund', steps: [] }
  ],
  [
    'cancelled before funding',
    () => tell('escrow').says('seller', 'accept').says('seller', 'cancel'),
    { phase: 'CANCELLED', reason: 'cancelled-seller', steps: ['seller revoke'] }
  ],
  [
    'revoked on chain',
    () =>
      tell('escrow')
        .says('seller', 'accept')
        .fact('closed', { status: 'refunded', ...pending }),
    { phase: 'CANCELLED', reason: 'revoked' }
  ],
  ['funded', funded, { phase: 'FUNDED', role: 'seller', action: 'ship', thenWhat: 'refunded', steps: [] }],
  [
    'funded while the shop sleeps',
    () => tell('escrow').fact('funded'),
    { phase: 'FUNDED', role: 'seller', action: 'accept', steps: [] }
  ],
  [
    'accepted after funding',
    () => tell('escrow').fact('funded').after(hour).says('seller', 'accept'),
    { phase: 'FUNDED', steps: ['seller accept'] }
  ],
  [
    'cancelled before acceptance',
    () => tell('escrow').fact('funded').after(hour).says('buyer', 'withdraw'),
    { phase: 'RETURNING', steps: ['buyer cancel'] }
  ],
  [
    'cancelled on chain',
    () => refunded(tell('escrow').fact('funded').after(hour).says('buyer', 'withdraw')),
    { phase: 'CANCELLED', reason: 'cancelled-buyer' }
  ],
  [
    'declined after funding',
    () => refunded(tell('escrow').fact('funded').says('seller', 'decline')),
    { phase: 'VOID', reason: 'declined' }
  ],
  [
    'the shop never woke',
    () =>
      tell('escrow')
        .fact('funded')
        .after(2 * day + 1),
    { phase: 'RETURNING', steps: ['buyer timeout'] }
  ],
  [
    'the shop never woke, money back',
    () =>
      refunded(
        tell('escrow')
          .fact('funded')
          .after(2 * day + hour)
      ),
    { phase: 'VOID', reason: 'lapsed' }
  ],
  [
    'the seller is silent after funding',
    () => funded().after(4 * day + 1),
    { phase: 'RETURNING', role: 'buyer', action: 'timeout', steps: ['buyer timeout'] }
  ],
  [
    'timeout pays the buyer back',
    () => refunded(funded().after(4 * day + hour)),
    { phase: 'CLOSED', reason: 'refunded', steps: [] }
  ],
  [
    'the seller gives it back',
    () => funded().says('seller', 'refund'),
    { phase: 'RETURNING', steps: ['seller refund'] }
  ],
  [
    'the seller cancelled after funding',
    () => refunded(funded().says('seller', 'cancel')),
    { phase: 'CANCELLED', reason: 'cancelled-seller' }
  ],
  [
    'shipped, not yet on chain',
    () => funded().says('seller', 'ship'),
    { phase: 'ACTIVE', leg: 'STARTED', steps: ['seller dispatch'] }
  ],
  [
    'on the way',
    dispatched,
    { phase: 'ACTIVE', role: 'buyer', action: 'confirm', thenWhat: 'accepted-by-timeout', steps: [] }
  ],
  [
    'confirmed, to be released',
    () => dispatched().says('buyer', 'confirm'),
    { phase: 'SETTLING', leg: 'ACCEPTED', steps: ['buyer release'] }
  ],
  [
    'happy, escrow',
    () => released(dispatched().after(day).says('buyer', 'confirm')).says('seller', 'close'),
    { phase: 'CLOSED', reason: 'accepted', leg: 'ACCEPTED' }
  ],
  ['the buyer is silent', () => dispatched().after(14 * day + 1), { phase: 'SETTLING', steps: ['seller timeout'] }],
  [
    'the buyer was silent',
    () => released(dispatched().after(14 * day + hour)),
    { phase: 'CLOSED', reason: 'accepted-by-timeout' }
  ],
  ['the buyer objects', () => dispatched().says('buyer', 'dispute'), { phase: 'DISPUTED', steps: ['buyer dispute'] }],
  [
    'disputed on chain',
    () => dispatched().says('buyer', 'dispute').fact('disputed'),
    { phase: 'DISPUTED', role: 'arbiter', action: 'rule', thenWhat: 'defaulted' }
  ],
  [
    'ruled',
    () =>
      dispatched()
        .says('buyer', 'dispute')
        .fact('disputed')
        .fact('closed', { status: 'ruled', toSeller: 1n, toBuyer: 9n }),
    { phase: 'CLOSED', reason: 'ruled-buyer' }
  ],
  [
    'nobody rules',
    () =>
      dispatched()
        .says('buyer', 'dispute')
        .fact('disputed')
        .after(30 * day + 1),
    { phase: 'DISPUTED', steps: ['buyer timeout', 'seller timeout'] }
  ],
  [
    'defaulted',
    () => dispatched().fact('disputed').fact('closed', { status: 'defaulted', toSeller: 5n, toBuyer: 5n }),
    { phase: 'CLOSED', reason: 'defaulted' }
  ],

  // escrow, picked up
  [
    'handed over, to be released',
    () => tell('escrow pick-up').says('seller', 'accept').fact('funded').fact('accepted').says('seller', 'handover'),
    { phase: 'SETTLING', leg: 'ACCEPTED', steps: ['buyer release', 'seller dispatch'] }
  ],
  [
    'nobody came for it',
    () =>
      tell('escrow pick-up')
        .says('seller', 'accept')
        .fact('funded')
        .fact('accepted')
        .after(7 * day + 1),
    { phase: 'RETURNING', steps: ['buyer timeout'] }
  ]
]

describe('stories', () => {
  test.each(stories)('%s', (_name, make, ending) => {
    const state = make().state()
    const { waitingFor } = state
    const found = {
      phase: state.phase,
      reason: state.reason,
      leg: state.legs[0]?.state,
      role: waitingFor?.role,
      action: waitingFor?.action,
      thenWhat: waitingFor?.thenWhat,
      steps: state.chainActions.map((step) => `${step.by} ${step.do}`)
    }
    expect(found).toMatchObject(ending)
    expect(explain(state)).toMatch(/^[A-Z].*\.$/)
  })

  test('a happy order ends with both receipts, and they hold', () => {
    const state = released(dispatched().says('buyer', 'confirm')).says('seller', 'close').state()
    expect(openReceipt(receiptOf(state)).statement.type).toBe('closing')
    expect(openReceipt(state.receipts.agreement ?? receiptOf(state)).statement.type).toBe('agreement')
    expect(receiptOf(state).settled?.logIndex).toBe(3)
  })
})
