import type { Receipt } from '@souk/records'
import { isFinalStatus } from './chain.ts'
import { TradingError } from './errors.ts'
import { hexToBytes } from '@noble/hashes/utils.js'
import type { OrderState } from './state.ts'

/**
 * The proof of a trade that a feedback record carries: the closing where both signed one, else the agreement.
 * Where an escrow ended it, the transaction and the order on chain go along.
 *
 * @throws {@link TradingError} `no-receipt` while the two have not both signed anything.
 */
export function receiptOf(state: OrderState): Receipt {
  const receipt = state.receipts.closing ?? state.receipts.agreement
  if (receipt === undefined) {
    throw new TradingError('no-receipt', `order ${state.order} has no statement with both signatures`)
  }
  const { chain } = state
  if (chain?.tx === undefined || chain.logIndex === undefined || !isFinalStatus(chain.status)) return receipt
  const { settlement } = state.terms
  const order = settlement.kind === 'escrow' ? { order: settlement.order } : {}
  return { ...receipt, settled: { tx: hexToBytes(chain.tx.replace(/^0x/, '')), logIndex: chain.logIndex, ...order } }
}
