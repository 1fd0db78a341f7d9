/**
 * Checks a signed listing that came from anywhere, with `@souk/records` alone: no node, no network, no disk, nothing
 * of Node's own. A page in a browser does the same, with the bytes that `node.listings.bytes(id)` gave to whoever
 * serves it.
 *
 *     node --conditions=@souk/source examples/09-verify-a-record.ts
 */
import { createPhrase, didFromKey, identityFromPhrase, listingToJsonLd } from '@souk/records'
import { openRecord, RecordError, sealRecord } from '@souk/records'

// The seller's side: what a node does when a listing is published.
const { signer, did } = identityFromPhrase(createPhrase())
const nowMs = Date.now()
const sealed = sealRecord(
  {
    kind: 'listing',
    market: 'main',
    key: 'hg.4f7c09a1',
    seq: 1,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + 14 * 86_400_000,
    content: {
      type: 'Offer',
      businessFunction: 'Sell',
      trade: 'fixed-price',
      title: 'A dahlia in a pot',
      description: 'Apricot, a hand wide.',
      language: 'en',
      category: 'hg',
      price: { minor: '1200', currency: 'EUR' },
      unit: 'C62',
      quantity: 1,
      images: [],
      delivery: [{ kind: 'pick-up' }],
      settlements: [{ kind: 'direct', methods: ['cash'] }],
      tags: []
    }
  },
  signer
)

/** The reader's side: size, shape, canonical form, times, work, signature and content, in that order, or an error. */
const record = openRecord(sealed.bytes, { nowMs: Date.now() })
console.log(`Signed by its author: ${didFromKey(record.author) === did}`)
if (record.kind === 'listing') console.log(listingToJsonLd(record)?.['@id'])

// On its way, somebody makes it cheaper: 12.00 EUR becomes 10.00. Its work is for other bytes, and so is its signature.
const forged = new Uint8Array(sealed.bytes)
const digits = new TextDecoder('latin1').decode(forged).lastIndexOf('1200')
forged.set(new TextEncoder().encode('1000'), digits)
try {
  openRecord(forged, { nowMs: Date.now() })
} catch (error) {
  if (!(error instanceof RecordError)) throw error
  console.log(`Made cheaper: ${error.code}`)
}
