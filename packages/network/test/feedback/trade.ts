import { randomBytes } from '@noble/hashes/utils.js'
import { encodeStatement, recordIdOfDigest, sealRecord, type Signer, signerFromKey, signStatement } from '@souk/records'
import { bytesToHex } from '@noble/hashes/utils.js'
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
}

/** The buyer's feedback on the seller after one direct trade, with a receipt that both signed. */
export function feedbackOf(init: TradeInit): FeedbackRecord {
  const { buyer, seller, nowMs = Date.now(), order = randomBytes(32) } = init
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
  return sealRecord(draft, buyer) as FeedbackRecord
}
