import { escrowTermsHash, type OpenedReceipt } from '@souk/records'
import { TradingError } from './errors.ts'
import { bytesToHex } from '@noble/hashes/utils.js'
import { type EscrowFields, escrowFields, type Terms, termsHash } from './terms.ts'

/** `Escrow.sol`'s `Order` as the escrow client takes it: every number a bigint, times in seconds. */
export interface EscrowOrder {
  readonly buyer: `0x${string}`
  readonly seller: `0x${string}`
  readonly arbiter: `0x${string}`
  readonly token: `0x${string}`
  readonly feeRecipient: `0x${string}`
  readonly amount: bigint
  readonly buyerDeposit: bigint
  readonly sellerDeposit: bigint
  readonly acceptBy: bigint
  readonly notBefore: bigint
  readonly dispatchWindow: bigint
  readonly releaseWindow: bigint
  readonly depositWindow: bigint
  readonly rulingWindow: bigint
  readonly feeBps: bigint
  readonly arbiterFeeBps: bigint
  readonly defaultSellerBps: bigint
  /** Binds the order on chain to these terms and to the two identities. */
  readonly termsHash: `0x${string}`
}

/**
 * The order that the terms put on chain.
 *
 * @param termsBytes - The terms' canonical bytes.
 * @throws {@link TradingError} `wrong-escrow` when the terms do not settle through escrow.
 */
export function escrowOrderOf(terms: Terms, termsBytes: Uint8Array): EscrowOrder {
  if (terms.settlement.kind !== 'escrow') {
    throw new TradingError('wrong-escrow', `these terms settle by ${terms.settlement.kind}, not through escrow`)
  }
  const { buyer, seller } = terms
  return orderOf(terms.settlement.order, escrowTermsHash({ buyer, seller, terms: termsHash(termsBytes) }))
}

/**
 * The order on chain that a receipt shows. Its id has to be the one in the statement: then it holds the money of the
 * two who signed, and of nobody else.
 *
 * @returns Nothing when the receipt shows no order that could be one.
 */
export function escrowOrderIn({ statement, settled }: OpenedReceipt): EscrowOrder | undefined {
  const fields = escrowFields.safeParse(settled?.order)
  return fields.success ? orderOf(fields.data, escrowTermsHash(statement)) : undefined
}

function orderOf(fields: EscrowFields, hash: Uint8Array): EscrowOrder {
  const { buyer, seller, arbiter, token, feeRecipient } = fields
  return { buyer, seller, arbiter, token, feeRecipient, ...numbersOf(fields), termsHash: `0x${bytesToHex(hash)}` }
}

function numbersOf(order: EscrowFields) {
  return {
    amount: BigInt(order.amount),
    buyerDeposit: BigInt(order.buyerDeposit),
    sellerDeposit: BigInt(order.sellerDeposit),
    acceptBy: BigInt(order.acceptBy),
    notBefore: BigInt(order.notBefore),
    dispatchWindow: BigInt(order.dispatchWindow),
    releaseWindow: BigInt(order.releaseWindow),
    depositWindow: BigInt(order.depositWindow),
    rulingWindow: BigInt(order.rulingWindow),
    feeBps: BigInt(order.feeBps),
    arbiterFeeBps: BigInt(order.arbiterFeeBps),
    defaultSellerBps: BigInt(order.defaultSellerBps)
  }
}
