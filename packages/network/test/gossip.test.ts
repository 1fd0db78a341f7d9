import { readFile } from 'node:fs/promises'
import type { RecordErrorCode } from '@souk/records'
import { describe, expect, it, vi } from 'vitest'
import { addressOf, join, nextEvent, startNode, type TestNode } from './support/net.ts'
import { newSigner, sealListing } from './support/records.ts'
import { TestStore } from './support/store.ts'

const topic = '/souk/1/main/listings/el'

/** Through which gossipsub says IDONTWANT, and what it publishes itself. */
interface Batches {
  sendRpcInBatch(to: Set<string>, rpc: unknown): void
}

describe('gossip', () => {
  it('brings a record from one node to another', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await join(a, b)
    const record = sealListing(newSigner())
    expect(await a.network.publish(record)).toEqual({ peers: 1 })
    await b.store.until(() => b.store.has(record))
    expect([...b.store.records.values()].map(({ bytes }) => bytes)).toEqual([record.bytes])
  })

  it('brings it over other nodes to one that is not connected to the publisher', async () => {
    const nodes: TestNode[] = []
    await using _all = { [Symbol.asyncDispose]: async () => void (await Promise.all(nodes.map(stop))) }
    for (let i = 0; i < 5; i++) nodes.push(await startNode({ transports: 'memory', listen: [`/memory/line-${i}`] }))
    for (let i = 1; i < 5; i++) await join(nodes[i - 1] as TestNode, nodes[i] as TestNode)
    const record = sealListing(newSigner())
    const [first, last] = [nodes[0] as TestNode, nodes[4] as TestNode]
    expect(last.network.peers()).toHaveLength(1)
    await first.network.publish(record)
    await last.store.until(() => last.store.has(record))
  })

  it('publishes to nobody without failing', async () => {
    await using a = await startNode()
    expect(await a.network.publish(sealListing(newSigner()))).toEqual({ peers: 0 })
  })

  it('delivers the true record after a copy with a broken signature, and one on a wrong topic', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await join(a, b)
    const record = sealListing(newSigner())
    const forged = record.bytes.slice()
    forged.set([forged[20]! ^ 1], 20)
    await a.network.libp2p.services.pubsub.publish(topic, forged)
    await a.network.libp2p.services.pubsub.publish('/souk/1/main/people', record.bytes)
    await a.network.publish(record)
    await b.store.until(() => b.store.has(record))
    const codes = b.network.guard.report()[0]?.reasons.map(({ code }) => code)
    expect(codes?.toSorted()).toEqual(['bad-signature', 'wrong-topic'])
  })

  it('makes who brings what was rejected already pay as the first did', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await using victim = await startNode()
    await join(a, victim)
    await join(b, victim)
    const forged = sealListing(newSigner()).bytes.slice()
    forged.set([forged[20]! ^ 1], 20)
    const offences = () => victim.network.guard.report().map(({ reasons }) => reasons)
    await a.network.libp2p.services.pubsub.publish(topic, forged)
    await vi.waitFor(() => expect(offences()).toHaveLength(1))
    await b.network.libp2p.services.pubsub.publish(topic, forged)
    await vi.waitFor(() => expect(offences()).toHaveLength(2))
    const once = [{ code: 'bad-signature', times: 1 }]
    expect(offences()).toMatchObject([once, once])
  })

  it('notes what a neighbour need not be sent, unless nothing of that neighbour is looked at', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await using c = await startNode()
    await join(a, b)
    await join(a, c)
    await join(b, c)
    const { pubsub } = c.network.libp2p.services
    const { idontwants } = pubsub as unknown as { idontwants: Map<string, Map<string, number>> }
    const idsOf = ({ network }: TestNode): number => idontwants.get(network.libp2p.peerId.toString())?.size ?? 0
    await a.network.publish(sealListing(newSigner()))
    await vi.waitFor(() => expect(idsOf(b)).toBe(1))
    const noted = vi.spyOn(pubsub as unknown as { handleIdontwant(): void }, 'handleIdontwant')
    const asked = vi.spyOn(pubsub as unknown as { acceptFrom(name: string): boolean }, 'acceptFrom')
    asked.mockImplementation((name) => name !== b.network.libp2p.peerId.toString())
    const second = sealListing(newSigner())
    await a.network.publish(second)
    await c.store.until(() => c.store.has(second))
    await vi.waitFor(() => expect(asked).toHaveBeenCalledWith(b.network.libp2p.peerId.toString()))
    expect(noted).not.toHaveBeenCalled()
  })

  it('tells neighbours that a message need not be sent again, but not of a flood that is worth nothing', async () => {
    await using hub = await startNode()
    await using neighbour = await startNode()
    await using spammer = await startNode()
    await join(neighbour, hub)
    await join(spammer, hub)
    const told = vi.spyOn(hub.network.libp2p.services.pubsub as unknown as Batches, 'sendRpcInBatch')
    const author = newSigner()
    const forged = Array.from({ length: 2 }, (_, number) => {
      const bytes = sealListing(author, { number }).bytes.slice()
      bytes.set([bytes[20]! ^ 1], 20)
      return bytes
    })
    const judged = async (bytes: Uint8Array): Promise<void> => {
      const checked = nextEvent(hub.network, 'record-checked')
      await spammer.network.libp2p.services.pubsub.publish(topic, bytes)
      await checked
    }
    await judged(forged[0]!)
    expect(told).toHaveBeenCalledTimes(1)
    await judged(forged[1]!)
    expect(told).toHaveBeenCalledTimes(1)
    await judged(sealListing(author, { number: 7 }).bytes)
    await judged(sealListing(author, { number: 8 }).bytes)
    expect(told).toHaveBeenCalledTimes(2)
  })

  it('carries a channel that is subscribed to while the node runs, with the same checks', async () => {
    await using a = await startNode()
    await using b = await startNode()
    await join(a, b)
    const heard = nextSubscription(a)
    b.network.subscribe('main', 'listings/hg')
    await heard
    a.network.subscribe('main', 'listings/hg')
    const { bytes } = sealListing(newSigner())
    await a.network.libp2p.services.pubsub.publish('/souk/1/main/listings/hg', bytes)
    const record = sealListing(newSigner(), { number: 2 })
    await a.network.publish(record)
    await b.store.until(() => b.store.has(record))
    expect(b.network.guard.report()[0]?.reasons.map(({ code }) => code)).toEqual(['wrong-topic'])
    expect(b.store.records.size).toBe(1)
  })
})

describe('a node that is sent more than its neighbours take from one peer', () => {
  it('passes on what they take, and the rest reaches them by catch-up: they have nothing against it', async () => {
    await using hub = await startNode()
    await using neighbour = await startNode()
    await join(neighbour, hub)
    const records = Array.from({ length: 2 }, newSigner).flatMap((author) =>
      Array.from({ length: 300 }, (_, number) => sealListing(author, { number }))
    )
    for (const half of [records.slice(0, 300), records.slice(300)]) {
      await using spammer = await startNode()
      await join(spammer, hub)
      for (const { bytes } of half) await spammer.network.libp2p.services.pubsub.publish(topic, bytes)
      await hub.store.until(() => half.every((record) => hub.store.has(record)))
    }
    await neighbour.store.until(() => records.every((record) => neighbour.store.has(record)))
    expect(neighbour.network.guard.report()).toEqual([])
    expect(neighbour.network.peers().map(String)).toContain(hub.network.peerId.toString())
  }, 120_000)
})

describe('a peer that sends what no honest node passes on', () => {
  it('is disconnected and refused after a few records, and nothing is stored', async () => {
    await using victim = await startNode()
    await using liar = await startNode()
    await join(liar, victim)
    const gone = nextEvent(victim.network, 'peer-disconnected')
    for (let number = 0; number < 60; number++) {
      const { bytes } = sealListing(newSigner(), { number })
      bytes.set([bytes[20]! ^ 1], 20)
      await liar.network.libp2p.services.pubsub.publish(topic, bytes)
    }
    expect((await gone).peer.equals(liar.network.peerId)).toBe(true)
    const [report] = victim.network.guard.report()
    expect(report?.peer).toBe(liar.network.peerId.toString())
    expect(report?.score).toBeLessThan(-19.9)
    expect(report?.bannedUntilMs).toBeGreaterThan(Date.now())
    expect(report?.reasons[0]?.code).toBe('bad-signature')
    expect(report?.reasons[0]?.times).toBeLessThanOrEqual(50)
    expect(victim.store.records.size).toBe(0)

    const thrownOut = nextEvent(liar.network, 'peer-disconnected')
    await liar.network.connect(addressOf(victim)).then(
      () => thrownOut,
      () => undefined
    )
    expect(victim.network.peers()).toEqual([])
  })

  it('pays for each malformed record by its code, except for kinds and versions yet to come', async () => {
    const { invalid } = JSON.parse(await readFile(vectorsFile, 'utf8')) as { invalid: InvalidVector[] }
    expect(invalid.length).toBeGreaterThan(100)
    const store = new TestStore()
    // One clock for both: what is out of its time costs only whose clock is right.
    const now = (): number => invalid[0]!.nowMs
    // All liars come from one address, and faster than 32 a second.
    const guard = { handshakes: { perHostPerSecond: 1000 } }
    await using victim = await startNode({ store, now, guard })
    // gossipsub keeps a score of its own, which does not take pardons: a new liar after every few records.
    for (let at = 0; at < invalid.length; at += 4) {
      await using liar = await startNode({ now })
      await join(liar, victim)
      for (const { name, bytesHex, code } of invalid.slice(at, at + 4)) {
        const checked = nextEvent(victim.network, 'record-checked')
        await liar.network.libp2p.services.pubsub.publish(topic, new Uint8Array(Buffer.from(bytesHex, 'hex')))
        expect({ name, code: (await checked).result.code }).toEqual({ name, code })
        const free = code === 'unknown-kind' || code === 'bad-version' || name === 'expires now'
        const reasons = (): string[] =>
          victim.network.guard.report().flatMap((peer) => peer.reasons.map((one) => one.code))
        await expect.poll(() => ({ name, reasons: reasons() })).toEqual({ name, reasons: free ? [] : [code] })
        victim.network.guard.pardon(liar.network.peerId)
      }
    }
    expect(store.records.size).toBe(0)
  })
})

interface InvalidVector {
  readonly name: string
  readonly bytesHex: string
  readonly code: RecordErrorCode
  readonly nowMs: number
}

const vectorsFile = new URL('../../records/test/vectors/records.json', import.meta.url)

const stop = (node: TestNode): PromiseLike<void> => node[Symbol.asyncDispose]()

function nextSubscription({ network }: TestNode): Promise<unknown> {
  return new Promise((resolve) => {
    network.libp2p.services.pubsub.addEventListener('subscription-change', resolve, { once: true })
  })
}
