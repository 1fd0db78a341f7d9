/**
 * What can go wrong, by stable code. All but the first three are the peer's doing and end the session:
 *
 * - `bad-item`, `bad-limit`, `misuse`: our own caller's mistakes;
 * - `session-ended`: a message after the end, or after an error;
 * - `message-too-large`, `truncated`, `bad-version`, `varint-too-long`, `varint-not-minimal`, `bad-bound`,
 *   `out-of-order`, `bad-mode`: bytes that are no message;
 * - `too-many-ranges`, `too-many-ids`, `too-many-results`, `too-many-rounds`: a message above a bound of `limits.ts`;
 * - `asked-again`: what the session has been told before.
 */
export type NegentropyErrorCode =
  | 'bad-item'
  | 'bad-limit'
  | 'misuse'
  | 'session-ended'
  | 'message-too-large'
  | 'truncated'
  | 'bad-version'
  | 'varint-too-long'
  | 'varint-not-minimal'
  | 'bad-bound'
  | 'out-of-order'
  | 'bad-mode'
  | 'too-many-ranges'
  | 'too-many-ids'
  | 'too-many-results'
  | 'too-many-rounds'
  | 'asked-again'

/** The only error this package throws on purpose. */
export class NegentropyError extends Error {
  override readonly name = 'NegentropyError'
  readonly code: NegentropyErrorCode

  constructor(code: NegentropyErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
