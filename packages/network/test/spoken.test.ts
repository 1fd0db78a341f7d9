import { MemoryDatastore } from 'datastore-core'
import type { Key } from 'interface-datastore'
import { describe, expect, it } from 'vitest'
import { createAttacker } from './abuse/attacker.ts'
import { addressOf, startNode } from './support/net.ts'

/** Counts what is read and written of peers. */
class CountingDatastore extends MemoryDatastore {
  peerReads = 0
  peerWrites = 0

  override get(key: Key): ReturnType<MemoryDatastore['get']> {
    if (key.toString().startsWith('/peers/')) this.peerReads++
    return super.get(key)
  }

  override put(key: Key, value: Uint8Array): ReturnType<MemoryDatastore['put']> {
    if (key.toString().startsWith('/peers/')) this.peerWrites++
    return super.put(key, value)
  }
}

const ping = '/ipfs/ping/1.0.0'

describe('what a peer speaks', () => {
  it('is written with its first stream, not with every one', async () => {
    const datastore = new CountingDatastore()
    await using node = await startNode({ datastore })
    await using peer = await createAttacker()
    const connection = await peer.dial(addressOf(node))
    const protocols = async (): Promise<string[]> =>
      (await node.network.libp2p.peerStore.get(peer.libp2p.peerId)).protocols
    const open = async (): Promise<void> => {
      const stream = await connection.newStream(ping)
      const answered = new Promise((resolve) => stream.addEventListener('message', resolve, { once: true }))
      stream.send(new Uint8Array(32))
      await answered
      await stream.close()
    }
    await open()
    expect(await protocols()).toContain(ping)
    const before = datastore.peerWrites
    for (let index = 0; index < 20; index++) await open()
    // The node itself may write down a thing or two of a peer that it has just met.
    expect(datastore.peerWrites - before).toBeLessThan(10)
  })

  it('is kept in mind only of who has not said who they are, and forgotten by the database before it knew', async () => {
    const datastore = new CountingDatastore()
    await using node = await startNode({ datastore })
    const { peerStore } = node.network.libp2p
    const before = [datastore.peerReads, datastore.peerWrites]
    await using peer = await createAttacker()
    const gone = new Promise((resolve) =>
      node.network.libp2p.addEventListener('peer:disconnect', resolve, { once: true })
    )
    const connection = await peer.dial(addressOf(node))
    const stream = await connection.newStream(ping)
    const answered = new Promise((resolve) => stream.addEventListener('message', resolve, { once: true }))
    stream.send(new Uint8Array(32))
    await answered
    expect((await peerStore.get(peer.libp2p.peerId)).protocols).toEqual([ping])
    expect(await peerStore.has(peer.libp2p.peerId)).toBe(true)
    await connection.close()
    await gone
    expect([datastore.peerReads, datastore.peerWrites]).toEqual(before)
  })

  it('is known of everybody whom the store had when it was opened', async () => {
    const datastore = new MemoryDatastore()
    await using other = await createAttacker()
    const peer = other.libp2p.peerId
    {
      await using node = await startNode({ datastore })
      expect(await node.network.libp2p.peerStore.has(peer)).toBe(false)
      await expect(node.network.libp2p.peerStore.get(peer)).rejects.toMatchObject({ name: 'NotFoundError' })
      await node.network.libp2p.peerStore.patch(peer, { protocols: ['/a'] })
    }
    await using again = await startNode({ datastore })
    const { peerStore } = again.network.libp2p
    expect(await peerStore.has(peer)).toBe(true)
    await peerStore.merge(peer, { protocols: ['/b'] })
    expect((await peerStore.get(peer)).protocols).toEqual(['/a', '/b'])
  })

  it('is written again after somebody else has said what the peer speaks', async () => {
    await using node = await startNode()
    await using other = await createAttacker()
    const { peerStore } = node.network.libp2p
    const peer = other.libp2p.peerId
    const say = (protocol: string): Promise<unknown> => peerStore.merge(peer, { protocols: [protocol] })
    const heard = async (): Promise<string[]> => (await peerStore.get(peer)).protocols
    await say('/a')
    await say('/a')
    await peerStore.patch(peer, { protocols: ['/b'] })
    expect(await heard()).toEqual(['/b'])
    await say('/a')
    expect(await heard()).toEqual(['/a', '/b'])
    // A stream that opens while the peer says what it speaks: whichever is written last, the next stream sees it.
    await Promise.all([say('/c'), peerStore.patch(peer, { protocols: ['/b'] })])
    await say('/c')
    expect(await heard()).toContain('/c')
    await peerStore.delete(peer)
    await say('/a')
    expect(await heard()).toEqual(['/a'])
  })
})
