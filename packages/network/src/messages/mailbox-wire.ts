/** Questions and answers of `/souk/mailbox/1`: see docs/protocol/messages.md section 5. */
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { encodeCanonical } from '@souk/records'
import { decodeMap, expectShape } from '../exchange.ts'
import { ProtocolError } from '../protocol-error.ts'
import { conversationsMax, digestsPerQuestionMax, envelopeBytesMax, mailboxExchangeLimits } from './limits.ts'

/** Where mailboxes are asked. */
export const mailboxProtocol = '/souk/mailbox/1'

/** What a mailbox server can be asked. Digests, nonces and keys are 32 bytes. */
export type MailboxQuestion =
  | { readonly op: 'put'; readonly envelope: Uint8Array }
  | { readonly op: 'challenge' }
  | { readonly op: 'open'; readonly identity: Uint8Array; readonly sig: Uint8Array }
  | { readonly op: 'list'; readonly after: Uint8Array | undefined }
  | { readonly op: 'take' | 'delete'; readonly digests: readonly Uint8Array[] }
  | { readonly op: 'admit'; readonly keys: readonly Uint8Array[] }

/** What became of an envelope. */
export type PutOutcome = { readonly status: 'kept' | 'known' } | { readonly status: 'refused'; readonly code: string }

/** Digests in the order of arrival. */
export interface MailboxPage {
  readonly digests: readonly Uint8Array[]
  readonly more: boolean
}

export function encodeMailboxQuestion(question: MailboxQuestion): Uint8Array {
  switch (question.op) {
    case 'put':
    case 'challenge':
    case 'open':
      return encodeCanonical({ v: 1, ...question })
    case 'list':
      return encodeCanonical({ v: 1, op: 'list', ...(question.after && { after: question.after }) })
    case 'take':
    case 'delete':
      return encodeCanonical({ v: 1, op: question.op, ids: concatBytes(...question.digests) })
    case 'admit':
      return encodeCanonical({ v: 1, op: 'admit', keys: concatBytes(...question.keys) })
  }
}

/** @throws {@link ProtocolError} `malformed` or `too-large`. */
export function decodeMailboxQuestion(bytes: Uint8Array): MailboxQuestion {
  const { op, ...fields } = mapOf(bytes, mailboxExchangeLimits.questionBytesMax)
  switch (op) {
    case 'put': {
      const { envelope } = fields
      expectShape(envelope instanceof Uint8Array && envelope.length <= envelopeBytesMax, '`envelope` is bytes')
      return { op, envelope: new Uint8Array(envelope) }
    }
    case 'challenge':
      return { op }
    case 'open': {
      const { identity, sig } = fields
      expectShape(isBytes(identity, 32) && isBytes(sig, 64), '`identity` is 32 bytes and `sig` 64')
      return { op, identity: new Uint8Array(identity), sig }
    }
    case 'list': {
      const { after } = fields
      expectShape(after === undefined || isBytes(after, 32), '`after` is 32 bytes')
      return { op, after }
    }
    case 'take':
    case 'delete':
      return { op, digests: split(fields['ids'], digestsPerQuestionMax) }
    case 'admit':
      return { op, keys: split(fields['keys'], conversationsMax) }
    default:
      throw new ProtocolError('malformed', '`op` is none that is known')
  }
}

export const encodeMailboxAnswer = {
  put: (outcome: PutOutcome): Uint8Array => encodeCanonical({ v: 1, ...outcome }),
  challenge: (nonce: Uint8Array): Uint8Array => encodeCanonical({ v: 1, nonce }),
  done: (): Uint8Array => encodeCanonical({ v: 1 }),
  list: ({ digests, more }: MailboxPage): Uint8Array => encodeCanonical({ v: 1, ids: concatBytes(...digests), more }),
  take: (envelopes: readonly Uint8Array[]): Uint8Array => encodeCanonical({ v: 1, envelopes })
}

/** Each throws {@link ProtocolError} `malformed` or `too-large`. */
export const decodeMailboxAnswer = {
  put: (bytes: Uint8Array): PutOutcome => {
    const { status, code } = answerOf(bytes)
    if (status === 'kept' || status === 'known') return { status }
    expectShape(status === 'refused' && typeof code === 'string' && code.length <= 40, 'a refusal has a code')
    return { status, code }
  },
  challenge: (bytes: Uint8Array): Uint8Array => {
    const { nonce } = answerOf(bytes)
    expectShape(isBytes(nonce, 32), '`nonce` is 32 bytes')
    return nonce
  },
  done: (bytes: Uint8Array): void => void answerOf(bytes),
  list: (bytes: Uint8Array): MailboxPage => {
    const { ids, more } = answerOf(bytes)
    const digests = split(ids, digestsPerQuestionMax)
    expectShape(typeof more === 'boolean' && (!more || digests.length > 0), 'a page that others follow is not empty')
    return { digests, more }
  },
  take: (bytes: Uint8Array): readonly Uint8Array[] => {
    const { envelopes } = answerOf(bytes)
    expectShape(Array.isArray(envelopes) && envelopes.length <= digestsPerQuestionMax, '`envelopes` is a short list')
    return envelopes.map((each: unknown) => {
      expectShape(each instanceof Uint8Array && each.length <= envelopeBytesMax, 'an envelope is bytes')
      return new Uint8Array(each)
    })
  }
}

/** What an identity signs to open its mailbox: good for one server, one peer and one nonce. */
export function openingBytes(opening: { mailbox: string; peer: string; nonce: Uint8Array }): Uint8Array {
  return concatBytes(openingInfo, encodeCanonical({ ...opening }))
}

const openingInfo = utf8ToBytes('souk/mailbox/1\n')

function answerOf(bytes: Uint8Array): Record<string, unknown> {
  return mapOf(bytes, mailboxExchangeLimits.answerBytesMax)
}

function mapOf(bytes: Uint8Array, bytesMax: number): Record<string, unknown> {
  const { v, ...fields } = decodeMap(bytes, bytesMax)
  expectShape(v === 1, 'version 1 is the only one known')
  return fields
}

function split(joined: unknown, most: number): Uint8Array[] {
  expectShape(joined instanceof Uint8Array && joined.length % 32 === 0, 'ids and keys are 32 bytes each')
  expectShape(joined.length <= most * 32, `at most ${most} ids or keys`)
  return Array.from({ length: joined.length / 32 }, (_, index) => joined.slice(index * 32, index * 32 + 32))
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}
