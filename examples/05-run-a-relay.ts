/**
 * A relay, and two nodes that know nobody but it: what one publishes, the other finds. The relay carries the records
 * and can change none of them.
 *
 *     node --conditions=@souk/source examples/05-run-a-relay.ts
 */
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, createPhrase, identityFromPhrase, type SoukNode, until } from '@souk/node'
import { createRelay } from '@souk/relay'

await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-example-'))

await using relay = await createRelay({
  directory: join(folder.path, 'relay'),
  listen: ['/ip4/127.0.0.1/tcp/0'],
  http: { port: 0 }
})
console.log(`The relay listens at ${relay.addresses().join(', ')}`)

const open = (name: string): Promise<SoukNode> =>
  createNode({
    directory: join(folder.path, name),
    identity: identityFromPhrase(createPhrase()),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap: relay.addresses() }
  })

await using seller = await open('seller')
await using buyer = await open('buyer')

const { id } = await seller.listings.publish({ title: 'Paint brushes, used', category: 'ae' })
const brushes = await until(buyer, async () => (await buyer.search({ text: 'brushes' })).hits[0])
console.log(`The buyer finds what the seller signed: ${brushes.title}, ${brushes.id === id}`)

// What an operator's monitoring asks; /metrics beside it is for Prometheus.
const answer = await fetch(new URL('/readyz', relay.status().httpUrl))
console.log(`Ready: ${answer.status}, with ${relay.status().peers} peers`)
