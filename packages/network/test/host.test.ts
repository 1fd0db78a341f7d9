import net from 'node:net'
import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Doorway } from '../src/guard/doorway.ts'
import { createGuard } from '../src/guard/guard.ts'
import { entranceBudget, pendingPerHostMax } from '../src/guard/limits.ts'
import { createAttacker } from './abuse/attacker.ts'
import { addressOf, join, nextEvent, startNode, type TestNode } from './support/net.ts'
import { newSigner, sealListing } from './support/records.ts'

describe('a relay', () => {
  it('carries connections to a node that listens nowhere', async () => {
    await using relay = await startNode({ role: 'relay' })
    await using hidden = await startNode({ listen: ['/p2p-circuit'] })
    const reserved = selfUpdate(hidden, (addresses) => addresses.some((address) => address.includes('/p2p-circuit')))
    await hidden.network.connect(addressOf(relay))
    await reserved
    await using visitor = await startNode()
    const address = hidden.network.addresses().find((one) => one.toString().includes('/p2p-circuit'))
    const connection = await visitor.network.libp2p.dial(address!)
    expect(connection.remotePeer.equals(hidden.network.peerId)).toBe(true)
    expect(connection.limits?.bytes).toBeDefined()
  })

  it('grants one block of addresses so many reservations, and lets each holder renew its own', async () => {
    await using relay = await startNode({ role: 'relay' })
    await using holder = await startNode({ listen: ['/p2p-circuit'] })
    await using second = await startNode()
    const reserved = selfUpdate(holder, (addresses) => addresses.some((address) => address.includes('/p2p-circuit')))
    await holder.network.connect(addressOf(relay))
    await reserved
    await join(second, relay)
    const { libp2p } = relay.network
    const guard = createGuard({ now: Date.now, limitLoopback: true, reservationsPerBlockMax: 1 })
    guard.attach(libp2p, { reservations: () => libp2p.services.relay?.reservations ?? [] })
    const denies = (node: TestNode): unknown => guard.gater.denyInboundRelayReservation?.(node.network.peerId)
    expect([denies(holder), denies(second)]).toEqual([false, true])
  })
})

describe('a host', () => {
  it('lets an honest peer in while others hold handshakes open', async () => {
    await using victim = await startNode()
    const port = Number(/\/tcp\/(\d+)/.exec(addressOf(victim))?.[1])
    const idle = await Promise.all(Array.from({ length: 20 }, () => openSocket(port)))
    await using honest = await startNode()
    const came = nextEvent(victim.network, 'peer-connected')
    await honest.network.connect(addressOf(victim))
    expect((await came).peer.equals(honest.network.peerId)).toBe(true)
    await Promise.all(idle.map(closed))
    expect(victim.network.peers()).toEqual([honest.network.peerId])
  })

  it('makes no connection of a socket whose address has no room for it', async () => {
    await using victim = await startNode({ guard: { limitLoopback: true } })
    const port = Number(/\/tcp\/(\d+)/.exec(addressOf(victim))?.[1])
    const deny = vi.spyOn(Doorway.prototype, 'denies')
    onTestFinished(() => deny.mockRestore())
    const idle = await Promise.all(Array.from({ length: pendingPerHostMax }, () => openSocket(port)))
    await vi.waitFor(() => expect(deny).toHaveBeenCalledTimes(pendingPerHostMax))
    await Promise.all(Array.from({ length: 20 }, () => turnedAway(port)))
    expect(deny).toHaveBeenCalledTimes(pendingPerHostMax)
    await Promise.all(idle.map(closed))
  })

  it('lets everybody in who comes at once, each from an address of their own, however long they wait', async () => {
    await using victim = await startNode({ guard: { limitLoopback: true } })
    await using people = new AsyncDisposableStack()
    const comes = Array.from({ length: 3 * entranceBudget.burst }, async (_, at) => {
      const person = people.use(await createAttacker({ from: `127.10.${at}.1` }))
      const connection = await person.dial(addressOf(victim))
      await connection.newStream('/ipfs/ping/1.0.0')
      return connection.status
    })
    expect(new Set(await Promise.all(comes))).toEqual(new Set(['open']))
    expect(victim.network.guard.report()).toEqual([])
  })

  it('says what is wrong with an address, and who does not answer', async () => {
    await using node = await startNode()
    await expect(node.network.connect('not an address')).rejects.toMatchObject({ code: 'bad-address' })
    await expect(node.network.connect('/ip4/127.0.0.1/tcp/1')).rejects.toMatchObject({ code: 'unreachable' })
    await expect(node.network.connect(addressOf(node))).rejects.toMatchObject({ code: 'unreachable' })
  })

  it('starts with no peers, no bootstrap and mDNS on, and stops', async () => {
    const node = await startNode({ listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'], mdns: true })
    expect(node.network.addresses()).toHaveLength(2)
    await node[Symbol.asyncDispose]()
    expect(node.network.peers()).toEqual([])
  })

  it('talks over WebSockets too', async () => {
    await using server = await startNode({ listen: ['/ip4/127.0.0.1/tcp/0/ws'] })
    await using client = await startNode()
    await join(client, server)
    const record = sealListing(newSigner())
    await client.network.publish(record)
    await server.store.until(() => server.store.has(record))
    const [connection] = client.network.libp2p.getConnections() as [Connection]
    expect(connection.remoteAddr.toString()).toContain('/ws')
  })

  it('brings a listing to all nodes that is published while they still look for each other', async () => {
    await using relay = await startNode({ role: 'relay' })
    const bootstrap = [addressOf(relay)]
    await using seller = await startNode({ bootstrap })
    await using buyer = await startNode({ bootstrap })
    const record = sealListing(newSigner())
    await seller.store.put([record])
    await seller.network.publish(record)
    await Promise.all([relay, buyer].map(({ store }) => store.until(() => store.has(record))))
    expect([relay, buyer].map(({ store }) => store.records.size)).toEqual([1, 1])
  })

  it('ends a connection whose last stream is of a peer that it bans', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await a.network.connect(addressOf(b))
    const gone = nextEvent(b.network, 'peer-disconnected')
    for (let i = 0; i < 6; i++) a.network.guard.punish(b.network.peerId, 'bad-signature')
    await gone
    const refused = nextEvent(b.network, 'peer-disconnected')
    await b.network.libp2p.dial(multiaddr(addressOf(a))).then(
      () => refused,
      () => undefined
    )
    expect(a.network.peers()).toEqual([])
  })
})

function selfUpdate({ network }: TestNode, condition: (addresses: string[]) => boolean): Promise<void> {
  return new Promise((resolve) => {
    network.libp2p.addEventListener('self:peer:update', () => {
      if (condition(network.addresses().map(String))) resolve()
    })
  })
}

function openSocket(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve(socket))
    socket.on('error', reject)
    socket.resume()
  })
}

/** Resolves when a socket has been closed by the other side, which may be before it knows that it was open. */
function turnedAway(port: number): Promise<void> {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.resume()
  return closed(socket)
}

/** Resolves when the other side has hung up. */
function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
}
