import type { PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { addressOf, startNode, type TestNode } from './support/net.ts'

/** Whether gossip has a stream to the peer. */
function speaksTo({ network }: TestNode, peer: PeerId): boolean {
  const { pubsub } = network.libp2p.services as unknown as { pubsub: { streamsOutbound: ReadonlyMap<string, unknown> } }
  return pubsub.streamsOutbound.has(peer.toString())
}

it('goes on gossiping when the connection closes that gossip ran over, and another is there', async () => {
  // Nobody dials but this test.
  await using a = await startNode({ keeper: { peersTarget: 0 } })
  await using b = await startNode({ keeper: { peersTarget: 0 } })
  const [alice, bob] = [a.network.libp2p, b.network.libp2p]
  let introducedAtMs = performance.now()
  const isQuiet = (): boolean => performance.now() - introducedAtMs > 3_000
  for (const each of [alice, bob]) {
    each.addEventListener('peer:identify', () => void (introducedAtMs = performance.now()))
  }
  await alice.dial(multiaddr(addressOf(b)))
  await expect.poll(() => speaksTo(a, bob.peerId) && speaksTo(b, alice.peerId)).toBe(true)
  const [first] = alice.getConnections(bob.peerId)
  await bob.dial(multiaddr(addressOf(a)), { force: true })
  await expect.poll(() => alice.getConnections(bob.peerId).length).toBe(2)
  // What each has found out about its addresses is told as an introduction, too, and would mend it by chance.
  await expect.poll(isQuiet, { timeout: 20_000 }).toBe(true)
  await first?.close()
  await expect.poll(() => speaksTo(a, bob.peerId) || speaksTo(b, alice.peerId)).toBe(false)
  const both = (): boolean => speaksTo(a, bob.peerId) && speaksTo(b, alice.peerId)
  await expect.poll(both, { timeout: 20_000 }).toBe(true)
  expect(alice.getConnections(bob.peerId)).toHaveLength(1)
}, 60_000)
