/** The escrow contract's graph as Escrow.sol has it: which call is valid when, who makes it, and which facts it leaves. */
import type { ChainFact, ChainState, ChainStatus, OrderState } from '../src/index.ts'
import { factOf, second } from './world.ts'

export interface Call {
  readonly by: 'buyer' | 'seller' | 'arbiter' | 'anyone'
  readonly step: string
  readonly facts: readonly (Partial<ChainFact> & { readonly kind: ChainFact['kind'] })[]
}

const closed = (status: ChainStatus): Call['facts'] => {
  const toSeller = status === 'released' ? 2n : Number(status !== 'refunded')
  return [{ kind: 'closed', status, toSeller: BigInt(toSeller), toBuyer: status === 'released' ? 0n : 1n }]
}

const endings: readonly Call[] = [
  { by: 'buyer', step: 'release', facts: closed('released') },
  { by: 'seller', step: 'refund', facts: closed('refunded') },
  { by: 'anyone', step: 'settle', facts: closed('settled') }
]

/** Every call that the contract would take now. */
export function callsAt(state: OrderState, nowMs: number): readonly Call[] {
  const { settlement } = state.terms
  if (settlement.kind !== 'escrow') return []
  if (state.chain === undefined) return unfundedCalls(state, nowMs <= settlement.order.acceptBy * second)
  return liveCalls(state.chain, { overdue: nowMs > (state.chain.deadlineMs ?? nowMs), state }).filter(
    ({ step }) => step !== 'settle' || state.chainActions.some((action) => action.do === 'settle')
  )
}

/** Carries a call out. */
export function factsOf(call: Call, { terms }: OrderState, at: { nowMs: number; place: number }): readonly ChainFact[] {
  return call.facts.map((fact, index) => factOf(terms, { atMs: at.nowMs, place: at.place + index, ...fact }))
}

function unfundedCalls(state: OrderState, open: boolean): readonly Call[] {
  const revoke: Call = { by: 'seller', step: 'revoke', facts: closed('refunded') }
  if (!open) return [revoke]
  const signed = state.escrowSig !== undefined
  const fund: Call = {
    by: 'buyer',
    step: 'fund',
    facts: signed ? [{ kind: 'funded' }, { kind: 'accepted' }] : [{ kind: 'funded' }]
  }
  return [revoke, fund]
}

function liveCalls(
  { status }: ChainState,
  { overdue, state }: { overdue: boolean; state: OrderState }
): readonly Call[] {
  const timeout = (to: ChainStatus): Call => ({ by: 'anyone', step: 'timeout', facts: closed(to) })
  switch (status) {
    case 'funded':
      if (overdue) return [timeout('refunded')]
      return [
        { by: 'buyer', step: 'cancel', facts: closed('refunded') },
        ...(state.escrowSig ? [{ by: 'seller', step: 'accept', facts: [{ kind: 'accepted' }] } as const] : [])
      ]
    case 'accepted':
      return [
        ...endings,
        overdue ? timeout('refunded') : { by: 'seller', step: 'dispatch', facts: [{ kind: 'dispatched' }] }
      ]
    case 'dispatched': {
      const disputes = (['buyer', 'seller'] as const).map((by): Call => ({
        by,
        step: 'dispute',
        facts: [{ kind: 'disputed' }]
      }))
      return [...endings, ...(overdue ? [timeout('released')] : disputes)]
    }
    case 'disputed':
      return [...endings, overdue ? timeout('defaulted') : { by: 'arbiter', step: 'rule', facts: closed('ruled') }]
    case 'none':
    case 'holding':
    case 'released':
    case 'refunded':
    case 'settled':
    case 'ruled':
    case 'defaulted':
      return []
  }
}
