import { type ContentOf, openRecord, RecordError, type SoukRecord, workFloor } from '@souk/records'
import { ProtocolError } from './protocol-error.ts'

/** The kinds of records that peers keep for others. */
type KeptKind = 'feedback' | 'presence'

/** A record of a kind, with content: not a withdrawal. */
export type KeptRecord<K extends KeptKind> = SoukRecord<K> & { readonly content: ContentOf<K> }

/**
 * Opens bytes that ought to be a record of a kind, as everybody does who keeps it for others or reads it from them. Without the
 * work that every author brings no signature is looked at: to check one costs more than to make it.
 *
 * @throws {@link ProtocolError} `too-large`, `expired`, `not-yet-valid`, `below-floor`, or `not-` and the kind, with the record's
 * own error as its cause.
 */
export function openKept<K extends KeptKind>(
  kind: K,
  bytes: Uint8Array,
  { nowMs, bytesMax }: { nowMs: number; bytesMax: number }
): KeptRecord<K> {
  if (bytes.length > bytesMax) {
    throw new ProtocolError('too-large', `a ${kind} of ${bytes.length} bytes is over ${bytesMax}`)
  }
  const record = open(kind, bytes, nowMs)
  if (record.kind !== kind || record.content === null) {
    throw new ProtocolError(`not-${kind}`, `a ${record.kind} is not a ${kind}`)
  }
  return record as KeptRecord<K>
}

function open(kind: KeptKind, bytes: Uint8Array, nowMs: number): ReturnType<typeof openRecord> {
  try {
    return openRecord(bytes, { nowMs, asks: workFloor })
  } catch (cause) {
    throw refusalOf(cause as Error, kind)
  }
}

function refusalOf(cause: Error, kind: KeptKind): ProtocolError {
  const code = cause instanceof RecordError ? cause.code : undefined
  // The floor is what is asked here, by everybody and always: no load, no trust.
  if (code === 'too-little-work') {
    return new ProtocolError('below-floor', `a ${kind} has the work that every author brings`, { cause })
  }
  // Wrong by this clock only: the peer that sent it may have a better one.
  const isOfTime = code === 'expired' || code === 'not-yet-valid'
  return new ProtocolError(isOfTime ? code : `not-${kind}`, cause.message, { cause })
}
