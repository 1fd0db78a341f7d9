/**
 * Settlement on chain: an escrow contract that nobody owns, the client that pays into it, and the watcher that tells
 * what happened there. docs/protocol/escrow.md is normative; the contract is UNAUDITED.
 *
 * ```ts
 * const rpc = connectRpc('http://127.0.0.1:8545', { chainId: 31337 })
 * const payer = await keystorePayer({ json, passphrase })
 * const escrow = createEscrow(
 *   { provider: rpc, payer, store: level.sublevel('escrow', { valueEncoding: 'json' }) },
 *   { chainId: 31337, contract: escrowAddress, maxAmountByToken: new Map([[zeroAddress, parseEther('1')]]) }
 * )
 * await escrow.fund(order, { expected: fromSignedTerms, sellerSignature })
 * await escrow.release(order)
 * ```
 *
 * A node without a payer can still read and watch. `@souk/escrow/testing` starts a chain of one's own.
 *
 * @module
 */
export { checkOrder, type ExpectedOrder, type OrderPolicy, type WindowBounds } from './check.ts'
export {
  createEscrow,
  type Escrow,
  type EscrowComponents,
  type EscrowInit,
  type EscrowState,
  type FundOptions,
  type SettleOptions,
  type StepOptions
} from './client.ts'
export { deployEscrow, verifyDeployment } from './deployment.ts'
export { EscrowError, type EscrowErrorCode } from './errors.ts'
export { escrowAbi, escrowAddress, escrowCodeHash, escrowCreationCode } from './generated/artefact.ts'
export type { EscrowFact, FactContent, FactPlace } from './facts.ts'
export type { Attempt, JournalEntry } from './journal.ts'
export {
  assertOrder,
  escrowStatuses,
  orderId,
  typedData,
  typedDataHash,
  zeroAddress,
  type Deployment,
  type EscrowAction,
  type EscrowOrder,
  type EscrowStatus,
  type Hex,
  type TypedData
} from './order.ts'
export { encryptKey, keystorePayer, type Hand, type Payer, type PayerKey, type PayerTransaction } from './payer.ts'
export { connectRpc, type Rpc, type RpcConnection } from './rpc.ts'
export type { SenderTiming, SendOptions, SendResult } from './sender.ts'
export type { EscrowStore, StoreOperation } from './store.ts'
export { createWatcher, type FactHandler, type Watcher, type WatcherComponents, type WatcherInit } from './watcher.ts'
export type { Cursor } from './watch-state.ts'
