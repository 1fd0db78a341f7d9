import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { MemoryDatastore } from 'datastore-core'
import { expect, it } from 'vitest'
import { watchStored } from '../src/stored.ts'
import { startNode } from './support/net.ts'

it('knows so many of who is stored, and beyond that has the peer store asked', async () => {
  await using node = await startNode()
  const { peerStore, peerId: self } = node.network.libp2p
  const stored = await watchStored(peerStore, { datastore: new MemoryDatastore(), self, max: 2 })
  const [kept, stranger] = [await somebody(), await somebody()]
  expect([self, kept, stranger].map((peer) => stored.mayHave(peer))).toEqual([true, false, false])
  await peerStore.merge(kept, { tags: { kept: { value: 1 } } })
  expect([self, kept, stranger].map((peer) => stored.mayHave(peer))).toEqual([true, true, true])
  expect(await Promise.all([kept, stranger].map((peer) => peerStore.has(peer)))).toEqual([true, false])
})

async function somebody(): Promise<PeerId> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
}
