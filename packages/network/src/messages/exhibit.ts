/**
 * One message, opened to a third. Either party of a conversation can show a single letter to an arbitrator: the
 * arbitrator learns who wrote it, to whom and when, and that the box with this head holds it; nothing of any other
 * letter, since the key that is shown belongs to this box alone.
 */
import { type Did, didFromKey, encodeCanonical, sameBytes } from '@souk/records'
import { decodeMap, expectShape } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import { boxHeadBytes, exhibitBytesMax } from './limits.ts'
import { checkOpening, type Opening } from './seal.ts'

/** What an exhibit shows. */
export interface Exhibited {
  readonly from: Did
  readonly to: Did
  readonly messageId: string
  readonly payload: Uint8Array
  /** By the writer's clock. */
  readonly sentAtMs: number
}

/** @param to - Identity that the letter was written to, 32 bytes. */
export function writeExhibit(opening: Opening, to: Uint8Array): Uint8Array {
  const { head, prekey, frankKey: key, letter } = opening
  return encodeCanonical({ v: 1, to, head, prekey, key, letter })
}

/**
 * Checks an exhibit, whoever shows it, and returns what it shows.
 *
 * @param bytes - At most {@link exhibitBytesMax} bytes.
 * @param options.box - A box that a relay or the other party has kept; the exhibit then must be of this one.
 * @throws {@link ProtocolError} `too-large`, `malformed`, `bad-version`, `bad-frank` or `bad-signature`.
 */
export function openExhibit(bytes: Uint8Array, options: { box?: Uint8Array } = {}): Exhibited {
  const { v, to, head, prekey, key, letter, ...rest } = decodeMap(bytes, exhibitBytesMax)
  if (v !== 1) throw new ProtocolError('bad-version', 'version 1 is the only one known')
  expectShape(Object.keys(rest).length === 0, 'an exhibit has no other fields')
  expectShape(isBytes(to, 32) && isBytes(prekey, 32) && isBytes(key, 32), 'keys are 32 bytes')
  expectShape(isBytes(head, boxHeadBytes) && letter instanceof Uint8Array, '`head` and `letter` are bytes')
  const shown = checkOpening({ head, prekey, frankKey: key, letter }, to)
  if (options.box !== undefined && !sameBytes(options.box.subarray(0, boxHeadBytes), head)) {
    throw new ProtocolError('bad-frank', 'the exhibit is of another box')
  }
  const { messageId, payload, sentAtMs } = shown
  return { from: didFromKey(shown.from), to: didFromKey(to), messageId, payload, sentAtMs }
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}
