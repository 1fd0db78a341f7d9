import { createPublicKey, hash, verify } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { createVerifier, createWorkSearch, openRecord, sealRecord } from '@souk/records'
import { compare, createSigner, perSecond, type Report, sealListings } from './measure.ts'

/** What the signed record costs beside the bare signature. */
export function benchRecords(): Report {
  const signer = createSigner()
  const [record] = sealListings(1, signer)
  if (record === undefined || record.content === null) throw new Error('no record was sealed')
  const { bytes, content, createdAtMs, expiresAtMs } = record
  const secret = ed25519.utils.randomSecretKey()
  const publicKey = createPublicKey({
    key: Buffer.from(signer.publicKey),
    format: 'raw-public',
    asymmetricKeyType: 'ed25519'
  } as never)
  const signature = signer.sign(bytes)
  const nowMs = Date.now()
  const verifier = createVerifier()
  const draft = {
    kind: 'listing',
    market: 'main',
    key: 'hg.00000000',
    seq: 0,
    createdAtMs,
    expiresAtMs,
    content
  } as const
  return {
    'seal a 1 kB listing, against noble sign': compare('records/s', {
      value: perSecond(() => sealRecord(draft, signer, { workBits: 0 }), { count: 400 }),
      baseline: perSecond(() => ed25519.sign(bytes, secret), { count: 400 })
    }),
    'try a nonce for proof of work, against one call of node:crypto': compare('million/s', {
      value: perSecond(() => createWorkSearch(bytes, 32).next(100_000), { count: 20 }) / 10,
      baseline: perSecond(() => hash('sha256', signature, 'buffer'), { count: 200_000 }) / 1e6
    }),
    'open and check a 1 kB listing, against node:crypto verify': compare('records/s', {
      value: perSecond(() => openRecord(bytes, { nowMs, verify: verifier }), { count: 2000 }),
      baseline: perSecond(() => verify(null, bytes, publicKey, signature), { count: 2000 })
    })
  }
}
