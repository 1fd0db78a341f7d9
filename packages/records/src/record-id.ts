import { sha256 } from '#platform'

/** The id of a record: CIDv1 (dag-cbor, sha2-256 of the body) in base32, `bafyrei…`. The signature is not part of it. */
export type RecordId = string & { readonly __brand: 'RecordId' }

/** True for a record's id in its one form: what a person or a peer typed is a `RecordId` only after this. */
export function isRecordId(text: string): text is RecordId {
  return idPattern.test(text)
}

/** 01 71 12 20 and 32 bytes in base32: 290 bits, of which the last two are zero. */
const idPattern = /^bafyrei[a-h][a-z2-7]{50}[aeimquy4]$/

/** The 32-byte SHA-256 inside an id. */
export function recordDigest(id: RecordId): Uint8Array {
  const digest = new Uint8Array(32)
  let at = 0
  // The first two bits of the first letter belong to the head.
  let [bits, value] = [-2, 0]
  for (let index = idHead.length; index < idChars; index++) {
    value = ((value & 127) << 5) | letterValue(id.charCodeAt(index))
    bits += 5
    if (bits < 8) continue
    bits -= 8
    digest[at++] = value >>> bits
  }
  return digest
}

/**
 * Letter by letter: a library adds each to the text before it, and what comes of that is a rope of 1.3 kB, which lives as
 * long as the record does, where its text is 80 bytes.
 *
 * @param digest - 32 bytes, SHA-256 of a body.
 */
export function recordIdOfDigest(digest: Uint8Array): RecordId {
  const codes = new Uint8Array(idChars)
  codes.set(idHead)
  let at = idHead.length
  // The last two bits of the head are zero.
  let [bits, value] = [2, 0]
  for (const byte of digest) {
    value = (value << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) codes[at++] = letterCode(value >>> (bits - 5))
    value &= 31
  }
  codes[at] = letterCode(value << (5 - bits))
  return String.fromCharCode.apply(undefined, codes as unknown as number[]) as RecordId
}

const idChars = 59

/** CIDv1, dag-cbor, sha2-256, 32 bytes, which is 01 71 12 20, as far as it fills letters. */
const idHead = new TextEncoder().encode('bafyrei')

/** RFC 4648 section 6, in lower case. @param value - Its last five bits count. */
function letterCode(value: number): number {
  const five = value & 31
  return five < 26 ? 97 + five : 24 + five
}

function letterValue(code: number): number {
  return code < 97 ? code - 24 : code - 97
}

/** @param body - In its one byte form. */
export function recordIdOfBody(body: Uint8Array): RecordId {
  return recordIdOfDigest(sha256(body))
}
