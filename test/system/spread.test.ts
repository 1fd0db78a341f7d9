import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, until } from '@souk/node'
import { createPhrase, identityFromPhrase } from '@souk/records'
import { createStorage } from '@souk/storage'
import { expect, test } from 'vitest'
import { feedbackOf, person } from '../../packages/network/test/feedback/trade.ts'
import { startStranger } from './stranger.ts'

test('a node with many ratings ends at once, though it has begun to put those that nobody has taken', async () => {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'souk-spread-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const identity = identityFromPhrase(createPhrase())
  const received = Array.from({ length: 150 }, () => feedbackOf({ buyer: person(), seller: identity.signer }))
  {
    await using storage = await createStorage({ directory: join(directory, 'store'), now: Date.now, search: 'off' })
    await storage.records.put(received)
  }
  await using neighbour = await startStranger({ bootstrap: [], keeper: { peersTarget: 0 } })
  const problems: unknown[] = []
  const node = await createNode({
    directory,
    identity,
    onError: (error) => problems.push(error),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap: neighbour.network.addresses().map(String) }
  })
  await until(node, async () => (await node.status()).peers > 0)
  const startMs = performance.now()
  await node[Symbol.asyncDispose]()
  // Ten go at once, and the others three a second: all of them take three quarters of a minute.
  expect(performance.now() - startMs).toBeLessThan(10_000)
  expect(problems).toEqual([])
}, 60_000)
