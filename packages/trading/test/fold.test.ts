/**
 * Random stories: two parties who see each other's events late, in part, or not at all, who lie, say two things, and
 * date their events wrongly, over a chain that does whatever the contract permits. The fold must not care how a set came.
 */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AnyEvent,
  type ChainFact,
  createEvent,
  createRequest,
  type EventInput,
  type EventType,
  eventTypes,
  fold,
  openEvent,
  type OrderState,
  type Party,
  sealEvent,
  TradingError
} from '../src/index.ts'
import { callsAt, factsOf } from './contract.ts'
import {
  buyer,
  type ChoiceName,
  choices,
  day,
  escrowId,
  payloadOf,
  printed,
  seller,
  start,
  stranger,
  termsOf
} from './world.ts'

const parties = { buyer, seller }
const choiceNames = Object.keys(choices) as ChoiceName[]

/** Anybody may leave an order early on; lies that do it would leave no story to tell. */
const leaving: readonly EventType[] = ['decline', 'withdraw', 'cancel']

/** Even, where fast-check's numbers lean to the ends. */
const die = fc.noBias(fc.nat(59))

/** One thing that happens. Numbers choose among what is possible at that moment. */
const move = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      by: fc.constantFrom('buyer', 'seller'),
      pick: die
    })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('deliver' as const),
      to: fc.constantFrom('buyer', 'seller'),
      count: fc.nat(3)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      hours: fc.oneof({ weight: 6, arbitrary: fc.nat(20) }, { weight: 1, arbitrary: fc.nat(24 * 20) })
    })
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('chain' as const), pick: die, final: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('fork' as const),
      by: fc.constantFrom('buyer', 'seller'),
      back: fc.nat(6),
      pick: die
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('lie' as const),
      by: fc.constantFrom('buyer', 'seller', 'stranger'),
      type: fc.constantFrom(...eventTypes.filter((type) => !leaving.includes(type))),
      backHours: fc.nat(72)
    })
  }
)

type Move = typeof move extends fc.Arbitrary<infer T> ? T : never

interface Told {
  readonly events: readonly AnyEvent[]
  readonly facts: readonly ChainFact[]
  readonly nowMs: number
}

interface World {
  events: AnyEvent[]
  facts: ChainFact[]
  nowMs: number
  /** What each has seen, in the order in which it came. */
  readonly seen: { readonly [by in Party]: AnyEvent[] }
}

function play(choice: ChoiceName, moves: readonly Move[]): Told {
  const terms = termsOf(choice)
  const request = createRequest({ terms, atMs: start, ...(terms.settlement.kind === 'escrow' && { escrowId }) }, buyer)
  const world: World = { events: [request], facts: [], nowMs: start, seen: { buyer: [request], seller: [request] } }
  for (const each of moves) happen(world, each)
  return world
}

function happen(world: World, each: Move): void {
  switch (each.kind) {
    case 'say':
      say(world, each.by, { known: world.seen[each.by], pick: each.pick })
      return
    case 'fork': {
      const own = world.seen[each.by]
      say(world, each.by, { known: own.slice(0, Math.max(1, own.length - each.back)), pick: each.pick })
      return
    }
    case 'deliver':
      deliver(world, each.to, each.count)
      return
    case 'wait':
      world.nowMs += (each.hours * day) / 24
      return
    case 'chain':
      act(world, each)
      return
    case 'lie':
      lie(world, each)
  }
}

/** Mostly what moves a story on, which may be nothing; else any. */
function chosen<T>(possible: readonly T[], { pick, usual }: { pick: number; usual: readonly T[] }): T | undefined {
  return pick < 50 ? usual.find((each) => possible.includes(each)) : possible[pick % Math.max(possible.length, 1)]
}

const usualEvents: readonly EventType[] = ['accept', 'paid', 'payment-received', 'ship', 'handover', 'confirm', 'close']

/** Says something that is allowed in the light of what is known, which may be less than was seen. */
function say(world: World, by: Party, { known, pick }: { known: readonly AnyEvent[]; pick: number }): void {
  const state = fold(known, world.facts, world.nowMs)
  const type = chosen(state?.allowed[by] ?? [], { pick, usual: usualEvents })
  if (state === undefined || type === undefined) return
  const input = { type, atMs: world.nowMs, payload: payloadOf(type, { by, events: known }) } as EventInput
  const event = createEvent(state, input, parties[by])
  const after = fold([...known, event], world.facts, world.nowMs)
  expect(after?.refused.map(({ id }) => id)).not.toContain(event.id)
  expect(after?.timeline.map(({ ref }) => ref)).toContain(event.id)
  world.events.push(event)
  world.seen[by].push(event)
}

function deliver(world: World, to: Party, count: number): void {
  const unseen = world.events.filter((event) => !world.seen[to].includes(event))
  world.seen[to].push(...unseen.slice(0, count + 1))
}

function act(world: World, { pick, final }: { pick: number; final: boolean }): void {
  const state = fold(world.events, world.facts, world.nowMs)
  const calls = state === undefined ? [] : callsAt(state, world.nowMs)
  const usual = calls.filter(({ step }) => ['fund', 'accept', 'dispatch', 'timeout'].includes(step))
  const call = chosen(calls, { pick, usual })
  if (state === undefined || call === undefined) return
  const facts = factsOf(call, state, { nowMs: world.nowMs, place: world.facts.length })
  world.facts.push(...facts.map((fact) => ({ ...fact, final })))
}

/** An event of any type by anybody, signed and linked, with whatever payload its type asks for. */
function lie(world: World, { by, type, backHours }: { by: string; type: EventType; backHours: number }): void {
  const signer = by === 'stranger' ? stranger : parties[by as Party]
  const state = fold(world.events, world.facts, world.nowMs)
  if (state === undefined) return
  const hollow = { terms: new Uint8Array(32), sig: new Uint8Array(64) }
  const payload = { ...hollow, ...payloadOf(type, { by: 'seller', events: world.events }) } as never
  const prev = type === 'request' ? [] : state.heads
  const atMs = Math.max(0, world.nowMs - (backHours * day) / 24)
  world.events.push(sealEvent({ order: state.order, type, prev, atMs, payload }, signer) as AnyEvent)
}

const told = fc
  .record({
    choice: fc.constantFrom(...choiceNames),
    moves: fc.array(move, { minLength: 4, maxLength: 28, size: 'max' })
  })
  .map(({ choice, moves }) => play(choice, moves))

/** A story, and a part of it: what one side has while the rest is on the way. */
const partial = told.chain((story) =>
  fc.tuple(fc.constant(story), fc.subarray([...story.events]), fc.subarray([...story.facts]), fc.boolean())
)

/** The same set in another order, with repetitions. */
const mixed = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
  fc
    .tuple(
      fc.shuffledSubarray([...items], { minLength: items.length }),
      fc.array(fc.nat(Math.max(items.length - 1, 0)), { maxLength: 12 })
    )
    .map(([all, again]) => [...again.flatMap((index) => items.slice(index, index + 1)), ...all])

const runs = { numRuns: 200 }

test('any order and any repetition give the same state', { timeout: 120_000 }, () => {
  const phases = new Map<string, number>()
  fc.assert(
    fc.property(
      partial.chain(([{ nowMs, ...whole }, someEvents, someFacts, isWhole]) => {
        const { events, facts } = isWhole ? whole : { events: someEvents, facts: someFacts }
        return fc.tuple(fc.constant({ events, facts, nowMs }), mixed(events), mixed(facts))
      }),
      ([{ events, facts, nowMs }, otherEvents, otherFacts]) => {
        const state = fold(events, facts, nowMs)
        phases.set(state?.phase ?? 'none', (phases.get(state?.phase ?? 'none') ?? 0) + 1)
        expect(printed(fold(otherEvents, otherFacts, nowMs))).toBe(printed(state))
      }
    ),
    runs
  )
  // The property says nothing about states that the stories never come to.
  const usual = ['ACTIVE', 'AGREED', 'CANCELLED', 'CLOSED', 'FUNDED', 'REQUESTED', 'RETURNING', 'SETTLING', 'VOID']
  expect([...phases.keys()]).toEqual(expect.arrayContaining(usual))
})

test('more events never undo what was settled about the ones that are here', { timeout: 120_000 }, () => {
  const growing = (state: OrderState) => ({
    admitted: state.timeline.flatMap(({ who, ref }) => (who === 'chain' ? [] : (ref ?? []))),
    refused: state.refused.map(({ id, code }) => `${id} ${code}`),
    equivocated: state.equivocations.flatMap(({ events }) => events)
  })
  fc.assert(
    fc.property(partial, ([{ events, facts, nowMs }, someEvents]) => {
      const less = fold(someEvents, facts, nowMs)
      const more = fold(events, facts, nowMs)
      if (less === undefined || more === undefined) return
      const [before, after] = [growing(less), growing(more)]
      for (const name of ['admitted', 'refused', 'equivocated'] as const) {
        expect(after[name]).toEqual(expect.arrayContaining(before[name]))
      }
      const here = new Set(someEvents.map(({ id }) => id))
      expect(less.waiting.length + before.admitted.length + before.refused.length).toBe(here.size)
    }),
    runs
  )
})

test('what the chain has ended, nothing that anybody says begins again', { timeout: 120_000 }, () => {
  let ends = 0
  fc.assert(
    fc.property(partial, ([{ events, facts, nowMs }, someEvents]) => {
      if (!facts.some(({ kind }) => kind === 'closed')) return
      ends += 1
      for (const state of [fold(events, facts, nowMs), fold(someEvents, facts, nowMs)]) {
        if (state?.chain === undefined) continue
        expect(['CLOSED', 'CANCELLED', 'VOID']).toContain(state.phase)
        expect(state.fundsAtRisk).toBe(undefined)
        expect(state.chainActions).toEqual([])
      }
    }),
    runs
  )
  expect(ends).toBeGreaterThan(10)
})

test(
  'a state that is no end waits until a time; an end has a reason and waits for nothing',
  { timeout: 120_000 },
  () => {
    fc.assert(
      fc.property(partial, ([story, someEvents, someFacts]) => {
        for (const state of [fold(story.events, story.facts, story.nowMs), fold(someEvents, someFacts, story.nowMs)]) {
          if (state === undefined) continue
          const isEnd = ['CLOSED', 'CANCELLED', 'VOID'].includes(state.phase)
          expect(state.reason !== undefined).toBe(isEnd)
          expect(Number.isSafeInteger(state.waitingFor?.byMs)).toBe(!isEnd)
        }
      }),
      runs
    )
  }
)

test('both sides agree once each has what the other has', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(told, ({ events, facts, nowMs }) => {
      const sent = events.map(({ bytes }) => openEvent(bytes, { nowMs }))
      expect(printed(fold(sent.toReversed(), facts, nowMs))).toBe(printed(fold(events, facts, nowMs)))
    }),
    { numRuns: 100 }
  )
})

test('no bytes make openEvent throw anything but its own error', () => {
  const [request] = play('direct', []).events as [AnyEvent]
  const bent = fc
    .array(fc.tuple(fc.nat(request.bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    .map((edits) => edits.reduce((bytes, [at, byte]) => bytes.with(at, byte), request.bytes))
  const codeOf = (bytes: Uint8Array): string => {
    try {
      return openEvent(bytes, { nowMs: start }).id === request.id ? 'same' : 'forged'
    } catch (error) {
      return error instanceof TradingError ? 'refused' : String(error)
    }
  }
  fc.assert(
    fc.property(fc.oneof(bent, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      expect(['same', 'refused']).toContain(codeOf(bytes))
    }),
    { numRuns: 2000 }
  )
})
