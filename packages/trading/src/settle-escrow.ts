/**
 * Orders whose money the escrow holds: the chain's status leads, events say what each side wants, and the verdict
 * names the step on chain that carries it out. docs/protocol/orders.md section 6, "Escrow".
 */
import type { ChainState } from './chain.ts'
import { follows } from './deeds.ts'
import type { Entry } from './history.ts'
import { tradeKindOf } from './kinds.ts'
import type { EventType, Party } from './payloads.ts'
import type { ChainAction, ChainStep, LegState, Phase, Reason, Split, Waiting } from './state.ts'
import type { EscrowFields } from './terms.ts'
import { cancelReason, type Case, ended, judgeRequest, untilThen, type Verdict, waiting } from './verdict.ts'

export function judgeEscrow(case_: Case): Verdict {
  const { chain, terms } = case_
  if (terms.settlement.kind !== 'escrow') return judgeRequest(case_)
  const { order } = terms.settlement
  if (chain === undefined || chain.status === 'none') return judgeUnfunded(case_, order)
  const deadlineMs = deadlineOf(chain, order)
  const live: LiveCase = {
    ...case_,
    chain,
    order,
    deadlineMs,
    overdue: case_.nowMs > deadlineMs,
    shipped: shippedIn(case_, chain)
  }
  switch (chain.status) {
    case 'funded':
      return judgeFunded(live)
    case 'accepted':
      return judgeAccepted(live)
    case 'dispatched':
      return judgeDispatched(live)
    case 'holding':
      return judgeHolding(live)
    case 'disputed':
      return judgeDisputed(live)
    case 'released':
      return judgeReleased(live)
    case 'refunded':
      return judgeRefunded(live)
    case 'settled':
      return ended('CLOSED', 'settled', live.shipped ? 'STARTED' : 'PENDING')
    case 'ruled':
      return chain.toSeller > chain.toBuyer
        ? ended('CLOSED', 'ruled-seller', 'ACCEPTED')
        : ended('CLOSED', 'ruled-buyer', 'REJECTED')
    case 'defaulted':
      return ended('CLOSED', 'defaulted', 'REJECTED')
  }
}

interface LiveCase extends Case {
  readonly chain: ChainState
  readonly order: EscrowFields
  /** The end of the chain's clock. */
  readonly deadlineMs: number
  /** The chain's clock has run out, and nobody has called `timeout` yet. */
  readonly overdue: boolean
  /** Delivery that counts: said without knowing of a cancellation, or on chain already. */
  readonly shipped: boolean
}

const bargain = ['settle-offer', 'settle-accept'] as const

/** The end of the chain's clock: as the facts give it, or as the order makes it from the time of the status. */
function deadlineOf({ deadlineMs, status, sinceMs }: ChainState, order: EscrowFields): number {
  if (deadlineMs !== undefined) return deadlineMs
  if (status === 'funded') return order.acceptBy * 1000
  if (status === 'accepted') return sinceMs + order.dispatchWindow * 1000
  if (status === 'disputed') return sinceMs + order.rulingWindow * 1000
  const window = status === 'dispatched' ? order.releaseWindow : order.depositWindow
  return Math.max(sinceMs, order.notBefore * 1000) + window * 1000
}

function shippedIn({ deeds }: Case, chain: ChainState): boolean {
  const onChain = chain.status === 'dispatched' || chain.before === 'dispatched'
  const { delivered, leave } = deeds
  const knew = (entry: Entry): boolean => follows(entry, leave.buyer) || follows(entry, leave.seller)
  return onChain || (delivered !== undefined && !knew(delivered))
}

function judgeUnfunded(case_: Case, order: EscrowFields): Verdict {
  const { deeds } = case_
  if (deeds.accept === undefined) return judgeRequest(case_)
  const byMs = order.acceptBy * 1000
  if (deeds.leave.buyer !== undefined || deeds.leave.seller !== undefined) {
    // The seller's signature is out: until `acceptBy` a buyer could still fund with it.
    const steps: ChainAction[] = case_.nowMs > byMs ? [] : [{ by: 'seller', do: 'revoke' }]
    return { ...ended('CANCELLED', cancelReason(deeds)), steps }
  }
  return untilThen(
    case_,
    {
      phase: 'AGREED',
      leg: 'PENDING',
      waitingFor: onChain('buyer', 'fund', byMs, 'no-fund'),
      allowed: { buyer: ['cancel'], seller: ['cancel'] },
      steps: [{ by: 'buyer', do: 'fund' }]
    },
    ended('VOID', 'no-fund')
  )
}

/** Paid without the seller's signature: the way to buy from a shop that sleeps. */
function judgeFunded(case_: LiveCase): Verdict {
  const { deeds } = case_
  if (case_.overdue) return overdue(case_, { phase: 'RETURNING', thenWhat: 'lapsed', by: ['buyer'] })
  if (deeds.leave.buyer !== undefined || deeds.leave.seller !== undefined) {
    return running(case_, { phase: 'RETURNING', step: ['buyer', 'cancel'], thenWhat: 'lapsed' })
  }
  if (deeds.accept !== undefined) {
    const allowed = { buyer: ['cancel'], seller: ['cancel'] } as const
    return { ...running(case_, { phase: 'FUNDED', step: ['seller', 'accept'], thenWhat: 'lapsed' }), allowed }
  }
  const waitingFor = waiting('seller', 'accept', case_.deadlineMs, 'lapsed')
  return {
    phase: 'FUNDED',
    leg: 'PENDING',
    waitingFor,
    allowed: { buyer: ['withdraw'], seller: ['accept', 'decline'] }
  }
}

function judgeAccepted(case_: LiveCase): Verdict {
  const { deeds, terms, chain } = case_
  const thenWhat = 'refunded'
  const consented = judgeConsent(case_, thenWhat)
  if (consented !== undefined) return consented
  if (case_.overdue) return overdue(case_, { phase: 'RETURNING', thenWhat, by: ['buyer'] })
  const left = deeds.leave.buyer !== undefined || deeds.leave.seller !== undefined
  if (deeds.refund !== undefined || (left && !case_.shipped)) {
    const allowed = { buyer: ['confirm', ...bargain], seller: ['refund', ...bargain] } as const
    return { ...running(case_, { phase: 'RETURNING', step: ['seller', 'refund'], thenWhat }), allowed }
  }
  const allowed = { buyer: ['confirm', ...bargain], seller: ['refund', ...bargain] } as const
  if (case_.shipped) {
    return { ...running(case_, { phase: 'ACTIVE', leg: 'STARTED', step: ['seller', 'dispatch'], thenWhat }), allowed }
  }
  const { deliveredBy } = tradeKindOf(terms.trade)
  const deliver: readonly EventType[] = chain.final ? [deliveredBy] : []
  const waitingFor = waiting('seller', deliveredBy, case_.deadlineMs, thenWhat)
  return {
    phase: 'FUNDED',
    leg: 'PENDING',
    waitingFor,
    allowed: { buyer: [...allowed.buyer, 'cancel'], seller: [...deliver, ...allowed.seller, 'cancel'] }
  }
}

function judgeDispatched(case_: LiveCase): Verdict {
  const { deeds, chain, terms } = case_
  const thenWhat = 'accepted-by-timeout'
  const consented = judgeConsent(case_, thenWhat)
  if (consented !== undefined) return consented
  if (deeds.refund !== undefined) {
    return running(case_, { phase: 'RETURNING', leg: 'REJECTED', step: ['seller', 'refund'], thenWhat })
  }
  if (case_.overdue) return overdue(case_, { phase: 'SETTLING', leg: 'STARTED', thenWhat, by: ['seller'] })
  const objector = disputerIn(case_)
  if (objector !== undefined) {
    const verdict = running(case_, { phase: 'DISPUTED', leg: 'REJECTED', step: [objector, 'dispute'], thenWhat })
    return { ...verdict, allowed: { buyer: ['confirm', ...bargain], seller: ['refund', ...bargain] } }
  }
  const deliver: readonly EventType[] = chain.final ? [tradeKindOf(terms.trade).deliveredBy] : []
  return {
    phase: 'ACTIVE',
    leg: 'STARTED',
    waitingFor: waiting('buyer', 'confirm', case_.deadlineMs, thenWhat),
    allowed: { buyer: ['confirm', 'dispute', ...bargain], seller: [...deliver, 'refund', 'dispute', ...bargain] }
  }
}

/** The price is paid; what is left are deposits, held for their window. */
function judgeHolding(case_: LiveCase): Verdict {
  const leg = 'ACCEPTED'
  if (case_.overdue) return overdue(case_, { phase: 'SETTLING', leg, thenWhat: 'accepted', by: ['buyer', 'seller'] })
  const objector = disputerIn(case_)
  if (objector !== undefined) {
    return running(case_, { phase: 'DISPUTED', leg, step: [objector, 'dispute'], thenWhat: 'accepted' })
  }
  const waitingFor = onChain('either', 'timeout', case_.deadlineMs, 'accepted')
  const both = ['dispute', ...bargain] as const
  return { phase: 'SETTLING', leg, waitingFor, allowed: { buyer: both, seller: both } }
}

function judgeDisputed(case_: LiveCase): Verdict {
  const { order, deeds } = case_
  const thenWhat = 'defaulted'
  const consented = judgeConsent(case_, thenWhat)
  if (consented !== undefined) return consented
  const leg = 'REJECTED'
  if (deeds.refund !== undefined)
    return running(case_, { phase: 'RETURNING', leg, step: ['seller', 'refund'], thenWhat })
  if (case_.overdue) return overdue(case_, { phase: 'DISPUTED', leg, thenWhat, by: ['buyer', 'seller'] })
  const hasArbiter = BigInt(order.arbiter) !== 0n
  const waitingFor: Waiting = hasArbiter
    ? { role: 'arbiter', action: 'rule', onChain: true, byMs: case_.deadlineMs, thenWhat }
    : waiting('either', 'settle-offer', case_.deadlineMs, thenWhat)
  return {
    phase: 'DISPUTED',
    leg,
    waitingFor,
    allowed: { buyer: ['confirm', ...bargain], seller: ['refund', ...bargain] }
  }
}

/** The buyer's consent, or both's to a split, or the secret: what is left to do is on chain. */
function judgeConsent(case_: LiveCase, thenWhat: Reason): Verdict | undefined {
  const { deeds, terms, chain } = case_
  const waits = { phase: 'SETTLING', thenWhat } as const
  if (isExecutable(deeds.split) && deeds.close === undefined) {
    const settle = (by: Party): ChainAction => ({ by, do: 'settle', ...(deeds.split && { split: deeds.split }) })
    const verdict = running(case_, { ...waits, leg: case_.shipped ? 'STARTED' : 'PENDING', step: ['either', 'settle'] })
    return { ...verdict, steps: [settle('buyer'), settle('seller')] }
  }
  if (deeds.confirm !== undefined) {
    const verdict = running(case_, { ...waits, leg: 'ACCEPTED', step: ['buyer', 'release'] })
    return withSellersWay(case_, verdict)
  }
  if (!tradeKindOf(terms.trade).deliveryAccepts || deeds.delivered === undefined || !case_.shipped) return undefined
  if (chain.status === 'disputed') return undefined
  const verdict = running(case_, { ...waits, leg: 'ACCEPTED', step: ['buyer', 'release'] })
  return {
    ...withSellersWay(case_, verdict),
    allowed: { buyer: ['confirm', ...bargain], seller: ['refund', ...bargain] }
  }
}

/** The contract pays a split only on both signatures. */
function isExecutable(split: Split | undefined): boolean {
  return split?.buyerSig !== undefined && split.sellerSig !== undefined
}

/** What the seller can do for himself where the buyer owes a release: start the clock, or let it end. */
function withSellersWay({ chain, overdue, deeds }: LiveCase, verdict: Verdict): Verdict {
  const steps = verdict.steps ?? []
  if (chain.status === 'dispatched' && overdue)
    return { ...verdict, steps: [...steps, { by: 'seller', do: 'timeout' }] }
  const canDispatch = chain.status === 'accepted' && !overdue && deeds.delivered !== undefined
  return canDispatch ? { ...verdict, steps: [...steps, { by: 'seller', do: 'dispatch' }] } : verdict
}

function disputerIn({ deeds: { dispute }, order }: LiveCase): Party | undefined {
  if (order.rulingWindow === 0) return undefined
  if (dispute.buyer !== undefined) return 'buyer'
  return dispute.seller && 'seller'
}

function judgeReleased({ chain, deeds, terms }: LiveCase): Verdict {
  const deadlineMs = chain.beforeDeadlineMs ?? Number.POSITIVE_INFINITY
  const byHand = deeds.confirm !== undefined && deeds.confirm.timeMs <= deadlineMs
  const bySecret = tradeKindOf(terms.trade).deliveryAccepts && deeds.delivered !== undefined
  const accepted = chain.sinceMs <= deadlineMs || byHand || bySecret
  return ended('CLOSED', accepted ? 'accepted' : 'accepted-by-timeout', 'ACCEPTED')
}

function judgeRefunded({ chain, deeds, shipped }: LiveCase): Verdict {
  const left = deeds.leave.buyer !== undefined || deeds.leave.seller !== undefined
  const byClock = chain.sinceMs > (chain.beforeDeadlineMs ?? Number.POSITIVE_INFINITY)
  if (chain.before === 'none') return ended('CANCELLED', left ? cancelReason(deeds) : 'revoked')
  if (chain.before === 'funded') {
    if (deeds.accept === undefined && deeds.leave.seller !== undefined) return ended('VOID', 'declined')
    return byClock ? ended('VOID', 'lapsed') : ended('CANCELLED', 'cancelled-buyer')
  }
  if (left && !shipped) return ended('CANCELLED', cancelReason(deeds))
  return ended('CLOSED', 'refunded', shipped ? 'REJECTED' : 'PENDING')
}

interface Running {
  readonly phase: Phase
  readonly leg?: LegState
  readonly step: readonly [Party | 'either', ChainStep]
  readonly thenWhat: Reason
}

/** A step on chain is due, and the chain's clock runs against it. */
function running(
  { deadlineMs }: LiveCase,
  { phase, leg = 'PENDING', step: [role, action], thenWhat }: Running
): Verdict {
  const steps: ChainAction[] = role === 'either' ? [] : [{ by: role, do: action }]
  return { phase, leg, waitingFor: onChain(role, action, deadlineMs, thenWhat), steps }
}

interface Overdue {
  readonly phase: Phase
  readonly leg?: LegState
  readonly thenWhat: Reason
  /** Whom the timeout serves. Anyone may call it. */
  readonly by: readonly Party[]
}

function overdue({ deadlineMs }: LiveCase, { phase, leg = 'PENDING', thenWhat, by }: Overdue): Verdict {
  const [only] = by
  const role = by.length === 1 && only !== undefined ? only : 'either'
  const waitingFor = onChain(role, 'timeout', deadlineMs, thenWhat)
  return { phase, leg, waitingFor, steps: by.map((party) => ({ by: party, do: 'timeout' })) }
}

function onChain(role: Waiting['role'], action: ChainStep, byMs: number, thenWhat: Reason): Waiting {
  return { role, action, onChain: true, byMs, thenWhat }
}
