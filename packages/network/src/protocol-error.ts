/** What can go wrong with a question, an answer or a sealed message. Stable: tests and callers rely on the names. */
export type ProtocolErrorCode =
  // One question and its answer (exchange.ts)
  | 'unreachable'
  | 'timed-out'
  | 'stream-broken'
  | 'too-large'
  | 'malformed'
  | 'refused'
  // Feedback and located sets
  | 'not-feedback'
  | 'below-floor'
  | 'wrong-key'
  | 'wrong-subject'
  | 'slot-full'
  | 'author-full'
  | 'subject-full'
  | 'store-full'
  | 'peer-full'
  | 'ids-not-ascending'
  | 'not-asked-for'
  // Presence
  | 'not-presence'
  | 'stale'
  // Sealed messages
  | 'bad-version'
  | 'wrong-recipient'
  | 'unknown-prekey'
  | 'weak-key'
  | 'not-openable'
  | 'bad-padding'
  | 'bad-frank'
  | 'bad-signature'
  | 'work-missing'
  | 'not-yet-valid'
  | 'expired'
  | 'not-processed'
  | 'bad-proof'
  // Mailboxes
  | 'not-authenticated'
  | 'unknown-recipient'
  | 'mailbox-full'
  | 'sender-full'
  | 'address-full'

/** An error of one of this package's request protocols. `cause` keeps what libp2p or the codec said. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode

  constructor(code: ProtocolErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'ProtocolError'
    this.code = code
  }
}
