import { describe, expect, it } from 'vitest'
import type { ClockState } from '../src/clocks.ts'
import { addressOf, nextEvent, startNode, type TestNode } from './support/net.ts'
import { newSigner, sealListing } from './support/records.ts'
import { TestStore } from './support/store.ts'

const hour = 3_600_000
const twoHours = 2 * hour

function clockOf(aheadMs: number): () => number {
  return () => Date.now() + aheadMs
}

function isKnown({ network }: TestNode): Promise<ClockState> {
  if (network.clocks.now.state !== 'unknown') return Promise.resolve(network.clocks.now)
  return new Promise((resolve) => network.clocks.onChange(resolve))
}

describe('clocks', () => {
  it('agree within a moment', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await a.network.connect(addressOf(b))
    for (const node of [a, b]) {
      const { state, aheadMs = Infinity, peers } = await isKnown(node)
      expect({ state, peers }).toEqual({ state: 'ok', peers: 1 })
      expect(Math.abs(aheadMs)).toBeLessThan(1000)
    }
  })

  it.each([twoHours, -twoHours])('a clock %d ms ahead of two others is off, and theirs are not', async (aheadMs) => {
    await using a = await startNode({ now: clockOf(aheadMs) })
    await using b = await startNode()
    await using c = await startNode()
    await b.network.connect(addressOf(c))
    expect(await isKnown(b)).toMatchObject({ state: 'ok' })
    await a.network.connect(addressOf(b))
    await a.network.connect(addressOf(c))
    const known = await isKnown(a)
    expect(known.state).toBe('off')
    expect(Math.abs((known.aheadMs ?? 0) - aheadMs)).toBeLessThan(1000)
    expect(b.network.clocks.now.state).toBe('ok')
  })

  it.each([twoHours, -twoHours])('who is %d ms ahead is not punished for it, nor punishes', async (aheadMs) => {
    const store = new TestStore()
    const author = newSigner()
    const listings = Array.from({ length: 60 }, (_, number) =>
      sealListing(author, { number, nowMs: Date.now() + Math.max(0, aheadMs) })
    )
    await store.put(listings)
    const [ahead, behind] = aheadMs > 0 ? [aheadMs, 0] : [0, aheadMs]
    await using giver = await startNode({ store, now: clockOf(ahead) })
    await using taker = await startNode({ now: clockOf(behind) })
    await taker.network.connect(addressOf(giver))
    await Promise.all([isKnown(giver), isKnown(taker)])
    expect(await taker.network.catchUp(giver.network.peerId)).toMatchObject({ stored: 0 })
    expect(taker.network.guard.report()).toEqual([])
    expect(taker.network.peers()).toEqual([giver.network.peerId])
    expect(taker.store.records.size).toBe(0)
  })

  it('are asked for again where no answer came: nobody would know for ten minutes', async () => {
    const protocol = '/souk/time/1'
    await using a = await startNode()
    await using b = await startNode()
    const { guard } = b.network
    const allow = guard.allow.bind(guard)
    let asked = 0
    guard.allow = (peer, name, cost) => (name !== protocol || ++asked > 1) && allow(peer, name, cost)
    await a.network.connect(addressOf(b))
    expect(await isKnown(a)).toMatchObject({ state: 'ok', peers: 1 })
    expect(asked).toBeGreaterThan(1)
  })

  it('who sends from another time before they have said who they are is asked what time they have', async () => {
    await using b = await startNode({ now: clockOf(twoHours), keeper: { peersTarget: 0 } })
    await using a = await startNode({ keeper: { peersTarget: 0 } })
    await a.network.libp2p.unhandle('/ipfs/id/push/1.0.0')
    await b.network.libp2p.unhandle('/ipfs/id/1.0.0')
    const checked = nextEvent(a.network, 'record-checked')
    await b.network.connect(addressOf(a))
    const publish = async (): Promise<number> => {
      const { peers } = await b.network.publish(sealListing(newSigner(), { nowMs: Date.now() + twoHours }))
      return peers
    }
    await expect.poll(publish, { timeout: 20_000 }).toBe(1)
    expect((await checked).result).toMatchObject({ verdict: 'ignore', code: 'not-yet-valid' })
    expect(await isKnown(a)).toMatchObject({ peers: 1 })
    expect(a.network.guard.report()).toEqual([])
  })

  it('whose clock agrees pays for records that are out of their time', async () => {
    const store = new TestStore()
    await store.put([sealListing(newSigner(), { nowMs: Date.now() + twoHours })])
    await using giver = await startNode({ store })
    await using taker = await startNode()
    await taker.network.connect(addressOf(giver))
    await isKnown(taker)
    await expect(taker.network.catchUp(giver.network.peerId)).rejects.toMatchObject({ code: 'refused-record' })
    expect(taker.network.guard.report()[0]?.reasons.map(({ code }) => code)).toContain('not-yet-valid')
  })
})
