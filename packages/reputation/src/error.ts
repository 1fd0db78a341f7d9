/**
 * - `bad-edge`: a feedback edge, or a completed order, with a field that cannot be;
 * - `bad-init`: a setting out of its range;
 * - `bad-request`: a question that cannot be answered (no root, too many, a clock that is no time);
 * - `full`: the graph holds as many edges as it may.
 */
export type ReputationErrorCode = 'bad-edge' | 'bad-init' | 'bad-request' | 'full'

/** The only error this package throws on purpose. */
export class ReputationError extends Error {
  override readonly name = 'ReputationError'
  readonly code: ReputationErrorCode

  constructor(code: ReputationErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
