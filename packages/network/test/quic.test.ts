import { describe, expect, it } from 'vitest'
import { withoutQuic } from '../src/quic.ts'
import { nextEvent, startNode } from './support/net.ts'
import { newSigner, sealListing } from './support/records.ts'
import { TestStore } from './support/store.ts'

const quicOnly = { transports: 'real' as const, listen: ['/ip4/127.0.0.1/udp/0/quic-v1'] }

/** Its binary is there for Linux, macOS and Windows on the usual processors. */
const loads = await import('@chainsafe/libp2p-quic').then(
  () => true,
  () => false
)

describe.skipIf(!loads)('QUIC', () => {
  it('carries catch-up and gossip between two nodes', async () => {
    const store = new TestStore()
    const author = newSigner()
    await store.put(Array.from({ length: 300 }, (_, number) => sealListing(author, { number })))
    await using seller = await startNode({ ...quicOnly, store })
    await using buyer = await startNode(quicOnly)
    const [address] = seller.network.addresses()
    expect(address?.toString()).toMatch(/\/udp\/\d+\/quic-v1\/p2p\//)
    const report = nextEvent(buyer.network, 'caught-up')
    await buyer.network.connect(address!)
    expect(await report).toMatchObject({ stored: 300 })
    expect(buyer.network.libp2p.getConnections().map(({ multiplexer }) => multiplexer)).toEqual(['quic'])
  })

  it('lets the gater turn away who is denied', async () => {
    await using buyer = await startNode(quicOnly)
    await using seller = await startNode({ ...quicOnly, guard: { deny: [buyer.network.peerId.toString()] } })
    // The handshake is over before the gater is asked: what the dialler sees is a connection that ends.
    await buyer.network.connect(seller.network.addresses()[0]!).catch(() => undefined)
    await expect.poll(() => buyer.network.peers()).toEqual([])
    expect(seller.network.peers()).toEqual([])
  })
})

it('without QUIC, the other addresses are listened on', () => {
  expect(withoutQuic(['/ip4/0.0.0.0/udp/0/quic-v1', '/ip4/0.0.0.0/tcp/0'])).toEqual(['/ip4/0.0.0.0/tcp/0'])
})
