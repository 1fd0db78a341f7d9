/** What the API itself refuses; errors of the node keep their own codes. */
export type ApiErrorCode =
  | 'unauthorised'
  | 'forbidden'
  | 'bad-host'
  | 'bad-origin'
  | 'no-route'
  | 'method-not-allowed'
  | 'bad-request'
  | 'unsupported-media-type'
  | 'body-too-large'
  | 'too-many-requests'
  | 'remote-bind-refused'
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

/** HTTP statuses of codes that are not plain bad input. */
const statuses: Readonly<Record<string, number>> = {
  unauthorised: 401,
  'bad-code': 401,
  forbidden: 403,
  'bad-host': 403,
  'bad-origin': 403,
  'not-yours': 403,
  'no-route': 404,
  'not-found': 404,
  'no-profile': 404,
  'method-not-allowed': 405,
  'not-allowed-now': 409,
  'already-given': 409,
  'out-of-stock': 409,
  'own-listing': 409,
  'body-too-large': 413,
  'unsupported-media-type': 415,
  'bad-request': 400,
  'too-many-requests': 429,
  unreachable: 502,
  internal: 500
}

/** An error as it travels: `{error: {code, message, hint?}}`. */
export interface ErrorBody {
  readonly error: { readonly code: string; readonly message: string; readonly hint?: string | undefined }
}

/**
 * What the caller may know of an error. Errors with a code of ours are for people; anything else is our mistake and
 * says nothing about the inside.
 */
export function describeError(error: unknown): { status: number; body: ErrorBody } {
  if (!isCoded(error)) {
    return { status: 500, body: { error: { code: 'internal', message: 'the node failed; its log says more' } } }
  }
  const { code, message } = error
  const hint = error instanceof ApiError ? error.hint : undefined
  return { status: statuses[code] ?? 422, body: { error: { code, message, ...(hint === undefined ? {} : { hint }) } } }
}

/** Our packages' errors have a lower-case code with hyphens; the platform's (`ECONNREFUSED`) have not. */
function isCoded(error: unknown): error is Error & { code: string } {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && /^[a-z][a-z0-9-]*$/.test(error.code)
  )
}
