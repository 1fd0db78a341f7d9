/** What can go wrong with a network as a whole. Stable: callers and tests rely on the names. */
export type NetworkErrorCode =
  /** An address that is no multiaddr, or one without the peer id that it needs. */
  | 'bad-address'
  /** No address of the peer answered. */
  | 'unreachable'
  /** The peer is being refused because of what it did; see `guard.report()`. */
  | 'peer-refused'

/** The error of a network's own methods. `cause` keeps what libp2p or the record said. */
export class NetworkError extends Error {
  readonly code: NetworkErrorCode

  constructor(code: NetworkErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'NetworkError'
    this.code = code
  }
}
