/**
 * Why this package refused or failed.
 *
 * Before money moves: `bad-order` (shape), `wrong-chain`, `wrong-contract`, `wrong-token`, `wrong-amount`,
 * `wrong-party`, `wrong-arbiter`, `wrong-fee`, `wrong-terms`, `wrong-window`, `over-cap`, `bad-signature`,
 * `insufficient-funds`, `already-funded`, `refused` (the contract would revert; see {@link EscrowError.contractError}).
 *
 * After: `reverted` (mined and undone), `timeout` (no receipt yet; call again with the same key), `key-reused`,
 * `no-credit`, `aborted`.
 *
 * Set-up and chain: `no-payer`, `bad-keystore`, `no-deployer`, `rpc`, `bad-rpc-answer`, `disagree`, `reorg`.
 */
export type EscrowErrorCode =
  | 'bad-order'
  | 'wrong-chain'
  | 'wrong-contract'
  | 'wrong-token'
  | 'wrong-amount'
  | 'wrong-party'
  | 'wrong-arbiter'
  | 'wrong-fee'
  | 'wrong-terms'
  | 'wrong-window'
  | 'over-cap'
  | 'bad-signature'
  | 'insufficient-funds'
  | 'already-funded'
  | 'refused'
  | 'reverted'
  | 'timeout'
  | 'key-reused'
  | 'no-credit'
  | 'aborted'
  | 'no-payer'
  | 'bad-keystore'
  | 'no-deployer'
  | 'rpc'
  | 'bad-rpc-answer'
  | 'disagree'
  | 'reorg'

/** The one error of this package. Tests and programs read `code`; people read the message. */
export class EscrowError extends Error {
  override readonly name = 'EscrowError'
  readonly code: EscrowErrorCode
  /** The contract's own error, such as `TooLate` or `BadStatus`, when it was the contract that refused. */
  readonly contractError: string | undefined

  constructor(code: EscrowErrorCode, message: string, options?: { cause?: unknown; contractError?: string }) {
    super(message, options && 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.contractError = options?.contractError
  }
}
