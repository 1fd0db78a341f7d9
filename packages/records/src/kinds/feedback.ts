import { bytesToHex } from '@noble/hashes/utils.js'
import * as z from 'zod'
import { sameBytes } from '../canonical.ts'
import { RecordError } from '../errors.ts'
import type { CheckedFields } from '../kinds.ts'
import { clockSkewMsMax, textCharsMax } from '../limits.ts'
import { type OpenedReceipt, openReceipt, receipt } from '../receipt.ts'
import type { Verify } from '../signature.ts'
import { bytesOf, count, text } from './fields.ts'

const stars = count(5).min(1)

/** One party's rating of the other after one order. Immutable, addressed by its hash. */
export const feedbackContent = z.looseObject({
  /** Who is rated: 32-byte public key. */
  subject: bytesOf(32),
  /** What the rater was in the order. */
  role: z.enum(['buyer', 'seller']),
  stars,
  aspects: z
    .looseObject({
      described: stars.optional(),
      communication: stars.optional(),
      punctuality: stars.optional(),
      care: stars.optional()
    })
    .optional(),
  text: text(textCharsMax / 4),
  receipt
})

/**
 * A feedback without a receipt of both parties is no feedback: the rater and the rated are the two who signed, and
 * the key is the order's id, so that one party has one slot an order.
 *
 * @throws {@link RecordError} `receipt-missing`, `receipt-bad-signature` or `receipt-mismatch`.
 */
export function checkFeedback(
  fields: CheckedFields,
  content: z.infer<typeof feedbackContent>,
  options: { verify?: Verify } = {}
): OpenedReceipt {
  const opened = openReceipt(content.receipt, options)
  const { statement } = opened
  const [rater, rated] =
    content.role === 'buyer' ? [statement.buyer, statement.seller] : [statement.seller, statement.buyer]
  if (!sameBytes(rater, fields.author) || !sameBytes(rated, content.subject)) {
    throw new RecordError('receipt-mismatch', 'the receipt is of other parties than the rater and the rated')
  }
  if (fields.key !== bytesToHex(statement.order)) {
    throw new RecordError('receipt-mismatch', 'the key of a feedback is the id of the order in its receipt')
  }
  // The two signed by different clocks; each may be off by as much as any record's.
  if (fields.createdAt + clockSkewMsMax < statement.at) {
    throw new RecordError('receipt-mismatch', 'the feedback is older than what it rates')
  }
  return opened
}

/** Names the worst fault of a feedback before its fields are looked at. */
export function requireReceipt(content: unknown): void {
  if ((content as { receipt?: unknown }).receipt === undefined) {
    throw new RecordError('receipt-missing', 'a feedback carries the receipt of the order that it rates')
  }
}
