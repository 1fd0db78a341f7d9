/**
 * What can go wrong between two peers that catch up. All but these are the other side's doing and cost it:
 *
 * - `busy`, `over-budget`: the other side refuses for now;
 * - `broken`: the stream ended or took too long;
 * - `refused-record`: the gate refused a record, and has charged for it;
 * - `too-many-ids`: more than one session takes; the rest comes with the next.
 */
export type SyncErrorCode =
  | 'busy'
  | 'over-budget'
  | 'broken'
  | 'refused-record'
  | 'too-many-ids'
  | 'bad-frame'
  | 'frame-too-large'
  | 'bad-reconciliation'
  | 'asked-again'
  | 'withheld-records'

/** An error of one session. */
export class SyncError extends Error {
  readonly code: SyncErrorCode

  constructor(code: SyncErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'SyncError'
    this.code = code
  }
}

/** True when the other side did what no honest peer does. */
export function isOffence({ code }: SyncError): boolean {
  return !['busy', 'over-budget', 'broken', 'refused-record', 'too-many-ids'].includes(code)
}
