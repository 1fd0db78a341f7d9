import { createPublicKey, verify } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { createVerifier, openRecord, sealRecord } from '@souk/records'
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
      value: perSecond(() => sealRecord(draft, signer), { count: 400 }),
      baseline: perSecond(() => ed25519.sign(bytes, secret), { count: 400 })
    }),
    'open and check a 1 kB listing, against node:crypto verify': compare('records/s', {
      value: perSecond(() => openRecord(bytes, { nowMs, verify: verifier }), { count: 2000 }),
      baseline: perSecond(() => verify(null, bytes, publicKey, signature), { count: 2000 })
    })
  }
}
