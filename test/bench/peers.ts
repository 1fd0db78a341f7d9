import { lpStream } from '@libp2p/utils'
import { createNetwork, type Network, peerKeyFromSeed } from '@souk/network'
import { createVerifier, openRecord, type SoukRecord } from '@souk/records'
import { createStorage, type Storage, type StorageInit } from '@souk/storage'
import { scratch, timed } from './measure.ts'

/** A store with its network: a node without orders, chains and pictures. */
export interface Peer extends AsyncDisposable {
  readonly storage: Storage
  readonly network: Network
}

const chunkRecords = 128
const rawProtocol = '/bench/raw/1'

/** Opens a peer on disk. @param init.search - `off` where there are many: each has a thread for it. */
export async function openPeer(directory: string, init: Pick<StorageInit, 'search'> = {}): Promise<Peer> {
  const storage = await createStorage({ directory, now: Date.now, ...init })
  const network = await openNetwork(storage)
  return {
    storage,
    network,
    async [Symbol.asyncDispose]() {
      await network[Symbol.asyncDispose]()
      await storage.close()
    }
  }
}

/**
 * A network on a store, as a new peer. Everybody is trusted and nobody has a quota: one author with ten thousand listings
 * is beyond a stranger's, and what is measured is the way, not the price of it.
 */
export async function openNetwork(storage: Storage): Promise<Network> {
  const { records, sync } = storage
  return createNetwork(
    {
      datastore: storage.datastore('libp2p'),
      privateKey: await peerKeyFromSeed(crypto.getRandomValues(new Uint8Array(32))),
      records: {
        getBytes: (ids) => records.getBytes(ids),
        get lastSequence() {
          return records.lastSequence
        },
        put: (list) => records.put(list, { own: true, sync: false })
      },
      sync
    },
    {
      role: 'node',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      carry: { main: ['people', 'listings/hg'] },
      price: { trusts: () => true }
    }
  )
}

/** Resolves when so many listings are stored and can be found. */
export async function foundIn({ records, search }: Storage, count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => {
    if (records.count() >= count) resolve()
  }
  const off = records.on('stored', look)
  look()
  await promise
  off()
  await search.caughtUp(records.lastSequence)
}

export function addressOf(network: Network): string {
  return network.addresses()[0]?.toString() ?? ''
}

/**
 * Milliseconds that the same bytes take over one libp2p stream on loopback, by a program that does nothing else: 128
 * records a frame. With `verifies` each record is opened as it comes (form, content, signature by node:crypto under a
 * key that is imported once), on the main thread, and then forgotten.
 */
export async function rawStreamMs(
  records: readonly SoukRecord[],
  { verifies }: { verifies: boolean }
): Promise<number> {
  await using folder = await scratch()
  await using from = await openPeer(`${folder.path}/from`)
  await using to = await openPeer(`${folder.path}/to`)
  const chunks = Array.from({ length: Math.ceil(records.length / chunkRecords) }, (_, index) =>
    records.slice(index * chunkRecords, (index + 1) * chunkRecords)
  )
  await from.network.libp2p.handle(rawProtocol, async (stream) => {
    const frames = lpStream(stream)
    for (const chunk of chunks) await frames.write(new Uint8Array(Buffer.concat(chunk.map(({ bytes }) => bytes))))
    await stream.close()
  })
  const verify = createVerifier()
  const nowMs = Date.now()
  return await timed(async () => {
    const peer = await to.network.connect(addressOf(from.network))
    const frames = lpStream(await to.network.libp2p.dialProtocol(peer, rawProtocol), { maxBufferSize: 1 << 26 })
    for (const chunk of chunks) {
      const bytes = (await frames.read()).subarray()
      let offset = 0
      for (const record of chunk) {
        const one = bytes.subarray(offset, (offset += record.bytes.length))
        if (verifies) openRecord(one, { nowMs, verify })
      }
    }
  })
}
