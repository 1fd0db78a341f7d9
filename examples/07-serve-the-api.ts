/**
 * The local HTTP API of a node, and its typed client: what the command line and the user interface are made of. Each
 * program gets a token of its own, which may do no more than it needs to.
 *
 *     node --conditions=@souk/source examples/07-serve-the-api.ts
 */
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createApiServer, createMemoryTokenStore, createTokens } from '@souk/api'
import { ClientError, createClient } from '@souk/api/client'
import { createNode, createPhrase, identityFromPhrase } from '@souk/node'

await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-example-'))
await using node = await createNode({
  directory: folder.path,
  identity: identityFromPhrase(createPhrase()),
  network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false }
})

const tokens = createTokens({ store: createMemoryTokenStore() }, { now: Date.now })
await using server = await createApiServer({ node, tokens })

const shop = createClient({
  url: server.url,
  token: await tokens.create({ name: 'shop', scopes: ['read', 'listings:write'] })
})
const listing = await shop.call('POST /v1/listings', {
  body: { title: 'Espresso cup with saucer', category: 'hg', price: { minor: '900', currency: 'EUR' } }
})
await shop.call('PATCH /v1/listings/:id', { params: { id: listing.key }, body: { quantity: 6 } })

// Names, queries, bodies and answers are checked by the compiler against the same contract that the server serves.
const visitor = createClient({ url: server.url, token: await tokens.create({ name: 'visitor', scopes: ['read'] }) })
const [cup] = await visitor.call('GET /v1/listings', { query: { category: 'hg' } })
console.log(`${cup?.quantity} × ${cup?.title}`)

try {
  await visitor.call('DELETE /v1/listings/:id', { params: { id: listing.key } })
} catch (error) {
  if (!(error instanceof ClientError)) throw error
  console.log(`A visitor may not delete: ${error.status} ${error.code}`)
}
