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

/** The one error of this package. `code` is stable; the message states the value, the bound and the remedy. */
export class RecordError extends Error {
  readonly code: RecordErrorCode

  constructor(code: RecordErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'RecordError'
    this.code = code
  }
}
