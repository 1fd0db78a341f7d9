/** What a node can refuse or fail at. Stable: the API turns them into statuses, people's programs match on them. */
export type NodeErrorCode =
  | 'not-found'
  | 'not-yours'
  | 'bad-draft'
  | 'no-profile'
  | 'no-chain'
  | 'no-escrow-price'
  | 'out-of-stock'
  | 'not-allowed-now'
  | 'already-given'
  | 'key-used'
  | 'unreachable'
  | 'own-listing'
  | 'refused'
  | 'early'

/** The node's own errors; those of the packages below (records, trading, escrow, …) pass through as they are. */
export class NodeError extends Error {
  readonly code: NodeErrorCode

  constructor(code: NodeErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'NodeError'
    this.code = code
  }
}
