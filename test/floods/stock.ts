import { mkdir } from 'node:fs/promises'
import { openRecord } from '@souk/records'
import { createStorage } from '@souk/storage'
import { createSigner, sealListing } from './listings.ts'

/** What a market of a while has: listings for those who catch up to ask about. All expire within a day of one another. */
export async function stockRelay(directory: string, { listings = 5000 } = {}): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await using storage = await createStorage({ directory, now: Date.now, search: 'off' })
  const signer = createSigner()
  for (let from = 0; from < listings; from += 500) {
    const records = Array.from({ length: 500 }, (_, at) =>
      openRecord(sealListing(signer, { number: from + at, workBits: 0 }), { nowMs: Date.now() })
    )
    await storage.records.put(records, { own: true })
  }
}
