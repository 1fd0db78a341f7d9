/**
 * What can go wrong, by stable code:
 *
 * - `start-failed`: a process ended, or said nothing of use, before it was ready;
 * - `stopped`: a process that is needed is not running;
 * - `timed-out`: what was waited for did not come;
 * - `not-as-expected`: it came, and is wrong;
 * - `no-such-person`: nobody of that name is in this market.
 */
export type DevnetErrorCode = 'start-failed' | 'stopped' | 'timed-out' | 'not-as-expected' | 'no-such-person'

/** The one error of this package. */
export class DevnetError extends Error {
  readonly code: DevnetErrorCode

  constructor(code: DevnetErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'DevnetError'
    this.code = code
  }
}
