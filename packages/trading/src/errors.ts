/** Why bytes are no event, in the order in which it is checked. Stable: peers and tests rely on the names. */
export type EventErrorCode =
  | 'too-large'
  | 'not-cbor'
  | 'too-deep'
  | 'not-canonical'
  | 'bad-envelope'
  | 'bad-version'
  | 'unknown-type'
  | 'bad-body'
  | 'not-yet-valid'
  | 'bad-signature'
  | 'bad-payload'
  | 'too-many-events'

/** Why terms are refused before any money moves, in the order in which it is checked. */
export type TermsErrorCode =
  | 'bad-terms'
  | 'wrong-listing'
  | 'expired-listing'
  | 'unsupported-trade'
  | 'unsupported-settlement'
  | 'wrong-chain'
  | 'wrong-contract'
  | 'wrong-token'
  | 'wrong-seller-address'
  | 'wrong-buyer-address'
  | 'wrong-arbiter'
  | 'unsupported-delivery'
  | 'out-of-stock'
  | 'wrong-amount'
  | 'over-cap'
  | 'bad-deadline'

export type TradingErrorCode =
  | EventErrorCode
  | TermsErrorCode
  | 'wrong-escrow'
  | 'mixed-orders'
  | 'no-receipt'
  | 'not-allowed'

/** The one error of this package. `code` is stable; the message states the value, the bound and the remedy. */
export class TradingError extends Error {
  readonly code: TradingErrorCode

  constructor(code: TradingErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'TradingError'
    this.code = code
  }
}
