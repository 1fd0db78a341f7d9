import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, MultiaddrConnection, PeerId, Stream, StreamMuxer } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressGroups, isLoopback } from '../src/guard/address.ts'
import { TokenBucket } from '../src/guard/bucket.ts'
import { createGuard, type GuardInit } from '../src/guard/guard.ts'
import { createAttacker, heldNoise } from './abuse/attacker.ts'
import { addressOf, join, nextEvent, startNode, type TestNode } from './support/net.ts'

describe('a token bucket', () => {
  it('never gives more than its burst and what has come in since', () => {
    const steps = fc.array(fc.record({ waitMs: fc.nat(2000), cost: fc.integer({ min: 1, max: 30 }) }), {
      maxLength: 60
    })
    fc.assert(
      fc.property(steps, (list) => {
        const bucket = new TokenBucket({ perSecond: 10, burst: 20 }, 0)
        let [nowMs, given] = [0, 0]
        for (const { waitMs, cost } of list) {
          nowMs += waitMs
          if (bucket.take(cost, nowMs)) given += cost
          expect(given).toBeLessThanOrEqual(20 + nowMs / 100 + 1e-6)
        }
      })
    )
  })

  it('says how long to wait, and keeps to it', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 20 }, 0)
    expect(bucket.take(20, 0)).toBe(true)
    const waitMs = bucket.waitMs(5, 0)
    expect(waitMs).toBe(500)
    expect(bucket.take(5, waitMs - 1)).toBe(false)
    expect(bucket.take(5, waitMs)).toBe(true)
    expect(bucket.waitMs(21, waitMs)).toBe(Infinity)
  })

  it('lends what was spent already, and grants nothing until it is paid back', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 20 }, 0)
    bucket.spend(25, 0)
    expect([bucket.take(0, 0), bucket.waitMs(0, 0)]).toEqual([false, 500])
    expect(bucket.take(0, 500)).toBe(true)
    bucket.spend(1e9, 500)
    expect(bucket.waitMs(0, 500)).toBe(2000)
  })

  it('does not fill when the clock goes back', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 1 }, 10_000)
    expect(bucket.take(1, 10_000)).toBe(true)
    expect(bucket.take(1, 0)).toBe(false)
  })
})

describe('a score', () => {
  it('halves in ten minutes; the peer is refused below -20 for a minute at least, below -50 for half an hour', async () => {
    const { guard, peer, clock } = await setUp()
    guard.punish(peer, 'bad-signature')
    expect(guard.score(peer)).toBe(-10)
    clock.nowMs += 600_000
    expect(guard.score(peer)).toBeCloseTo(-5)
    expect(guard.refuses(peer)).toBe(false)
    guard.punish(peer, 'bad-signature')
    guard.punish(peer, 'bad-signature')
    expect(guard.refuses(peer)).toBe(true)
    clock.nowMs += 600_000
    expect(guard.refuses(peer)).toBe(false)
    for (let i = 0; i < 5; i++) guard.punish(peer, 'bad-signature')
    clock.nowMs += 29 * 60_000
    expect(guard.refuses(peer)).toBe(true)
    clock.nowMs += 2 * 60_000
    expect(guard.refuses(peer)).toBe(false)
  })

  it('is refused for a minute even when it only just fell to -20', async () => {
    const { guard, peer, clock } = await setUp()
    guard.punish(peer, 'bad-signature')
    guard.punish(peer, 'bad-signature')
    clock.nowMs += 59_000
    expect(guard.refuses(peer)).toBe(true)
    clock.nowMs += 2000
    expect(guard.refuses(peer)).toBe(false)
  })

  it('is judged by other sanctions where an operator has set them', async () => {
    const { guard, peer, clock } = await setUp({
      sanctions: { disconnectScore: -10, banScore: -20, scoreHalfLifeMs: 1000, disconnectMs: 5000, banMs: 60_000 }
    })
    guard.punish(peer, 'bad-signature')
    expect(guard.refuses(peer)).toBe(true)
    clock.nowMs += 4999
    expect(guard.refuses(peer)).toBe(true)
    clock.nowMs += 2
    expect(guard.refuses(peer)).toBe(false)
    expect(guard.score(peer)).toBeCloseTo(-10 / 32, 2)
    for (let times = 0; times < 2; times++) guard.punish(peer, 'bad-signature')
    clock.nowMs += 59_999
    expect(guard.refuses(peer)).toBe(true)
    clock.nowMs += 2
    expect(guard.refuses(peer)).toBe(false)
  })

  it('says why, the worst first, and counts repetitions; codes of protocols cost what their last part costs', async () => {
    const { guard, peer } = await setUp()
    const other = await newPeer()
    guard.punish(other, 'expired')
    guard.punish(peer, '/souk/located-set/1:bad-signature')
    guard.punish(peer, 'not-canonical')
    guard.punish(peer, 'not-canonical')
    expect(guard.report()).toMatchObject([
      {
        peer: peer.toString(),
        score: -20,
        reasons: expect.arrayContaining([expect.objectContaining({ code: 'not-canonical', times: 2 })])
      },
      { peer: other.toString(), score: -1, bannedUntilMs: undefined }
    ])
  })

  it('never counts against peers that are allowed, and always against those denied', async () => {
    const [friend, foe] = [await newPeer(), await newPeer()]
    const { guard } = await setUp({ allow: [friend.toString()], deny: [foe.toString()] })
    for (let i = 0; i < 10; i++) guard.punish(friend, 'bad-signature')
    expect(guard.refuses(friend)).toBe(false)
    expect(guard.refuses(foe)).toBe(true)
  })

  it('keeps refusing a peer while thousands of new identities come by', async () => {
    const { guard, peer } = await setUp()
    for (let i = 0; i < 10; i++) guard.punish(peer, 'bad-signature')
    for (let i = 0; i < 5000; i++) guard.allow({ toString: () => `peer-${i}` } as PeerId, 'x')
    expect(guard.refuses(peer)).toBe(true)
  })
})

describe('addresses', () => {
  it.each([
    ['/ip4/192.0.2.7/tcp/4001', '192.0.2.7', '192.0.2'],
    ['/ip6/2001:db8:1:2::7/tcp/4001', '2001:db8:1:2:0:0:0:7', '2001:db8:1'],
    ['/ip6/::ffff:192.0.2.7/tcp/4001', '192.0.2.7', '192.0.2']
  ])('groups %s by host and block', (address, host, block) => {
    expect(addressGroups(multiaddr(address))).toEqual({ host, block })
  })

  it('knows loopback, and leaves relayed and in-memory connections to their carriers', () => {
    expect(isLoopback(addressGroups(multiaddr('/ip4/127.0.0.1/tcp/1'))!)).toBe(true)
    expect(isLoopback(addressGroups(multiaddr('/ip6/::1/tcp/1'))!)).toBe(true)
    expect(addressGroups(multiaddr('/memory/x'))).toBeUndefined()
    expect(addressGroups(multiaddr('/ip4/192.0.2.7/tcp/1/p2p-circuit'))).toBeUndefined()
  })

  it('admits so many connections of one address, and of one block, until some close', async () => {
    const { guard } = await setUp({ connectionsPerHostMax: 2, connectionsPerBlockMax: 3 })
    const first = connectionFrom('192.0.2.7')
    const deny = (connection: FakeConnection): boolean => guard.gater.denyInboundConnection?.(connection.as) === true
    expect([first, connectionFrom('192.0.2.7'), connectionFrom('192.0.2.7')].map(deny)).toEqual([false, false, true])
    expect([connectionFrom('192.0.2.8'), connectionFrom('192.0.2.9')].map(deny)).toEqual([false, true])
    expect(deny(connectionFrom('192.0.3.1'))).toBe(false)
    first.close()
    expect(deny(connectionFrom('192.0.2.7'))).toBe(false)
    expect(Array.from({ length: 10 }, () => connectionFrom('127.0.0.1')).map(deny)).not.toContain(true)
  })

  it('turns away what one address opens beyond its share, over real sockets', async () => {
    await using victim = await startNode({ guard: { limitLoopback: true, connectionsPerHostMax: 2 } })
    await using a = await startNode()
    await using b = await startNode()
    await using c = await startNode()
    await a.network.connect(addressOf(victim))
    await b.network.connect(addressOf(victim))
    await expect(c.network.connect(addressOf(victim))).rejects.toMatchObject({ code: 'unreachable' })
    expect(victim.network.peers()).toHaveLength(2)
  })
})

describe('a flood', () => {
  it.each([
    ['of garbage on the gossip stream', '/meshsub/1.2.0', new Uint8Array(64 * 1024).fill(0xff)],
    ['of bytes on a protocol of small questions', '/souk/sync/1', new Uint8Array(64 * 1024)]
  ])('%s is cut by its bytes', async (_name, protocol, chunk) => {
    await using victim = await startNode()
    await using attacker = await startNode()
    await join(attacker, victim)
    const gone = nextEvent(victim.network, 'peer-disconnected')
    const over = nextEvent(attacker.network, 'peer-disconnected')
    await flood(attacker, victim.network.peerId, { protocol, chunk, until: over })
    await gone
    expect(victim.network.guard.refuses(attacker.network.peerId)).toBe(true)
  })

  it('of pings of the multiplexer, each of which is answered, is cut by their number', async () => {
    await using victim = await startNode()
    await using attacker = await createAttacker()
    const known = nextEvent(victim.network, 'peer-connected')
    const connection = await attacker.dial(addressOf(victim))
    await known
    const gone = nextEvent(victim.network, 'peer-disconnected')
    sendPings(connection, 100)
    await gone
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe('too-many-frames')
  })

  it('of pings in one breath with the end of the handshake counts against who sent them, and where they came from', async () => {
    await using victim = await startNode({ guard: { limitLoopback: true } })
    const came: unknown[] = []
    victim.network.on('peer-connected', ({ peer }) => came.push(peer))
    for (let times = 0; times < 3; times++) {
      const sender = await pingInOneBreath(victim)
      expect(victim.network.guard.refuses(sender)).toBe(true)
    }
    expect(came).toEqual([])
    const once = { reasons: [{ code: 'too-many-frames', times: 1 }] }
    expect(victim.network.guard.report()).toMatchObject([once, once, once])
    await using fourth = await createAttacker()
    await expect(fourth.dial(addressOf(victim))).rejects.toBeInstanceOf(Error)
  })

  it.each([
    ['taken back', (stream: Stream) => stream.abort(new Error('taken back'))],
    ['closed', (stream: Stream) => void stream.close()]
  ])('of streams that are opened and %s before they are for anything is cut by their number', async (_name, end) => {
    await using victim = await startNode()
    await using attacker = await createAttacker()
    const known = nextEvent(victim.network, 'peer-connected')
    const connection = await attacker.dial(addressOf(victim))
    const { muxer } = connection as unknown as { muxer: { createStream(): Promise<Stream> } }
    await known
    const gone = nextEvent(victim.network, 'peer-disconnected')
    const streams = await Promise.all(Array.from({ length: 60 }, () => muxer.createStream()))
    // What opens a stream is sent by then.
    await new Promise((resolve) => setImmediate(resolve))
    for (const stream of streams) end(stream)
    await gone
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe('too-many-streams')
  })

  it('is not what asks 25 times for a protocol that we do not have', async () => {
    await using victim = await startNode()
    await using attacker = await createAttacker()
    const connection = await attacker.dial(addressOf(victim))
    for (let number = 0; number < 25; number++) {
      await expect(connection.newStream('/souk/of-another-age/1')).rejects.toMatchObject({
        name: 'UnsupportedProtocolError'
      })
    }
    expect(connection.status).toBe('open')
    expect(victim.network.guard.report()).toEqual([])
  })

  it('of frames for a multiplexer that has ended by itself is cut: what it ran over would be read for ever', async () => {
    await using victim = await startNode()
    await using attacker = await createAttacker()
    const known = nextEvent(victim.network, 'peer-connected')
    const { muxer } = (await attacker.dial(addressOf(victim))) as unknown as { muxer: { maConn: MultiaddrConnection } }
    await known
    const [connection] = victim.network.libp2p.getConnections() as unknown as { muxer: StreamMuxer }[]
    connection?.muxer.abort(new Error('too many early streams'))
    const gone = nextEvent(victim.network, 'peer-disconnected')
    const ping = Uint8Array.of(0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1)
    for (let number = 0; number < 100; number++) muxer.maConn.send(ping)
    await gone
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe('too-many-frames')
  })

  it('of streams beyond what one protocol may have open is cut by their number', async () => {
    await using victim = await startNode()
    await victim.network.libp2p.handle('/test/held/1', () => new Promise(() => {}), { maxInboundStreams: 2 })
    await using attacker = await createAttacker()
    const known = nextEvent(victim.network, 'peer-connected')
    const connection = await attacker.dial(addressOf(victim))
    // libp2p ends a connection by itself on which many streams come before it has told of it.
    await known
    const gone = nextEvent(victim.network, 'peer-disconnected')
    const opening = Array.from({ length: 40 }, () => connection.newStream('/test/held/1'))
    await Promise.all([gone, Promise.allSettled(opening)])
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe('too-many-streams')
  })

  it('is not what a relay brings of others, however many they are', async () => {
    const stop = '/libp2p/circuit/relay/0.2.0/stop'
    await using victim = await startNode()
    await victim.network.libp2p.unhandle(stop)
    await victim.network.libp2p.handle(stop, () => new Promise(() => {}), { maxInboundStreams: 2 })
    await using attacker = await createAttacker()
    const known = nextEvent(victim.network, 'peer-connected')
    const connection = await attacker.dial(addressOf(victim))
    await known
    const streams = await Promise.all(Array.from({ length: 40 }, () => connection.newStream(stop)))
    await expect.poll(() => streams.filter(({ status }) => status === 'open').length).toBe(2)
    expect(connection.status).toBe('open')
    expect(victim.network.guard.report()).toEqual([])
  })

  it('of pings that nobody reads is cut by their number, long before their bytes are many', async () => {
    await using victim = await startNode()
    await using attacker = await createAttacker()
    const connection = await attacker.dial(addressOf(victim))
    const gone = nextEvent(victim.network, 'peer-disconnected')
    const stream = await connection.newStream('/ipfs/ping/1.0.0')
    stream.pause()
    for (let ping = 0; ping < 2000 && stream.writeStatus === 'writable'; ping++) stream.send(new Uint8Array(32))
    await gone
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe('too-many-frames')
  })

  it('of pings that are long is cut by how many they would be: all of it is sent back', async () => {
    await using victim = await startNode()
    await using attacker = await createAttacker()
    const connection = await attacker.dial(addressOf(victim))
    const gone = nextEvent(victim.network, 'peer-disconnected')
    const stream = await connection.newStream('/ipfs/ping/1.0.0')
    stream.send(new Uint8Array(65_536))
    await gone
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe('too-many-frames')
  })

  it('of streams that are opened and left leaves no more open than a connection may have', async () => {
    await using victim = await startNode({ streamsPerConnectionMax: 16 })
    await using attacker = await createAttacker()
    const connection = await attacker.dial(addressOf(victim))
    const { muxer } = connection as unknown as { muxer: { createStream(): Promise<Stream> } }
    const ended = Promise.withResolvers<void>()
    let left = 20
    for (let opened = 0; opened < 36; opened++) {
      const stream = await muxer.createStream()
      stream.addEventListener('close', () => --left === 0 && ended.resolve())
    }
    await ended.promise
    expect(victim.network.libp2p.getConnections()[0]?.streams.length).toBeLessThanOrEqual(16)
  })

  it('of valid records beyond the budget is cut, and what came within it is kept', async () => {
    await using victim = await startNode({ guard: { budgets: { gossip: { perSecond: 1, burst: 50 } } } })
    await using attacker = await startNode()
    await join(attacker, victim)
    const gone = nextEvent(victim.network, 'peer-disconnected')
    for (const record of await manyListings(200)) {
      await attacker.network.libp2p.services.pubsub.publish('/souk/1/main/listings/el', record)
    }
    await gone
    expect(victim.store.records.size).toBeGreaterThanOrEqual(50)
    expect(victim.store.records.size).toBeLessThan(60)
    expect(victim.network.guard.report()[0]?.reasons[0]?.code).toBe('too-many-messages')
  })
})

/** @returns Who sent a hundred with the end of their handshake, once they have been cut off. */
async function pingInOneBreath(victim: TestNode): Promise<PeerId> {
  const { encrypter, release } = heldNoise()
  await using attacker = await createAttacker({ encrypter })
  const connection = await attacker.dial(addressOf(victim))
  const cut = new Promise((resolve) => connection.addEventListener('close', resolve))
  sendPings(connection, 100)
  release()
  await cut
  return attacker.libp2p.peerId
}

/** Of the multiplexer. */
function sendPings(connection: Connection, count: number): void {
  const { muxer } = connection as unknown as { muxer: { sendPing(id: number): void } }
  for (let id = 0; id < count; id++) muxer.sendPing(id)
}

async function setUp(init: Partial<GuardInit> = {}) {
  const clock = { nowMs: 1_000_000 }
  return { clock, guard: createGuard({ now: () => clock.nowMs, ...init }), peer: await newPeer() }
}

async function newPeer(): Promise<PeerId> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
}

interface FakeConnection {
  readonly as: MultiaddrConnection
  close(): void
}

/** The two things that a gater looks at. */
function connectionFrom(host: string): FakeConnection {
  const events = new EventTarget()
  const connection = Object.assign(events, { remoteAddr: multiaddr(`/ip4/${host}/tcp/1`) })
  return {
    as: connection as unknown as MultiaddrConnection,
    close: () => void events.dispatchEvent(new Event('close'))
  }
}

async function manyListings(count: number): Promise<Uint8Array[]> {
  const { newSigner, sealListing } = await import('./support/records.ts')
  const author = newSigner()
  return Array.from({ length: count }, (_, number) => sealListing(author, { number }).bytes)
}

/** Sends one chunk after the other, on new streams when one is reset, until it is cut off. */
async function flood(
  { network }: Awaited<ReturnType<typeof startNode>>,
  target: PeerId,
  { protocol, chunk, until }: { protocol: string; chunk: Uint8Array; until: Promise<unknown> }
): Promise<void> {
  const state = { over: false }
  void until.then(() => (state.over = true))
  while (!state.over) {
    try {
      const stream = await network.libp2p.dialProtocol(target, protocol)
      while (!state.over && stream.status === 'open') {
        if (!stream.send(chunk)) await stream.onDrain({ signal: AbortSignal.timeout(200) }).catch(() => {})
        await new Promise((resolve) => setImmediate(resolve))
      }
    } catch {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
