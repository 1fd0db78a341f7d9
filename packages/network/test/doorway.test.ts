import type { Connection, MultiaddrConnection } from '@libp2p/interface'
import type { RPC } from '@libp2p/gossipsub/message'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { leastMissed } from '../src/guard/crowd.ts'
import { Doorway, type DoorwayInit, type Waiting } from '../src/guard/doorway.ts'
import { unitsOf } from '../src/gossip/intake.ts'

describe('a doorway', () => {
  it('shuts an address when three who came from it were cut off, and its block after ten', () => {
    const { doorway, clock, comes } = setUp()
    for (let cut = 0; cut < 2; cut++) doorway.blame(multiaddr('/ip4/192.0.2.7/tcp/1'))
    expect(comes('192.0.2.7').denied).toBe(false)
    doorway.blame(multiaddr('/ip4/192.0.2.7/tcp/2'))
    expect(comes('192.0.2.7').denied).toBe(true)
    expect(comes('192.0.2.8').denied).toBe(false)
    clock.nowMs += 61_000
    expect(comes('192.0.2.7').denied).toBe(false)
    for (let host = 10; host < 18; host++) doorway.blame(multiaddr(`/ip4/192.0.2.${host}/tcp/1`))
    expect(comes('192.0.2.8').denied).toBe(true)
    expect(comes('192.0.3.8').denied).toBe(false)
  })

  it('lets so many shake hands at once from one address and one block, and counts them out when they have', () => {
    const { doorway, comes } = setUp({ connectionsPerHostMax: 100, connectionsPerBlockMax: 100 })
    const first = comes('192.0.2.7')
    expect(Array.from({ length: 8 }, () => comes('192.0.2.7').denied).indexOf(true)).toBe(7)
    doorway.upgraded(first.connection)
    expect(comes('192.0.2.7').denied).toBe(false)
    expect(Array.from({ length: 25 }, (_, host) => comes(`192.0.2.${100 + host}`).denied).indexOf(true)).toBe(24)
    first.close()
    expect(comes('192.0.2.200').denied).toBe(true)
  })

  it('turns a socket away where a connection would be denied, and counts one that waits like a handshake', () => {
    const { doorway, comes } = setUp({ denyHost: (host) => host === '198.51.100.7' })
    const knock = (host: string): Waiting | undefined => (doorway.turnsAway(host) ? undefined : doorway.knock(host))
    expect(knock('198.51.100.7')).toBeUndefined()
    const waiting = Array.from({ length: 8 }, () => knock('192.0.2.7'))
    expect(waiting.every((one) => one?.block !== undefined)).toBe(true)
    expect([knock('192.0.2.7'), comes('192.0.2.7').denied]).toEqual([undefined, true])
    waiting[0]?.leave()
    waiting[0]?.leave()
    expect(comes('192.0.2.7').denied).toBe(false)
    expect(knock('192.0.2.7')).toBeUndefined()
    for (let attempt = 0; attempt < 300; attempt++) knock('192.0.2.7')
    // The block has made all the attempts that it may.
    expect(comes('192.0.2.8').denied).toBe(true)
    for (let cut = 0; cut < 3; cut++) doorway.blame(multiaddr('/ip4/203.0.113.7/tcp/1'))
    expect(knock('203.0.113.7')).toBeUndefined()
  })

  it('has who is not counted wait for nothing', () => {
    expect(setUp().doorway.knock('127.0.0.1')).toMatchObject({ block: undefined })
    expect(setUp().doorway.turnsAway('127.0.0.1')).toBe(false)
  })

  it('gives places back once, however a connection ends', () => {
    const { doorway, comes } = setUp({ connectionsPerHostMax: 2 })
    const [first, second] = [comes('192.0.2.7'), comes('192.0.2.7')]
    doorway.upgraded(first.connection)
    first.close()
    first.close()
    expect(comes('192.0.2.7').denied).toBe(false)
    expect(comes('192.0.2.7').denied).toBe(true)
    expect(second.denied).toBe(false)
  })

  it('shares what one peer may do between all who come from an address, and more between those of a block', () => {
    const { doorway } = setUp()
    const take = (host: string): string | undefined =>
      doorway.take(multiaddr(`/ip4/${host}/tcp/1`), { name: 'gossip', budget: { perSecond: 1, burst: 10 }, cost: 1 })
    expect(Array.from({ length: 21 }, () => take('192.0.2.7')).indexOf('host')).toBe(20)
    const others = Array.from({ length: 70 }, (_, at) => take(`192.0.2.${10 + (at % 6)}`))
    expect(others.indexOf('block')).toBe(60)
    expect(take('198.51.100.7')).toBeUndefined()
  })

  it('shares out as much as it is told to', () => {
    const { doorway } = setUp({ shares: { host: 3, block: 4 } })
    const take = (host: string): string | undefined =>
      doorway.take(multiaddr(`/ip4/${host}/tcp/1`), { name: 'gossip', budget: { perSecond: 1, burst: 10 }, cost: 1 })
    expect(Array.from({ length: 31 }, () => take('192.0.2.7')).indexOf('host')).toBe(30)
    expect(Array.from({ length: 11 }, () => take('192.0.2.8')).indexOf('block')).toBe(10)
  })

  it('does not count this machine, unless it is told to, nor what comes over a relay', () => {
    const budget = { perSecond: 1, burst: 1 }
    const three = (doorway: Doorway, address: string): unknown[] =>
      Array.from({ length: 3 }, () => doorway.take(multiaddr(address), { name: 'gossip', budget, cost: 1 }))
    expect(three(setUp().doorway, '/ip4/127.0.0.1/tcp/1')).toEqual([undefined, undefined, undefined])
    expect(three(setUp({ limitLoopback: true }).doorway, '/ip4/127.0.0.1/tcp/1')[2]).toBe('host')
    const relayed = '/ip4/192.0.2.7/tcp/1/p2p/12D3KooWGatU8XMZ2gCzyXVRFmpPRUhUMwAT9p3JQvNkDPUCFmAj/p2p-circuit'
    expect(three(setUp().doorway, relayed)).toEqual([undefined, undefined, undefined])
  })

  it('counts sockets that have yet to ask for anything like connections', () => {
    const { doorway } = setUp({ connectionsPerHostMax: 2 })
    const address = multiaddr('/ip4/192.0.2.7/tcp/1')
    const leave = doorway.admitSocket(address)
    expect(doorway.admitSocket(address)).toBeDefined()
    expect(doorway.admitSocket(address)).toBeUndefined()
    leave?.()
    expect(doorway.admitSocket(address)).toBeDefined()
  })
})

describe('a crowd', () => {
  it('loses the youngest of the block that has most of it, and never whom we dialled', () => {
    const crowd = [
      ...Array.from({ length: 3 }, (_, at) => member(`198.51.100.${at}`, { openMs: at })),
      member('192.0.2.1', { openMs: 100 }),
      member('203.0.113.1', { openMs: 200, direction: 'outbound' })
    ]
    expect(leastMissed(crowd, () => true)).toBe(crowd[2])
    expect(leastMissed(crowd, (one) => one !== crowd[2])).toBe(crowd[1])
    expect(leastMissed([crowd[4] as Connection], () => true)).toBeUndefined()
  })
})

describe('an RPC', () => {
  const nothing: RPC = { subscriptions: [], messages: [] }
  const none = { ihave: [], iwant: [], graft: [], prune: [], idontwant: [] }
  const ids = (count: number): Uint8Array[] => Array.from({ length: count }, () => new Uint8Array(32))

  it.each([
    ['nothing', nothing, 1],
    ['two messages', { ...nothing, messages: [{ topic: 'x' }, { topic: 'x' }] }, 17],
    ['one that was asked for, and one that was not', { ...nothing, messages: [{ topic: 'x' }, { topic: 'y' }] }, 73],
    ['three subscriptions', { ...nothing, subscriptions: [{}, {}, {}] }, 4],
    ['a change of the mesh', { ...nothing, control: { ...none, graft: [{ topicID: 'x' }] } }, 3],
    ['33 ids offered', { ...nothing, control: { ...none, ihave: [{ topicID: 'x', messageIDs: ids(33) }] } }, 68],
    ['33 that are asked for', { ...nothing, control: { ...none, iwant: [{ messageIDs: ids(33) }] } }, 35],
    ['33 that are not wanted', { ...nothing, control: { ...none, idontwant: [{ messageIDs: ids(33) }] } }, 35]
  ])('of %s costs what acting on it costs', (_name, rpc, units) => {
    expect(unitsOf(rpc, ({ topic }) => (topic === 'x' ? 8 : 64))).toBe(units)
  })
})

function setUp(init: Partial<DoorwayInit> = {}) {
  const clock = { nowMs: 1_000_000 }
  const doorway = new Doorway({ now: () => clock.nowMs, ...init })
  const comes = (host: string) => {
    const events = Object.assign(new EventTarget(), { remoteAddr: multiaddr(`/ip4/${host}/tcp/1`) })
    const connection = events as unknown as MultiaddrConnection
    return { connection, denied: doorway.denies(connection), close: () => events.dispatchEvent(new Event('close')) }
  }
  return { clock, doorway, comes }
}

function member(
  host: string,
  { openMs, direction = 'inbound' }: { openMs: number; direction?: 'inbound' | 'outbound' }
): Connection {
  const remoteAddr = multiaddr(`/ip4/${host}/tcp/1`)
  return { remoteAddr, direction, status: 'open', timeline: { open: openMs } } as unknown as Connection
}
