import type { OrderState, Phase, Reason, Waiting } from './state.ts'

const reasons: { readonly [R in Reason]: string } = {
  declined: 'the seller declined',
  withdrawn: 'the buyer withdrew the request',
  lapsed: 'the seller did not accept in time',
  'no-fund': 'the buyer did not pay in time',
  'cancelled-buyer': 'the buyer cancelled',
  'cancelled-seller': 'the seller cancelled',
  revoked: 'it was revoked before it was paid',
  accepted: 'the buyer accepted the delivery',
  'accepted-by-timeout': 'the buyer raised no objection in time',
  refunded: 'the buyer got the money back',
  settled: 'the two agreed on a split',
  'ruled-buyer': 'the arbitrator ruled for the buyer',
  'ruled-seller': 'the arbitrator ruled for the seller',
  defaulted: 'nobody ended the dispute in time, so the money was split by the terms',
  'no-show': 'the seller did not act in time',
  unresolved: 'the dispute ended without a result'
}

const phases: { readonly [P in Phase]: string } = {
  REQUESTED: 'Requested',
  AGREED: 'Agreed',
  FUNDED: 'Paid',
  ACTIVE: 'Under way',
  SETTLING: 'Settling',
  CLOSED: 'Closed',
  VOID: 'Void',
  CANCELLED: 'Cancelled',
  DISPUTED: 'Disputed',
  RETURNING: 'Going back'
}

/** One line in English for a log or a terminal. A window makes its own from the codes. */
export function explain(state: OrderState): string {
  const { phase, reason, waitingFor } = state
  if (reason !== undefined) return `${phases[phase]}: ${reasons[reason]}.`
  const confirmations = state.chain?.final === false ? ' The payment is seen, but not yet final.' : ''
  return `${phases[phase]}${waitingFor === undefined ? '' : `: ${waitingLine(waitingFor)}`}.${confirmations}`
}

function waitingLine({ role, action, onChain, byMs, thenWhat }: Waiting): string {
  const who = role === 'either' ? 'either side' : `the ${role}`
  const what = `${who} to ${action}${onChain ? ' on chain' : ''}`
  const after = thenWhat === 'late' ? 'else it is late' : `else it ends because ${reasons[thenWhat]}`
  return `waiting for ${what} by ${new Date(byMs).toISOString()}, ${after}`
}
