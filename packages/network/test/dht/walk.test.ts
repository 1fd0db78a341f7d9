import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId, PeerInfo } from '@libp2p/interface'
import { EventTypes } from '@libp2p/kad-dht'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { afterEach, describe, expect, test } from 'vitest'
import { namedPerAnswerMax } from '../../src/dht/limits.ts'
import { walkToTheEnd } from '../../src/dht/walk.ts'
import { createClosestPeers, distanceOf, placeKey } from '../../src/feedback/closest.ts'
import { connectAll, createPeer, knows, type Peer } from '../peers.ts'
import { startNode } from '../support/net.ts'

const cleanUp: Peer[] = []
afterEach(async () => {
  for (const peer of cleanUp.splice(0).toReversed()) await peer.stop()
})

/** A market of servers whose first one is all that a client knows of it: the others came after it. */
async function market(size: number): Promise<{ servers: Peer[]; client: Peer }> {
  const [hub, client, ...others] = await Promise.all(
    Array.from({ length: size + 1 }, (_, index) => createPeer({ clientMode: index === 1 }))
  )
  const servers = [hub!, ...others]
  cleanUp.push(client!, ...servers)
  await client!.dial(hub!.getMultiaddrs())
  await knows(client!, 1)
  await walk(client!, new Uint8Array(32))
  await connectAll(servers)
  return { servers, client: client! }
}

/** Whom a walk finds. */
async function walk(peer: Peer, key: Uint8Array): Promise<string[]> {
  const found: string[] = []
  for await (const event of peer.services.dht.getClosestPeers(key)) {
    if (event.type === EventTypes.FINAL_PEER) found.push(event.peer.id.toString())
  }
  return found.toSorted()
}

/** Whom a walk asks, whether they answer or not. */
async function askedBy(peer: Peer, key: Uint8Array): Promise<Set<string>> {
  const asked = new Set<string>()
  for await (const event of peer.services.dht.getClosestPeers(key)) {
    if (event.type === EventTypes.DIAL_PEER) asked.add(event.peer.toString())
  }
  return asked
}

/** A subject to which the first is nearer than all others. */
function nearestTo([first, ...others]: readonly Peer[]): Uint8Array {
  for (;;) {
    const subject = crypto.getRandomValues(new Uint8Array(32))
    const distance = distanceOf(first!.peerId, subject)
    if (others.every((other) => distance < distanceOf(other.peerId, subject))) return subject
  }
}

/** Peers that are nowhere, further from a subject than somebody. */
async function peersBeyond(nearer: PeerId, subject: Uint8Array, count: number): Promise<PeerInfo[]> {
  const peers: PeerInfo[] = []
  while (peers.length < count) {
    const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    if (distanceOf(id, subject) > distanceOf(nearer, subject)) {
      peers.push({ id, multiaddrs: [multiaddr('/ip4/127.0.0.1/tcp/1')] })
    }
  }
  return peers
}

/** Names these for every key. */
function answerWith(peer: Peer, named: PeerInfo[]): void {
  const { peerRouting } = peer.services.dht as unknown as { peerRouting: { getClosestPeersOffline: unknown } }
  peerRouting.getClosestPeersOffline = async () => named
}

const names = (peers: readonly Peer[]): string[] => peers.map(({ peerId }) => peerId.toString()).toSorted()

describe('a walk in the DHT', () => {
  test('finds those who are further from the key than the only one that is known', async () => {
    const { servers, client } = await market(5)
    const closest = createClosestPeers({ libp2p: client, dht: client.services.dht }, { now: Date.now })
    const found = await closest.of(nearestTo(servers))
    expect(found.map(String).toSorted()).toEqual(names(servers))
    expect(found[0]?.toString()).toBe(servers[0]!.peerId.toString())
  })

  test('passes by those who are gone, and has whoever answered in its table', async () => {
    const { servers, client } = await market(6)
    const [gone, ...left] = servers.toReversed()
    await gone!.stop()
    const closest = createClosestPeers({ libp2p: client, dht: client.services.dht }, { now: Date.now })
    expect((await closest.of(nearestTo(servers))).map(String).toSorted()).toEqual(names(left))
    await knows(client, left.length)
  })

  test('asks no more than an honest answer could name of those whom somebody made up', async () => {
    const { servers, client } = await market(1)
    const [liar] = servers
    const subject = nearestTo(servers)
    const invented = await peersBeyond(liar!.peerId, subject, 3 * namedPerAnswerMax)
    answerWith(liar!, invented)
    const asked = await askedBy(client, placeKey(subject))
    expect(asked.size).toBe(1 + namedPerAnswerMax)
  })

  test('of a node of the market goes to the end too', async () => {
    const liar = await createPeer()
    cleanUp.push(liar)
    const subject = crypto.getRandomValues(new Uint8Array(32))
    answerWith(liar, await peersBeyond(liar.peerId, subject, 3))
    await using node = await startNode({ dht: 'client' })
    const peer = node.network.libp2p as unknown as Peer
    await peer.dial(liar.getMultiaddrs())
    await knows(peer, 1)
    expect((await askedBy(peer, placeKey(subject))).size).toBe(4)
  })
})

test('one whose answer cannot be read ends nobody else’s part of a walk', async () => {
  const [hub, bad, good] = await Promise.all([1, 2, 3].map(() => generateKeyPair('Ed25519').then(peerIdFromPrivateKey)))
  const infoOf = (id: PeerId | undefined): PeerInfo => ({ id: id!, multiaddrs: [] })
  const answerOf = (peer: PeerInfo) => ({ name: 'PEER_RESPONSE', from: peer.id, closer: [infoOf(bad), infoOf(good)] })
  type Ask = (context: { peer: PeerInfo }) => AsyncIterable<unknown>
  const queryManager = {
    async *run(_: Uint8Array, ask: Ask): AsyncGenerator {
      yield* ask({ peer: infoOf(hub) })
    }
  }
  walkToTheEnd({ queryManager, routingTable: { queueRoutingTableUpdate: () => undefined } } as never, hub!)
  const heard: string[] = []
  const events = queryManager.run(new Uint8Array(32), async function* ({ peer }) {
    if (peer.id.equals(bad)) throw new Error('no answer that can be read')
    yield answerOf(peer)
  })
  for await (const event of events) heard.push((event as { from: PeerId }).from.toString())
  expect(heard).toEqual([hub!.toString(), good!.toString()])
})
