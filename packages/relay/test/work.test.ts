import { didFromKey } from '@souk/records'
import { expect, it } from 'vitest'
import { createFolder, holds, newSigner, publish, sealListing, startNode, startRelay } from './world.ts'

it('takes no record without the work that it asks for, except of identities that are allowed', async () => {
  await using folder = await createFolder()
  const [friend, stranger] = [newSigner(), newSigner()]
  const allow = { identities: [didFromKey(friend.publicKey)] }
  await using relay = await startRelay({ directory: folder.path, allow, work: { extraBits: 2 } })
  await using node = await startNode({ bootstrap: relay.addresses() })
  const poor = [0, 13].map((workBits, number) => sealListing(stranger, number, { workBits }))
  const taken = [sealListing(friend, 2, { workBits: 0 }), sealListing(stranger, 3, { workBits: 14 })]
  for (const record of [...poor, ...taken]) await publish(node, record)

  await using late = await startNode({ bootstrap: relay.addresses(), price: { trusts: () => true } })
  for (const record of taken) await holds(late, record)
  expect(relay.status()).toMatchObject({ records: 2, refusedPeers: 0 })
  const metrics = await (await fetch(`${relay.status().httpUrl}/metrics`)).text()
  expect(metrics).toMatch(/records_checked_total\{.*code="too-little-work".*\} [1-9]/)
})
