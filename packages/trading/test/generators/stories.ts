import { bytesToHex } from '@noble/hashes/utils.js'
import type { ChainFact, OrderState } from '../../src/index.ts'
import { day, hour, type Story, tell } from '../world.ts'

/** A set of events and facts, and what it folds to. Amounts are decimal digits. */
export interface StoryVector {
  readonly name: string
  readonly nowMs: number
  readonly events: readonly string[]
  readonly facts: readonly (Omit<ChainFact, 'toSeller' | 'toBuyer'> & { toSeller?: string; toBuyer?: string })[]
  readonly state: ReturnType<typeof summaryOf>
}

const stories: { readonly [name: string]: () => Story } = {
  'shipped and settled through escrow': () =>
    tell('escrow')
      .after(hour)
      .says('seller', 'accept')
      .after(hour)
      .fact('funded')
      .fact('accepted')
      .after(day)
      .says('seller', 'ship')
      .after(hour)
      .fact('dispatched')
      .after(5 * day)
      .says('buyer', 'confirm')
      .after(hour)
      .fact('closed', { status: 'released', toSeller: 139_750_000n, toBuyer: 0n })
      .after(hour)
      .says('seller', 'close'),
  'shipped and settled directly': () =>
    tell('direct')
      .after(hour)
      .says('seller', 'accept')
      .after(day)
      .says('buyer', 'paid')
      .after(day)
      .says('seller', 'payment-received')
      .after(day)
      .says('seller', 'ship')
      .after(4 * day)
      .says('buyer', 'confirm')
      .says('seller', 'close'),
  'picked up, cash at the door': () =>
    tell('direct pick-up').after(hour).says('seller', 'accept').after(day).says('seller', 'handover'),
  'funded and never shipped': () =>
    tell('escrow')
      .says('seller', 'accept')
      .fact('funded')
      .fact('accepted')
      .after(4 * day + hour),
  'shipped and silent': () =>
    tell('direct')
      .says('seller', 'accept')
      .says('buyer', 'paid')
      .says('seller', 'payment-received')
      .says('seller', 'ship')
      .after(15 * day),
  'disputed through escrow': () =>
    tell('escrow')
      .says('seller', 'accept')
      .fact('funded')
      .fact('accepted')
      .says('seller', 'ship')
      .fact('dispatched')
      .after(day)
      .says('buyer', 'dispute')
      .fact('disputed'),
  lapsed: () => tell('direct').after(3 * day)
}

export function storyVectors(): readonly StoryVector[] {
  return Object.entries(stories).map(([name, make]) => {
    const story = make()
    const facts = story.facts.map(({ toSeller, toBuyer, ...fact }) => ({
      ...fact,
      ...(toSeller !== undefined && { toSeller: toSeller.toString() }),
      ...(toBuyer !== undefined && { toBuyer: toBuyer.toString() })
    }))
    const events = story.events.map(({ bytes }) => bytesToHex(bytes))
    return { name, nowMs: story.nowMs, events, facts, state: summaryOf(story.state()) }
  })
}

/** What two implementations must agree on. */
export function summaryOf(state: OrderState) {
  const { order, phase, reason, waitingFor, allowed, chainActions, heads, timeline, equivocations } = state
  return {
    order,
    phase,
    reason: reason ?? null,
    legs: state.legs.map((leg) => leg.state),
    waitingFor: waitingFor ?? null,
    allowed,
    chainActions: chainActions.map(({ by, do: step }) => ({ by, do: step })),
    heads,
    timeline: timeline.map(({ atMs, who, what }) => ({ atMs, who, what })),
    equivocations
  }
}
