import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { EscrowOrder, ExpectedOrder, Hex } from '@souk/escrow'
import { escrowTermsHash } from '@souk/records'
import { type ChainAction, escrowOrderOf, type OrderState } from '@souk/trading'
import type { Chain, Chains } from './chains.ts'
import { chainRetryMs, chainRetryMsMax } from './limits.ts'
import type { HeldOrder, OrderBook } from './order-book.ts'

export interface StepsComponents {
  readonly book: Pick<OrderBook, 'get'>
  readonly chains: Pick<Chains, 'get'>
  readonly onProblem: (problem: { code: string; message: string }) => void
}

/** Carries out on chain what this side of an order has already said. */
export interface OrderSteps extends AsyncDisposable {
  /** Looks whether an order has a step for this side, and takes it; one at a time for each order. */
  look(order: string): void
}

export function createOrderSteps({ book, chains, onProblem }: StepsComponents): OrderSteps {
  const stopping = new AbortController()
  const running = new Map<string, Promise<void>>()
  const again = new Set<string>()
  const timers = new Map<string, ReturnType<typeof setTimeout>>()
  const failures = new Map<string, number>()
  /** Steps that went through, until the watcher tells what they changed. */
  const taken = new Set<string>()

  const look = (order: string): void => {
    if (stopping.signal.aborted) return
    if (running.has(order)) {
      again.add(order)
      return
    }
    clearTimeout(timers.get(order))
    const work = takeStep(order).finally(() => {
      running.delete(order)
      if (again.delete(order)) look(order)
    })
    running.set(order, work)
  }

  const takeStep = async (order: string): Promise<void> => {
    try {
      const held = await book.get(order)
      const action = held && nextAction(held)
      if (held === undefined || action === undefined) return
      const name = `${order} ${action.do} ${held.state.chain?.status ?? 'none'}`
      if (taken.has(name)) return
      await carryOut(held, action)
      taken.add(name)
      failures.delete(order)
    } catch (error) {
      if (!stopping.signal.aborted) retry(order, error)
    }
  }

  const retry = (order: string, error: unknown): void => {
    const count = failures.get(order) ?? 0
    failures.set(order, count + 1)
    const { code = 'chain', message } = error as { code?: string; message: string }
    onProblem({ code, message: `order ${order.slice(0, 8)}: ${message}` })
    const timer = setTimeout(() => look(order), Math.min(chainRetryMsMax, chainRetryMs * 2 ** Math.min(count, 16)))
    timer.unref()
    timers.set(order, timer)
  }

  const carryOut = async ({ state }: HeldOrder, action: ChainAction): Promise<void> => {
    const { settlement } = state.terms
    if (settlement.kind !== 'escrow') return
    const chain = chains.get(settlement.chain)
    const order = escrowOrderOf(state.terms, state.termsBytes)
    await stepOf({ chain, order, state, action }, stopping.signal)
  }

  return {
    look,
    async [Symbol.asyncDispose]() {
      stopping.abort()
      for (const timer of timers.values()) clearTimeout(timer)
      await Promise.allSettled(running.values())
    }
  }
}

/** The step that this side's node may take now; a buyer who pays at once does so before the seller has spoken. */
function nextAction({ state, role, note }: HeldOrder): ChainAction | undefined {
  const action = state.chainActions.find(({ by }) => by === role)
  if (action !== undefined) return action
  const unpaid = state.chain === undefined && state.phase === 'REQUESTED' && state.escrowId !== undefined
  return unpaid && role === 'buyer' && note.paysAtOnce === true ? { by: 'buyer', do: 'fund' } : undefined
}

interface Step {
  readonly chain: Chain
  readonly order: EscrowOrder
  readonly state: OrderState
  readonly action: ChainAction
}

async function stepOf({ chain, order, state, action }: Step, signal: AbortSignal): Promise<unknown> {
  const { escrow } = chain
  const expected = expectedOf(state, escrow)
  switch (action.do) {
    case 'fund': {
      const { escrowSig } = state
      return escrow.fund(order, {
        expected,
        signal,
        ...(escrowSig === undefined ? {} : { sellerSignature: toHex(escrowSig) })
      })
    }
    case 'accept':
      return escrow.accept(order, { expected, signal })
    case 'cancel':
      return escrow.cancel(order, { signal })
    case 'revoke':
      return escrow.revoke(order, { signal })
    case 'dispatch':
      return escrow.dispatch(order, { signal })
    case 'release':
      return escrow.release(order, { signal })
    case 'refund':
      return escrow.refund(order, { signal })
    case 'dispute':
      return escrow.dispute(order, { signal })
    case 'timeout':
      return escrow.timeout(order, { signal })
    case 'settle': {
      const { split } = action
      if (split === undefined) return undefined
      const { buyerSig, sellerSig } = split
      const signatures = {
        ...(buyerSig === undefined ? {} : { buyerSignature: toHex(buyerSig) }),
        ...(sellerSig === undefined ? {} : { sellerSignature: toHex(sellerSig) })
      }
      return escrow.settle(order, { sellerTotal: split.toSeller, signal, ...signatures })
    }
  }
}

/** What the signed terms say, spelled out field by field for the client to compare with what it is about to pay. */
export function expectedOf(
  state: Pick<OrderState, 'terms' | 'order'>,
  deployment: { chainId: number; contract: Hex }
): ExpectedOrder {
  const { settlement, total } = state.terms
  if (settlement.kind !== 'escrow') throw new TypeError('these terms do not settle through escrow')
  const { order } = settlement
  return {
    chainId: deployment.chainId,
    contract: settlement.contract,
    buyer: order.buyer,
    seller: order.seller,
    arbiter: order.arbiter,
    token: order.token,
    amount: BigInt(total.minor),
    buyerDeposit: BigInt(order.buyerDeposit),
    sellerDeposit: BigInt(order.sellerDeposit),
    feeRecipient: order.feeRecipient,
    feeBps: BigInt(order.feeBps),
    arbiterFeeBps: BigInt(order.arbiterFeeBps),
    defaultSellerBps: BigInt(order.defaultSellerBps),
    termsHash: toHex(
      escrowTermsHash({ buyer: state.terms.buyer, seller: state.terms.seller, terms: hexToBytes(state.order) })
    )
  }
}

function toHex(bytes: Uint8Array): Hex {
  return `0x${bytesToHex(bytes)}`
}
