import type * as z from 'zod'
import { RecordError } from './errors.ts'
import { checkFeedback, feedbackContent, requireReceipt } from './kinds/feedback.ts'
import { checkListing, listingContent } from './kinds/listing.ts'
import { presenceContent } from './kinds/presence.ts'
import { profileContent } from './kinds/profile.ts'
import { kindLimits } from './limits.ts'
import type { Verify } from './signature.ts'

/** What each kind of record says. */
const contents = {
  profile: profileContent,
  listing: listingContent,
  feedback: feedbackContent,
  presence: presenceContent
}

/** A kind of record that this version knows. */
export type RecordKind = keyof typeof contents

/** The content of a record of kind `K`. */
export type ContentOf<K extends RecordKind> = z.infer<(typeof contents)[K]>

/** All kinds, in the order of their introduction. */
export const recordKinds = Object.keys(contents) as readonly RecordKind[]

/** What a kind's own check may look at: the record's fields once their shape is known. */
export interface CheckedFields {
  readonly kind: RecordKind
  readonly author: Uint8Array
  readonly market: string
  readonly key: string
  readonly seq: number
  readonly createdAt: number
  readonly expiresAt: number
  readonly content: unknown
}

/**
 * Checks that content means something for its kind: shape and bounds first, then what the fields say about each
 * other. A pure function of the record: no other record and no setting can change the answer.
 *
 * @throws {@link RecordError} `bad-content`, `not-deletable`, or a code of the kind's own.
 */
export function checkContent(fields: CheckedFields, options: { verify?: Verify } = {}): void {
  if (kindLimits[fields.kind].immutable && (fields.content === null || fields.seq !== 0)) {
    throw new RecordError('not-deletable', `a ${fields.kind} is never changed or deleted: it has content and seq 0`)
  }
  if (fields.kind === 'listing') checkListing(fields)
  if ((fields.kind === 'profile' || fields.kind === 'presence') && fields.key !== '') {
    throw new RecordError('bad-content', `the key of a ${fields.kind} is empty`)
  }
  if (fields.content === null) return
  if (fields.kind === 'feedback') requireReceipt(fields.content)
  const result = contents[fields.kind].safeParse(fields.content)
  if (!result.success) throw new RecordError('bad-content', describe(fields.kind, result.error))
  if (fields.kind === 'feedback') checkFeedback(fields, result.data as ContentOf<'feedback'>, options)
}

/** One line that names the first wrong field. */
function describe(kind: RecordKind, error: z.ZodError): string {
  const issue = error.issues[0]
  return `${kind}.${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'not as specified'}`
}
