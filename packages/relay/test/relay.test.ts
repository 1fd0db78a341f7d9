import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  createFolder,
  holds,
  newSigner,
  publish,
  sealListing,
  sealProfile,
  startNode,
  startRelay,
  until
} from './world.ts'

describe('a relay between nodes that know nobody else', () => {
  it('brings two together: what one publishes, the other has', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    await using seller = await startNode({ bootstrap: relay.addresses() })
    await using buyer = await startNode({ bootstrap: relay.addresses() })
    const record = sealListing(newSigner())

    await publish(seller, record)
    await holds(buyer, record)

    expect(relay.status().records).toBe(1)
  })

  it('gives a late joiner everything, with the publisher gone', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    const signer = newSigner()
    const records = Array.from({ length: 20 }, (_, number) => sealListing(signer, number))
    {
      await using seller = await startNode({ bootstrap: relay.addresses() })
      for (const record of records) await publish(seller, record)
      await until(relay, () => relay.status().records === records.length)
    }
    await until(relay, () => relay.status().peers === 0)

    await using late = await startNode({ bootstrap: relay.addresses() })
    for (const record of records) await holds(late, record)
    expect(late.storage.records.count()).toBe(records.length)
  })

  it('keeps records and peer id over a restart, and its key to itself', async () => {
    await using folder = await createFolder()
    const record = sealListing(newSigner())
    const before = await startRelay({ directory: folder.path })
    {
      await using seller = await startNode({ bootstrap: before.addresses() })
      await publish(seller, record)
      await until(before, () => before.status().records === 1)
    }
    await before.drain()

    await using after = await startRelay({ directory: folder.path })
    expect(after.peerId).toBe(before.peerId)
    expect(after.status().records).toBe(1)
    expect((await stat(join(folder.path, 'peer.key'))).mode & 0o777).toBe(0o600)
    await using late = await startNode({ bootstrap: after.addresses() })
    await holds(late, record)
  })

  it('makes one market with another relay, each with visitors of its own', async () => {
    await using folders = new AsyncDisposableStack()
    const [one, two] = [folders.use(await createFolder()), folders.use(await createFolder())]
    await using first = await startRelay({ directory: one.path })
    await using second = await startRelay({ directory: two.path, bootstrap: first.addresses() })
    await using seller = await startNode({ bootstrap: first.addresses(), keeper: { peersTarget: 0 } })
    await using buyer = await startNode({ bootstrap: second.addresses(), keeper: { peersTarget: 0 } })
    const record = sealListing(newSigner())

    await publish(seller, record)
    await holds(buyer, record)

    expect([first.status().records, second.status().records]).toEqual([1, 1])
  })

  it('carries the channels that it is told to, and no others', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path, markets: { main: ['people'] } })
    await using seller = await startNode({ bootstrap: relay.addresses() })
    await until(relay, () => relay.status().peers === 1)
    const [listing, profile] = [sealListing(newSigner()), sealProfile(newSigner())]
    await publish(seller, listing)
    await publish(seller, profile)
    await until(relay, () => relay.status().records > 0)
    expect(relay.status().records).toBe(1)
  })

  it('tells others the addresses that its operator announces', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path, announce: ['/dns4/relay.example.org/tcp/4010'] })
    expect(relay.addresses()).toEqual([`/dns4/relay.example.org/tcp/4010/p2p/${relay.peerId}`])
  })
})
