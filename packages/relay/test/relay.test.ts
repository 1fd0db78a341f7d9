import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createFolder, holds, newSigner, publish, sealListing, startNode, startRelay, until } from './world.ts'

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
      await until(() => relay.status().records === records.length)
    }
    await until(() => relay.status().peers === 0)

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
      await until(() => before.status().records === 1)
    }
    await before.drain()

    await using after = await startRelay({ directory: folder.path })
    expect(after.peerId).toBe(before.peerId)
    expect(after.status().records).toBe(1)
    expect((await stat(join(folder.path, 'peer.key'))).mode & 0o777).toBe(0o600)
    await using late = await startNode({ bootstrap: after.addresses() })
    await holds(late, record)
  })
})
