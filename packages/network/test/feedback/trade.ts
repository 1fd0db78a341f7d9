import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, randomBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import {
  decodeCanonical,
  encodeCanonical,
  encodeStatement,
  findWork,
  recordIdOfDigest,
  sealRecord,
  type Signer,
  signerFromKey,
  signStatement,
  workBitsMin
} from '@souk/records'
import { CID } from 'multiformats/cid'
import type { FeedbackRecord } from '../../src/feedback/value.ts'

/** A person with a fresh key. */
export function person(): Signer {
  return signerFromKey(randomBytes(32))
}

export interface TradeInit {
  readonly buyer: Signer
  readonly seller: Signer
  readonly stars?: number
  readonly text?: string
  readonly nowMs?: number
  readonly lifeMs?: number
  /** Two ratings of one order have the same. */
  readonly order?: Uint8Array
  /** The floor when left out, with a nonce of three bytes: what has as much text is as long, which decides who gives way. */
  readonly workBits?: number
}

/** The buyer's feedback on the seller after one direct trade, with a receipt that both signed. */
export function feedbackOf(init: TradeInit): FeedbackRecord {
  for (;;) {
    const record = rate(init)
    const nonce = record.work?.nonce ?? 0
    if (init.workBits !== undefined || (nonce >= 2 ** 8 && nonce < 2 ** 16)) return record
  }
}

function rate(init: TradeInit): FeedbackRecord {
  const { buyer, seller, nowMs = Date.now(), order = randomBytes(32), workBits } = init
  const statement = encodeStatement({
    v: 1,
    type: 'closing',
    order,
    terms: randomBytes(32),
    buyer: buyer.publicKey,
    seller: seller.publicKey,
    listing: CID.parse(recordIdOfDigest(randomBytes(32))),
    price: { minor: '1250', currency: 'EUR' },
    settlement: 'direct',
    at: nowMs - 1000
  })
  const receipt = { statement, buyerSig: signStatement(statement, buyer), sellerSig: signStatement(statement, seller) }
  const content = {
    subject: seller.publicKey,
    role: 'buyer' as const,
    stars: init.stars ?? 5,
    text: init.text ?? 'Arrived as described.',
    receipt
  }
  const times = { createdAtMs: nowMs, expiresAtMs: nowMs + (init.lifeMs ?? 700 * 24 * 3600 * 1000) }
  const draft = { kind: 'feedback' as const, market: 'main', key: bytesToHex(order), seq: 0, ...times, content }
  return sealRecord(draft, buyer, workBits === undefined ? {} : { workBits }) as FeedbackRecord
}

/**
 * The same feedback with other content, worked for and well signed by its author: what a hostile rater can make.
 *
 * @returns The signed bytes and the digest of their id.
 */
export function resealed(
  record: FeedbackRecord,
  author: Signer,
  change: (content: FeedbackRecord['content']) => unknown
): { bytes: Uint8Array; digest: Uint8Array } {
  const { body } = decodeCanonical(record.bytes, { bytesMax: 8192 }) as { body: Uint8Array }
  const { pow: _, ...fields } = decodeCanonical(body, { bytesMax: 8192 }) as Record<string, unknown>
  const plain = { ...fields, content: change(record.content) }
  const other = encodeCanonical({ ...plain, pow: findWork(encodeCanonical(plain), workBitsMin) })
  const sig = author.sign(concatBytes(utf8ToBytes('souk/record/1\n'), other))
  return { bytes: encodeCanonical({ body: other, sig }), digest: sha256(other) }
}
