import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it, vi } from 'vitest'
import { addressOf, nextEvent, startNode } from './support/net.ts'

const keeper = { backoffFirstMs: 20, backoffMaxMs: 100 }

describe('the connection keeper', () => {
  it('connects to its bootstrap peers, and again after they were gone', async () => {
    const first = await startNode()
    const address = addressOf(first)
    await using node = await startNode({ bootstrap: [address], keeper })
    if (node.network.peers().length === 0) await nextEvent(node.network, 'peer-connected')
    const gone = nextEvent(node.network, 'peer-disconnected')
    await first[Symbol.asyncDispose]()
    await gone
    const failures = (): number => node.network.keeper.wanted()[0]?.failures ?? 0
    while (failures() < 4) await new Promise((resolve) => setImmediate(resolve))
    const back = nextEvent(node.network, 'peer-connected')
    const [listen = ''] = address.split('/p2p/')
    await using second = await startNode({ privateKey: first.privateKey, listen: [listen] })
    expect((await back).peer.equals(second.network.peerId)).toBe(true)
  })

  it('finds its peers after a restart, with all bootstraps gone', async () => {
    await using friend = await startNode()
    const bootstrap = await startNode()
    const before = await startNode({ bootstrap: [addressOf(bootstrap)], keeper })
    if (before.network.peers().length === 0) await nextEvent(before.network, 'peer-connected')
    const learnt = new Promise((resolve) => before.network.libp2p.addEventListener('peer:identify', resolve))
    const met = nextEvent(friend.network, 'peer-connected')
    await friend.network.libp2p.dial(multiaddr(addressOf(before)))
    await Promise.all([learnt, met])
    await until(async () => (await rowsOf(before.datastore)) === 2)
    const address = addressOf(bootstrap)
    await before[Symbol.asyncDispose]()
    await bootstrap[Symbol.asyncDispose]()
    await using after = await startNode({
      bootstrap: [address],
      keeper,
      datastore: before.datastore,
      privateKey: before.privateKey
    })
    const { peer } = after.network.peers()[0]
      ? { peer: after.network.peers()[0]! }
      : await nextEvent(after.network, 'peer-connected')
    expect(peer.equals(friend.network.peerId)).toBe(true)
  })

  it('keeps what a user connected to, and lets go of what nobody wants', async () => {
    await using a = await startNode({ keeper })
    await using b = await startNode()
    const peer = await a.network.connect(addressOf(b))
    const again = nextEvent(a.network, 'peer-connected')
    await a.network.libp2p.hangUp(peer)
    await again
    a.network.keeper.unwant(peer)
    expect(a.network.keeper.wanted()).toEqual([])
  })

  it('looks once at who is connected when something changes, however many it knows', async () => {
    await using a = await startNode({ keeper: { ...keeper, peersTarget: 1 } })
    await using b = await startNode()
    await a.network.connect(addressOf(b))
    const met = await Promise.all(Array.from({ length: 50 }, () => generateKeyPair('Ed25519')))
    for (const key of met) a.network.keeper.want(peerIdFromPrivateKey(key), 'met', [multiaddr('/ip4/127.0.0.1/tcp/9')])
    // Seen by a relay with 50 connections: a list of all peers for each that it knew, at each that came or went.
    const [peers, connections] = [vi.spyOn(a.network.libp2p, 'getPeers'), vi.spyOn(a.network.libp2p, 'getConnections')]
    a.network.keeper.want(b.network.peerId, 'learnt')
    const lists = peers.mock.calls.length + connections.mock.calls.filter(([peer]) => peer === undefined).length
    vi.restoreAllMocks()
    expect(lists).toBeLessThanOrEqual(1)
    expect(a.network.keeper.wanted().filter(({ failures }) => failures > 0)).toEqual([])
  })

  it('dials at once where a peer is now, however long it was not where it had been', async () => {
    await using a = await startNode({ keeper: { backoffFirstMs: 3_600_000, backoffMaxMs: 3_600_000 } })
    const gone = await startNode()
    const { peerId } = gone.network
    const old = multiaddr(addressOf(gone))
    await gone[Symbol.asyncDispose]()
    a.network.keeper.want(peerId, 'met', [old])
    await until(async () => a.network.keeper.wanted()[0]?.failures === 1)
    await using b = await startNode({ privateKey: gone.privateKey })
    const found = nextEvent(a.network, 'peer-connected')
    a.network.keeper.want(peerId, 'met', [multiaddr(addressOf(b))])
    expect((await found).peer.equals(peerId)).toBe(true)
  })

  it('tries all others at once when one comes back, whatever they are waiting for', async () => {
    await using a = await startNode({ keeper: { backoffFirstMs: 3_600_000, backoffMaxMs: 3_600_000 } })
    const gone = [await startNode(), await startNode()]
    for (const { network } of gone) a.network.keeper.want(network.peerId, 'user', network.addresses())
    await until(async () => a.network.peers().length === 2)
    const ports = gone.map((node) => addressOf(node).split('/p2p/')[0] ?? '')
    for (const node of gone) await node[Symbol.asyncDispose]()
    await until(async () => a.network.keeper.wanted().every(({ failures }) => failures > 0))
    await using first = await startNode({ privateKey: gone[0]?.privateKey, listen: [ports[0] ?? ''] })
    await using second = await startNode({ privateKey: gone[1]?.privateKey, listen: [ports[1] ?? ''] })
    const found = nextEvent(a.network, 'peer-connected', ({ peer }) => peer.equals(second.network.peerId))
    await first.network.connect(addressOf(a))
    expect((await found).peer.equals(second.network.peerId)).toBe(true)
  })

  it('does not dial a peer that the guard refuses', async () => {
    await using a = await startNode({ keeper })
    await using b = await startNode()
    const peer = await a.network.connect(addressOf(b))
    const gone = nextEvent(a.network, 'peer-disconnected')
    for (let i = 0; i < 5; i++) a.network.guard.punish(peer, 'bad-signature')
    await gone
    expect(a.network.keeper.wanted()).toMatchObject([{ connected: false, nextDialAtMs: undefined }])
    await expect(a.network.connect(addressOf(b))).rejects.toMatchObject({ code: 'peer-refused' })
  })

  it('keeps no list of who came, where it looks for nobody', async () => {
    await using relay = await startNode({ role: 'relay', keeper })
    const learnt = new Promise((resolve) => relay.network.libp2p.addEventListener('peer:identify', resolve))
    await using guest = await startNode({ keeper })
    await guest.network.connect(addressOf(relay))
    await learnt
    expect(relay.network.keeper.wanted()).toEqual([])
    expect(await rowsOf(relay.datastore)).toBe(0)
  })

  it('refuses a bootstrap address that says nothing about who answers there', async () => {
    await expect(startNode({ bootstrap: ['/ip4/127.0.0.1/tcp/4001'] })).rejects.toMatchObject({ code: 'bad-address' })
    await expect(startNode({ bootstrap: ['example.org'] })).rejects.toMatchObject({ code: 'bad-address' })
  })

  it('wants a peer once, for several reasons, and never itself', async () => {
    const privateKey = await generateKeyPair('Ed25519')
    await using node = await startNode({ privateKey, keeper: { ...keeper, peersTarget: 0 } })
    const other = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    node.network.keeper.want(node.network.peerId, 'user')
    node.network.keeper.want(other, 'met')
    node.network.keeper.want(other, 'learnt')
    expect(node.network.keeper.wanted()).toMatchObject([
      { peer: other.toString(), reasons: ['met', 'learnt'], nextDialAtMs: undefined }
    ])
  })
})

async function rowsOf(datastore: {
  query(query: { prefix: string }): AsyncIterable<unknown> | Iterable<unknown>
}): Promise<number> {
  let rows = 0
  for await (const _ of datastore.query({ prefix: '/souk/learnt' })) rows++
  return rows
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve))
}
