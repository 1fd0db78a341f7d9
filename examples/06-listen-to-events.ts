/**
 * What a node tells while it runs: a program that reacts, instead of asking again and again. The same types come over
 * the API's WebSocket.
 *
 *     node --conditions=@souk/source examples/06-listen-to-events.ts
 */
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, createPhrase, identityFromPhrase, type NodeEvent, type SoukNode } from '@souk/node'

await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-example-'))

const open = (name: string, bootstrap: readonly string[]): Promise<SoukNode> =>
  createNode({
    directory: join(folder.path, name),
    identity: identityFromPhrase(createPhrase()),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap }
  })

await using watcher = await open('watcher', [])

// Listening begins with the call, so nothing that happens before the loop is missed. It ends with the signal.
const enough = new AbortController()
const events = watcher.events({ signal: enough.signal })

await using seller = await open('seller', (await watcher.status()).addresses)
const { key } = await seller.listings.publish({ title: 'Bird mobile', category: 'hg' })

function describe(event: NodeEvent): string {
  switch (event.type) {
    case 'listing':
      return event.gone ? `a listing is gone: ${event.key}` : `a listing came: ${event.key}`
    case 'order':
      return `an order is now ${event.phase}`
    case 'feedback':
      return `somebody was rated: ${event.subject}`
    case 'peer':
      return event.connected ? 'a peer came' : 'a peer left'
    case 'letter':
      return `a letter is ${event.state}`
    case 'sync':
      return `synchronisation: ${event.state}`
    case 'problem':
      return `${event.code}: ${event.message}`
  }
}

for await (const event of events) {
  console.log(describe(event))
  if (event.type !== 'listing') continue
  if (event.gone) enough.abort()
  else await seller.listings.delete(key)
}
console.log('Enough.')
