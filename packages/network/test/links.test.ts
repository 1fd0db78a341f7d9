import type { Connection, PeerId, Stream, StreamMuxer } from '@libp2p/interface'
import { RPC } from '@libp2p/gossipsub/message'
import { lpStream } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { createHost } from '../src/host.ts'
import type { NetworkInit } from '../src/network.ts'
import { createAttacker } from './abuse/attacker.ts'
import { addressOf, join, nextEvent, startNode, type TestNode } from './support/net.ts'
import { newSigner, sealListing } from './support/records.ts'

interface Streams {
  readonly streamsOutbound: ReadonlyMap<string, { readonly rawStream: Stream }>
  readonly streamsInbound: ReadonlyMap<string, { close(): Promise<void> }>
  removePeer(peer: PeerId): void
}

/** What gossipsub has of its peers. */
function streamsOf({ network }: TestNode): Streams {
  return network.libp2p.services.pubsub as unknown as Streams
}

function streamTo(node: TestNode, other: TestNode): Stream | undefined {
  return streamsOf(node).streamsOutbound.get(other.network.peerId.toString())?.rawStream
}

function connectionUsed(node: TestNode, other: TestNode): Connection | undefined {
  const stream = streamTo(node, other)
  return node.network.libp2p.getConnections().find(({ streams }) => streams.some((one) => one === stream))
}

/** Gossip goes one way and the other, by itself: catch-up brings nothing here for an hour. */
async function expectToGossip(a: TestNode, b: TestNode): Promise<void> {
  for (const [from, to] of [
    [a, b],
    [b, a]
  ] as const) {
    const author = newSigner()
    const heard = nextEvent(to.network, 'record-checked', ({ source: { via } }) => via === 'gossip')
    await until(() => from.network.publish(sealListing(author)).then(({ peers }) => peers)).toBe(1)
    expect((await heard).result.verdict).toBe('accept')
  }
}

/** As long as it takes: a machine may be busy. */
function until<T>(look: () => T | Promise<T>): ReturnType<typeof expect.poll<T>> {
  return expect.poll(look, { timeout: 20_000 })
}

/** Nobody dials but the test. */
const alone = { keeper: { peersTarget: 0 } }

async function pair(stack: AsyncDisposableStack): Promise<[TestNode, TestNode]> {
  const [a, b] = [stack.use(await startNode(alone)), stack.use(await startNode(alone))]
  await join(a, b)
  await until(() => streamTo(a, b) !== undefined && streamTo(b, a) !== undefined).toBe(true)
  return [a, b]
}

describe('gossip with a peer that stays connected', () => {
  it.each<[string, (a: TestNode, b: TestNode) => void]>([
    ['that has forgotten us', (a, b) => streamsOf(b).removePeer(a.network.peerId)],
    ['that we have forgotten', (a, b) => streamsOf(a).removePeer(b.network.peerId)],
    ['when our stream to it breaks off', (a, b) => streamTo(a, b)?.abort(new Error('broken by the test'))],
    ['when its stream to us breaks off', (a, b) => streamTo(b, a)?.abort(new Error('broken by the test'))],
    [
      'that does not listen to our stream any more',
      (a, b) => void streamsOf(b).streamsInbound.get(a.network.peerId.toString())?.close()
    ]
  ])('goes on with one %s', async (_what, harm) => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await pair(stack)
    const before = [streamTo(a, b), streamTo(b, a)]
    harm(a, b)
    await until(() => [streamTo(a, b), streamTo(b, a)].some((now, at) => now && now !== before[at])).toBe(true)
    await expectToGossip(a, b)
    expect(a.network.libp2p.getConnections()).toHaveLength(1)
  })

  it('goes over to the connection that is left when the one closes that it ran over', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await pair(stack)
    const twice = connections(a, 2)
    await b.network.libp2p.dial(multiaddr(addressOf(a)), { force: true })
    await twice
    await until(() => connectionUsed(a, b)).toBeDefined()
    connectionUsed(a, b)?.abort(new Error('cut by the test'))
    await expectToGossip(a, b)
    expect(a.network.libp2p.getConnections()).toHaveLength(1)
  })

  it('goes over to a newer connection at once: after a crash over there the older one is dead', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await pair(stack)
    const older = [a, b].map(({ network }) => network.libp2p.getConnections()[0])
    await a.network.libp2p.dial(multiaddr(addressOf(b)), { force: true })
    const used = (): (Connection | undefined)[] => [connectionUsed(a, b), connectionUsed(b, a)]
    await until(() => used().every((one, at) => one !== undefined && one !== older[at])).toBe(true)
    await expectToGossip(a, b)
    expect(older.map((one) => one?.status)).toEqual(['open', 'open'])
  })

  it('does not wait for one that never answers', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await pair(stack)
    const silent = stack.use(await startNode(alone))
    deafen(silent)
    await silent.network.connect(addressOf(a))
    const isWaitedFor = (): boolean =>
      streamsOf(a).streamsInbound.has(silent.network.peerId.toString()) && streamTo(a, silent) === undefined
    await until(isWaitedFor).toBe(true)
    const before = streamTo(a, b)
    before?.abort(new Error('broken by the test'))
    const isBack = (): boolean => streamTo(a, b)?.status === 'open' && streamTo(a, b) !== before
    // libp2p gives an answer ten seconds.
    await expect.poll(isBack, { timeout: 8_000 }).toBe(true)
    expect(isWaitedFor()).toBe(true)
  })
})

describe('gossip with one who has not said who they are', () => {
  it('says nothing until they have said what they carry, and then what it carries itself', async () => {
    await using stack = new AsyncDisposableStack()
    const node = stack.use(await startNode(alone))
    const caller = stack.use(await createAttacker())
    const told = new Promise<RPC>((resolve, reject) => {
      const listen = async (stream: Stream): Promise<void> => resolve(RPC.decode(await lpStream(stream).read()))
      void caller.libp2p.handle('/meshsub/1.2.0', (stream) => void listen(stream).catch(reject))
    })
    const connection = await caller.dial(addressOf(node))
    const frames = lpStream(await connection.newStream('/meshsub/1.2.0'))
    const say = (rpc: Partial<RPC>): Promise<void> =>
      frames.write(RPC.encode({ subscriptions: [], messages: [], ...rpc }))
    const judged = nextEvent(node.network, 'record-checked')
    const topic = '/souk/1/main/listings/el'
    await say({ messages: [{ topic, data: sealListing(newSigner()).bytes }] })
    expect((await judged).result.verdict).toBe('accept')
    const ours = node.network.libp2p.getConnections(caller.libp2p.peerId).flatMap(({ streams }) => streams)
    expect(ours.map(({ direction, protocol }) => [direction, protocol])).toEqual([['inbound', '/meshsub/1.2.0']])
    await say({ subscriptions: [{ subscribe: true, topic }] })
    expect((await told).subscriptions).toContainEqual({ subscribe: true, topic })
  })
})

describe('a node that is connected before it has started', () => {
  it('hears what others carry, tells what it carries, catches up and asks for the time', async () => {
    await using friend = await startNode(alone)
    const record = sealListing(newSigner())
    await friend.network.publish(record)
    await friend.store.put([record])
    await using node = await startNode({ ...alone, createHost: metAtOnce(addressOf(friend)) })
    const { pubsub } = node.network.libp2p.services
    expect(pubsub.getSubscribers('/souk/1/main/listings/el').map(String)).toEqual(node.network.peers().map(String))
    await node.store.until(() => node.store.has(record))
    await until(() => node.network.clocks.now.state).toBe('ok')
    await expectToGossip(node, friend)
  })
})

/** A host as the DHT makes it after a restart: it has met somebody, and heard of it all, while it was being started. */
function metAtOnce(address: string): NonNullable<NetworkInit['createHost']> {
  return async (...given) => {
    const host = await createHost(...given)
    const start = host.start.bind(host)
    host.start = async () => {
      const { pubsub } = host.services
      const met = new Promise((resolve) => host.addEventListener('peer:identify', resolve, { once: true }))
      const heard = new Promise((resolve) => pubsub.addEventListener('subscription-change', resolve, { once: true }))
      await start()
      await host.dial(multiaddr(address))
      await Promise.all([met, heard])
    }
    return host
  }
}

/** It opens streams, and says nothing on those that others open. */
function deafen({ network }: TestNode): void {
  network.libp2p.addEventListener('connection:open', ({ detail }) => {
    const { muxer, onIncomingStream } = detail as Connection & { muxer: StreamMuxer; onIncomingStream: () => void }
    muxer.removeEventListener('stream', onIncomingStream)
  })
}

/** Resolves when a peer has introduced itself on so many connections. */
function connections({ network }: TestNode, count: number): Promise<void> {
  return new Promise((resolve) => {
    network.libp2p.addEventListener('peer:identify', () => {
      if (network.libp2p.getConnections().length === count) resolve()
    })
  })
}
