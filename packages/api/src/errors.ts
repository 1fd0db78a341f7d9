import type { NodeErrorCode } from '@souk/node'

/** What the API itself refuses; errors of the node keep their own codes. */
export type ApiErrorCode =
  | 'unauthorised'
  | 'forbidden'
  | 'bad-host'
  | 'bad-origin'
  | 'no-route'
  | 'not-found'
  | 'method-not-allowed'
  | 'bad-request'
  | 'unsupported-media-type'
  | 'body-too-large'
  | 'too-many-requests'
  | 'remote-bind-refused'
  | 'open-socket-folder'
  | 'bad-code'
  | 'internal'

export class ApiError extends Error {
  readonly code: ApiErrorCode
  /** What the caller can do about it. */
  readonly hint: string | undefined

  constructor(code: ApiErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options)
    this.name = 'ApiError'
    this.code = code
    this.hint = options.hint
  }
}

/** The status of an error class's codes: `otherwise` where a code is not named. */
interface Statuses {
  readonly otherwise: number
  readonly [code: string]: number
}

/**
 * Whose errors a caller may read, by class and not by code alone: `damaged` is a picture in one package and the store
 * in another. 422: understood, and refused for what it says.
 */
const statuses = {
  ApiError: {
    otherwise: 500,
    'bad-request': 400,
    unauthorised: 401,
    'bad-code': 401,
    forbidden: 403,
    'bad-host': 403,
    'bad-origin': 403,
    'no-route': 404,
    'not-found': 404,
    'method-not-allowed': 405,
    'body-too-large': 413,
    'unsupported-media-type': 415,
    'too-many-requests': 429
  },
  NodeError: {
    otherwise: 422,
    'not-found': 404,
    'not-yours': 403,
    'no-profile': 409,
    'not-allowed-now': 409,
    'already-given': 409,
    'key-used': 409,
    'out-of-stock': 409,
    'own-listing': 409,
    early: 409,
    unreachable: 502
  },
  RecordError: { otherwise: 422, 'too-large': 413, 'bad-identity': 400 },
  TradingError: { otherwise: 422, 'not-allowed': 409, 'out-of-stock': 409 },
  EscrowError: {
    otherwise: 422,
    'already-funded': 409,
    rpc: 502,
    'bad-rpc-answer': 502,
    disagree: 502,
    reorg: 502,
    aborted: 503,
    timeout: 504
  },
  ImagesError: {
    otherwise: 422,
    'bad-cid': 400,
    'not-found': 404,
    'not-held': 404,
    'too-large': 413,
    'too-many-pixels': 413,
    'not-an-image': 415,
    busy: 503,
    closed: 503,
    'quota-exceeded': 507
  },
  NetworkError: { otherwise: 422, 'bad-address': 400, 'peer-refused': 409, unreachable: 502 },
  StorageError: { otherwise: 503, 'bad-argument': 400, limit: 422 }
} satisfies Record<string, Statuses>

/** An error as it travels: `{error: {code, message, hint?}}`. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string | undefined }
}

/**
 * What the caller may know of an error. Our packages' errors are for people; anything else is our mistake and says
 * nothing about the inside.
 */
export function describeError(error: unknown): { status: number; body: ErrorBody } {
  const known = error instanceof Error ? own<Statuses>(statuses, error.name) : undefined
  if (known === undefined || !isCoded(error)) {
    return { status: 500, body: { error: { code: 'internal', message: 'the node failed; its log says more' } } }
  }
  const { code, message } = error
  const hint = error instanceof ApiError ? error.hint : undefined
  const status = own(known, code) ?? known.otherwise
  return { status, body: { error: { code, message, ...(hint === undefined ? {} : { hint }) } } }
}

/** The status of a code of the node's own. */
export function statusOfNode(code: NodeErrorCode): number {
  return own<number>(statuses.NodeError, code) ?? statuses.NodeError.otherwise
}

/** An error may call itself `toString`. */
function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

function isCoded(error: unknown): error is Error & { code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
}
