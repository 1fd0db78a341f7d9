/** What can be wrong with a record, in the order in which it is checked. Stable: peers and tests rely on the names. */
export type RecordErrorCode =
  | 'too-large'
  | 'too-deep'
  | 'not-cbor'
  | 'not-canonical'
  | 'bad-envelope'
  | 'bad-version'
  | 'unknown-kind'
  | 'bad-body'
  | 'not-yet-valid'
  | 'expired'
  | 'lives-too-long'
  | 'bad-work'
  | 'too-little-work'
  | 'bad-signature'
  | 'bad-content'
  | 'not-deletable'
  | 'receipt-missing'
  | 'receipt-bad-signature'
  | 'receipt-mismatch'
  | 'bad-phrase'
  | 'bad-keystore'
  | 'wrong-passphrase'
  | 'bad-identity'
  | 'bad-money'
  | 'currency-mismatch'

/**
 * Why bytes from a peer were not opened, where nobody is to be told by an error: a stack takes 13 µs, more than all the
 * checks before it, and what is refused comes five thousand at a time.
 */
export interface Refusal {
  readonly refused: RecordErrorCode
  readonly message: string
  /** What a check threw, where one did. */
  readonly cause?: RecordError
}

/** The one error of this package. `code` is stable; the message states the value, the bound and the remedy. */
export class RecordError extends Error {
  readonly code: RecordErrorCode

  constructor(code: RecordErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'RecordError'
    this.code = code
  }
}
