/**
 * Publishes a listing with a photograph, and prints it as search engines and other markets read it (JSON-LD).
 *
 *     node --conditions=@souk/source examples/01-sell-something.ts
 */
import { mkdtempDisposable, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, createPhrase, identityFromPhrase } from '@souk/node'

// Who sells: twelve words, from which every key follows. A real program shows them once, to be written down.
const identity = identityFromPhrase(createPhrase())

await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-example-'))
await using node = await createNode({
  directory: folder.path,
  identity,
  // Without this, a node listens on every interface and finds the others of its LAN by itself.
  network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false }
})

const photo = await readFile(join(import.meta.dirname, '../packages/devnet/assets/photos/red-bowl.jpg'))
const picture = await node.images.add(new Uint8Array(photo), { alt: 'A red boat-shaped bowl, half a fig in it' })
console.log(`The photograph said where it was taken: ${picture.hadLocation}; what is published does not.`)

const listing = await node.listings.publish({
  title: 'Red wooden bowl',
  description: 'Turned from one piece of beech. The fig is eaten.',
  category: 'hg',
  itemCondition: 'Used',
  price: { minor: '1850', currency: 'EUR' },
  images: [picture],
  delivery: [{ kind: 'pick-up' }, { kind: 'ship', price: '590', to: ['DE', 'FR'], handlingDays: 2, transitDays: 4 }],
  place: { country: 'DE', locality: 'Leipzig', geohash: 'u30u' }
})

console.log(JSON.stringify(await node.listings.jsonLd(listing.id), undefined, 2))
