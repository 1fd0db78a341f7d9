/**
 * Walks the whole graph of phase × leg × chain × what was said: from every state every event that is allowed to either
 * party, every call that the contract takes, and the passing of the deadline. Two states are one when they show the
 * same, and the same has been said.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import {
  type AnyEvent,
  type ChainFact,
  createEvent,
  createRequest,
  type EventInput,
  type EventType,
  type OrderState,
  type Party
} from '../src/index.ts'
import { callsAt, factsOf } from './contract.ts'
import { buyer, type ChoiceName, choices, escrowId, folded, payloadOf, seller, start, termsOf } from './world.ts'

interface Node {
  readonly key: string
  readonly events: readonly AnyEvent[]
  readonly facts: readonly ChainFact[]
  readonly nowMs: number
  readonly state: OrderState
  readonly edges: Edge[]
}

interface Edge {
  readonly by: Party | 'arbiter' | 'anyone' | 'clock'
  readonly what: string
  /** The state itself names the move: a node that does what it is told makes it. */
  readonly guided: boolean
  readonly to: string
}

type Graph = ReadonlyMap<string, Node>

const signers = { buyer, seller }

function keyOf(state: OrderState, { events, nowMs }: Pick<Node, 'events' | 'nowMs'>): string {
  const { phase, reason, waitingFor, allowed, chainActions, chain } = state
  const { role, action, thenWhat, byMs = 0 } = waitingFor ?? {}
  const overdue = nowMs > byMs
  const steps = chainActions.map((step) => [step.by, step.do])
  const said = [...new Set(events.map(({ type, author }) => `${type}${author[0]}`))].toSorted()
  return JSON.stringify([
    phase,
    reason,
    state.legs[0]?.state,
    role,
    action,
    thenWhat,
    overdue,
    allowed,
    steps,
    chain?.status,
    chain?.before,
    said
  ])
}

function nodeOf(place: Pick<Node, 'events' | 'facts' | 'nowMs'>): Node {
  const state = folded({ events: [...place.events], facts: [...place.facts] }, place.nowMs)
  return { ...place, state, key: keyOf(state, place), edges: [] }
}

function explore(choice: ChoiceName): Graph {
  const terms = termsOf(choice)
  const request = createRequest({ terms, atMs: start, ...(terms.settlement.kind === 'escrow' && { escrowId }) }, buyer)
  const first = nodeOf({ events: [request], facts: [], nowMs: start })
  const nodes = new Map([[first.key, first]])
  const open = [first]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const { edge, next } of movesFrom(node)) {
      node.edges.push({ ...edge, to: next.key })
      if (nodes.has(next.key)) continue
      nodes.set(next.key, next)
      open.push(next)
    }
  }
  return nodes
}

interface Move {
  readonly edge: Omit<Edge, 'to'>
  readonly next: Node
}

function movesFrom(node: Node): readonly Move[] {
  return [...eventMoves(node), ...chainMoves(node), ...clockMoves(node)]
}

/** Either may offer a split. One direction is enough to walk: both come to the same split, and it halves the graph. */
const other: { readonly [by in Party]: EventType } = { buyer: 'settle-accept', seller: 'settle-offer' }

function eventMoves({ state, events, facts, nowMs }: Node): readonly Move[] {
  return (['buyer', 'seller'] as const).flatMap((by) =>
    state.allowed[by]
      .filter((what) => what !== other[by])
      .flatMap((what): Move[] => {
        const payload = payloadOf(what, { by, events })
        const event = createEvent(state, { type: what, atMs: nowMs, payload } as EventInput, signers[by])
        return [{ edge: { by, what, guided: true }, next: nodeOf({ events: [...events, event], facts, nowMs }) }]
      })
  )
}

function chainMoves({ state, events, facts, nowMs }: Node): readonly Move[] {
  return callsAt(state, nowMs).flatMap((call) => {
    const named = state.chainActions.filter((action) => action.do === call.step)
    const ruled = call.by === 'arbiter' && state.waitingFor?.role === 'arbiter'
    const more = factsOf(call, state, { nowMs, place: facts.length })
    const next = nodeOf({ events, facts: [...facts, ...more], nowMs })
    const guided = named.map(({ by }): Move => ({ edge: { by, what: call.step, guided: true }, next }))
    return guided.length > 0 ? guided : [{ edge: { by: call.by, what: call.step, guided: ruled }, next }]
  })
}

function clockMoves({ state, events, facts, nowMs }: Node): readonly Move[] {
  const byMs = state.waitingFor?.byMs
  if (byMs === undefined || nowMs > byMs) return []
  return [{ edge: { by: 'clock', what: 'deadline', guided: true }, next: nodeOf({ events, facts, nowMs: byMs + 1 }) }]
}

/** All nodes from which guided moves of these, and the clock, lead to an end with nothing at risk. */
function escaping(graph: Graph, by: readonly Edge['by'][]): ReadonlySet<string> {
  const done = new Set([...graph.values()].filter(({ state }) => isOver(state)).map(({ key }) => key))
  for (let size = -1; size !== done.size;) {
    size = done.size
    for (const { key, edges } of graph.values()) {
      if (edges.some((edge) => edge.guided && [...by, 'clock'].includes(edge.by) && done.has(edge.to))) done.add(key)
    }
  }
  return done
}

function isOver(state: OrderState): boolean {
  return state.reason !== undefined && state.fundsAtRisk === undefined
}

/** How one gets there, for a failure's message. */
function storyOf({ events, facts, state }: Node): string {
  const said = events.map(({ type }): EventType => type).join(', ')
  return `${state.phase} after ${said}; on chain ${facts.map(({ kind, status }) => status ?? kind).join(', ')}`
}

describe.each(Object.keys(choices) as ChoiceName[])('%s', (choice) => {
  let graph: Graph
  beforeAll(() => {
    graph = explore(choice)
  }, 120_000)

  const storiesOf = (test: (node: Node) => boolean): readonly string[] => [...graph.values()].filter(test).map(storyOf)

  test('has states to speak of', () => {
    const phases = new Set([...graph.values()].map(({ state }) => state.phase))
    expect(graph.size).toBeGreaterThan(100)
    expect([...phases].toSorted()).toEqual(
      expect.arrayContaining(['AGREED', 'CANCELLED', 'CLOSED', 'REQUESTED', 'SETTLING', 'VOID'])
    )
  })

  test('every state that is not an end waits for somebody, until a time, after which something is said to happen', () => {
    const stuck = storiesOf(({ state: { reason, waitingFor } }) => {
      return (reason === undefined) !== (waitingFor !== undefined && Number.isSafeInteger(waitingFor.byMs))
    })
    expect(stuck).toEqual([])
  })

  test('when a deadline passes, the state changes or somebody has a step to take', () => {
    const stale = storiesOf(({ key, edges, state }) => {
      const clock = edges.find(({ by }) => by === 'clock')
      const steps = graph.get(clock?.to ?? '')?.state.chainActions.length ?? 0
      const overdue = state.waitingFor !== undefined && clock === undefined && state.chainActions.length === 0
      return overdue || (clock !== undefined && clock.to === key && steps === 0)
    })
    expect(stale).toEqual([])
  })

  test('every state has an end that one live party reaches by doing what it is told', () => {
    const exits = [escaping(graph, ['buyer']), escaping(graph, ['seller'])]
    expect(storiesOf(({ key }) => !exits.some((exit) => exit.has(key)))).toEqual([])
  })

  test('a dispute ends by the arbitrator and one party, too', () => {
    const ruled = [escaping(graph, ['arbiter', 'buyer']), escaping(graph, ['arbiter', 'seller'])]
    expect(storiesOf(({ key, state }) => state.phase === 'DISPUTED' && !ruled.some((exit) => exit.has(key)))).toEqual(
      []
    )
  })

  test('at an end nobody is waited for, and only a signature that is out may still be burned', () => {
    const busy = storiesOf(({ state: { reason, chainActions, waitingFor } }) => {
      return reason !== undefined && (waitingFor !== undefined || chainActions.some((step) => step.do !== 'revoke'))
    })
    expect(busy).toEqual([])
  })

  test('every step on chain that a state names is one that the contract takes', () => {
    const refused = storiesOf(({ state, nowMs }) => {
      const valid = callsAt(state, nowMs).map(({ step }) => step)
      return state.chainActions.some((action) => !valid.includes(action.do))
    })
    expect(refused).toEqual([])
  })

  test('what is at risk is at risk only in states that say so', () => {
    const wrong = storiesOf(({ state }) => {
      const live = ['funded', 'accepted', 'dispatched', 'disputed'].includes(state.chain?.status ?? '')
      return live && (state.fundsAtRisk === undefined || state.reason !== undefined)
    })
    expect(wrong).toEqual([])
  })
})
