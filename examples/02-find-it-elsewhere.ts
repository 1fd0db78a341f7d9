/**
 * Two nodes that know each other: what one publishes, the other finds in its own store, without asking anybody.
 *
 *     node --conditions=@souk/source examples/02-find-it-elsewhere.ts
 */
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, createPhrase, identityFromPhrase, type SoukNode, until } from '@souk/node'

await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-example-'))

const open = (name: string, bootstrap: readonly string[]): Promise<SoukNode> =>
  createNode({
    directory: join(folder.path, name),
    identity: identityFromPhrase(createPhrase()),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap }
  })

await using seller = await open('seller', [])
await using buyer = await open('buyer', (await seller.status()).addresses)

const price = (minor: string): { minor: string; currency: string } => ({ minor, currency: 'EUR' })
await seller.listings.publish({ title: 'Desk lamp, brass', category: 'hg', price: price('4200') })
await seller.listings.publish({ title: 'Reading lamp with a clamp', category: 'hg', price: price('1900') })
await seller.listings.publish({ title: 'Djembe drum', category: 'ae', price: price('8000') })

// Listings come by gossip, or by catching up for who was away: wait for what happens, not for some time to pass.
await until(buyer, async () => (await buyer.search({})).total === 3)

const { hits, total } = await buyer.search({
  text: 'lamp',
  price: { currency: 'EUR', maxMinor: '5000' },
  sort: 'cheapest'
})
for (const { title, nym, price: asked } of hits) console.log(`${title}: ${Number(asked?.minor) / 100} EUR, from ${nym}`)
console.log(`${total} lamps up to 50 EUR`)
