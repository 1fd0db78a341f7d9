/** What the command line itself refuses or fails at; codes of the node and the API come through as they are. */
export type CliErrorCode =
  | 'usage'
  | 'unknown-field'
  | 'bad-file'
  | 'bad-config'
  | 'bad-home'
  | 'no-terminal'
  | 'no-identity'
  | 'no-passphrase'
  | 'weak-passphrase'
  | 'already-initialised'
  | 'already-running'
  | 'unreachable-node'
  | 'order-ended'
  | 'not-well'
  | 'some-failed'
  | 'timed-out'
  | 'cancelled'

export class CliError extends Error {
  readonly code: CliErrorCode
  /** What the person can do about it. */
  readonly hint: string | undefined

  constructor(code: CliErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options)
    this.name = 'CliError'
    this.code = code
    this.hint = options.hint
  }
}

/** An error as it is shown: stable code, one sentence, and what to do. */
export interface Shown {
  readonly code: string
  readonly message: string
  readonly hint?: string
}

/** @returns What a person is told; errors without a code of ours are our mistakes and are called `internal`. */
export function showError(error: unknown): Shown {
  if (!(error instanceof Error)) return { code: 'internal', message: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'internal'
  const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined
  return { code, message: error.message, ...(hint === undefined ? {} : { hint }) }
}

/**
 * Exit status of an error: 1 failure, 2 usage, 4 not authorised, 5 not found, 6 conflict, 7 node unreachable,
 * 8 timed out, 130 cancelled. Codes come first, then the HTTP status that the node answered with.
 */
export function exitStatusOf(error: unknown): number {
  const { code } = showError(error)
  const status = typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : undefined
  return byCode.get(code) ?? byStatus.get(status ?? -1) ?? 1
}

const byCode: ReadonlyMap<string, number> = new Map(
  Object.entries({
    usage: 2,
    'unknown-field': 2,
    'bad-file': 2,
    'bad-draft': 2,
    'bad-money': 2,
    'bad-identity': 2,
    'bad-phrase': 2,
    'no-terminal': 2,
    'weak-passphrase': 2,
    'no-passphrase': 4,
    'wrong-passphrase': 4,
    'no-identity': 5,
    'already-initialised': 6,
    'already-running': 6,
    'order-ended': 6,
    locked: 6,
    'unreachable-node': 7,
    unreachable: 7,
    'timed-out': 8,
    timeout: 8,
    cancelled: 130
  })
)

const byStatus: ReadonlyMap<number, number> = new Map([
  [400, 2],
  [401, 4],
  [403, 4],
  [404, 5],
  [408, 8],
  [409, 6],
  [413, 2],
  [415, 2],
  [504, 8]
])
