/**
 * Why an operation on images failed.
 *
 * - Of a picture: `not-an-image` (no format we decode), `too-large` (bytes), `too-many-pixels`, `damaged` (a known
 *   format that does not decode), `decode-timeout`, `decoder-crashed`.
 * - Of a call: `bad-cid` (not CIDv1 raw sha2-256), `bad-owner`, `not-held`, `busy`, `closed`.
 * - Of the store: `quota-exceeded` (pinned images fill their room).
 * - Of the network: `not-found` (no provider had it), and of a single provider `block-refused`, `block-busy`, and the
 *   `block-…` codes of docs/protocol/images.md that a peer pays for.
 */
export type ImagesErrorCode =
  | 'not-an-image'
  | 'too-large'
  | 'too-many-pixels'
  | 'damaged'
  | 'decode-timeout'
  | 'decoder-crashed'
  | 'bad-cid'
  | 'bad-owner'
  | 'not-held'
  | 'busy'
  | 'closed'
  | 'quota-exceeded'
  | 'not-found'
  | 'block-refused'
  | 'block-busy'
  | MisbehaviourCode

/** What a peer did on `/souk/block/1` that no honest peer does. */
export type MisbehaviourCode =
  | 'block-wrong-hash'
  | 'block-oversize'
  | 'block-malformed'
  | 'block-trailing'
  | 'block-truncated'
  | 'block-request-malformed'

const misbehaviours: ReadonlySet<string> = new Set<MisbehaviourCode>([
  'block-wrong-hash',
  'block-oversize',
  'block-malformed',
  'block-trailing',
  'block-truncated',
  'block-request-malformed'
])

/** The one error of this package; an abort is not one: it rejects with the signal's reason. */
export class ImagesError extends Error {
  override name = 'ImagesError'
  code: ImagesErrorCode

  constructor(code: ImagesErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The code that the peer behind this failure pays for, if it is to blame at all. */
export function misbehaviourOf(error: unknown): MisbehaviourCode | undefined {
  if (!(error instanceof ImagesError)) return undefined
  return isMisbehaviour(error.code) ? error.code : undefined
}

function isMisbehaviour(code: string): code is MisbehaviourCode {
  return misbehaviours.has(code)
}
