import { randomBytes } from 'node:crypto'
import { createNetwork, peerKeyFromSeed } from '@souk/network'
import { type AnyRecord, sameBytes, type Signer, type SoukRecord } from '@souk/records'
import { createStorage } from '@souk/storage'
import { describe, expect, it } from 'vitest'
import { createFolder, newSigner, sealFeedback, sealListing } from './world.ts'

const recordsMax = 200
/** Records in one answer of catch-up: they are priced together. */
const batch = 5
const identities = 1000
/** What a publisher does by itself for a listing that costs 12 bits. */
const honestBits = 15

describe('a spammer with as many identities as it likes', () => {
  it('stores nothing without work, in strangers’ room with it, and pays more the fuller it gets', async ({
    annotate
  }) => {
    await using victim = await startVictim()
    const friends = listings(20, { workBits: 0, by: () => victim.friend })
    const ratings = Array.from({ length: 20 }, () => sealFeedback({ buyer: newSigner(), seller: newSigner() }))
    const honest = listings(20, { workBits: honestBits })
    const others = [...friends, ...ratings, ...honest]
    expect(await victim.take(others)).toBe(others.length)

    const free = await clocked(() => listings(identities, { workBits: 0 }))
    const atFree = await clocked(() => victim.take(free.made))
    expect(atFree.made).toBe(0)

    const cheap = await clocked(() => listings(identities, { workBits: 12 }))
    const atCheap = await clocked(() => victim.take(cheap.made))
    expect(victim.fullness()).toBeGreaterThan(0.7)
    expect(victim.fullness()).toBeLessThanOrEqual(0.7 + batch / recordsMax)
    expect(atCheap.made).toBe(recordsMax * victim.fullness() - others.length)

    const dear = { asked: [] as number[], attackerMs: 0, victimMs: 0 }
    for (let beyond = 0; beyond < 20; beyond += victim.fullness() === 1 ? 1 : 0) {
      const bits = victim.asks(cheap.made[0] as AnyRecord)
      const sealed = await clocked(() => listings(1, { workBits: bits }))
      const taken = await clocked(() => victim.take(sealed.made))
      expect(taken.made).toBe(1)
      dear.asked.push(bits)
      dear.attackerMs += sealed.ms
      dear.victimMs += taken.ms
    }
    expect(dear.asked).toEqual(dear.asked.toSorted((a, b) => a - b))
    expect([dear.asked[0], dear.asked.at(-1)]).toEqual([13, 18])

    expect(await victim.missing(others)).toEqual([])
    const left = identities - (await victim.missing(cheap.made)).length
    // What came once it was full took the place of the cheapest.
    expect(left).toBe(atCheap.made - (others.length + atCheap.made + dear.asked.length - recordsMax))
    expect(victim.offences()).toEqual([])

    const each = (ms: number): string => `${(ms / identities).toFixed(2)} ms a record`
    await annotate(
      [
        `no work: 0 of ${identities} stored; attacker ${each(free.ms)}, victim ${each(atFree.ms)}`,
        `12 bits: ${atCheap.made} of ${identities} stored; attacker ${each(cheap.ms)}, victim ${each(atCheap.ms)}`,
        `from 70 % to full, and 20 more: attacker ${Math.round(dear.attackerMs)} ms, victim ${Math.round(dear.victimMs)} ms`
      ].join('\n')
    )
  }, 120_000)

  it('who signs itself receipts works for each, and fills a part of their quarter at most', async () => {
    await using victim = await startVictim()
    const seller = newSigner()
    const praises = (options?: { workBits: number }) =>
      Array.from({ length: 100 }, () => sealFeedback({ buyer: newSigner(), seller }, options))
    expect(await victim.take(praises({ workBits: 0 }))).toBe(0)
    const quarter = recordsMax / 4
    const taken = await victim.take(praises())
    expect(taken).toBeGreaterThan(0.7 * quarter)
    expect(taken).toBeLessThanOrEqual(0.7 * quarter + batch)
    const worked = listings(100, { workBits: 12 })
    expect(await victim.take(worked)).toBe(worked.length)
    expect(victim.offences()).toEqual([])
  }, 60_000)
})

interface Wanted {
  readonly workBits: number
  /** A new identity for each when left out. */
  readonly by?: () => Signer
}

function listings(count: number, { workBits, by = newSigner }: Wanted): SoukRecord<'listing'>[] {
  return Array.from({ length: count }, (_, n) => sealListing(by(), n, { workBits }))
}

async function clocked<T>(work: () => T | Promise<T>): Promise<{ made: T; ms: number }> {
  const startedAt = process.cpuUsage()
  const made = await work()
  const { user, system } = process.cpuUsage(startedAt)
  return { made, ms: (user + system) / 1000 }
}

/** A small store behind the gate, as a node has them. */
async function startVictim() {
  await using stack = new AsyncDisposableStack()
  const { path: directory } = stack.use(await createFolder())
  const storage = stack.use(await createStorage({ directory, now: Date.now, search: 'off', limits: { recordsMax } }))
  const friend = newSigner()
  const trusted = (author: Uint8Array): boolean => sameBytes(author, friend.publicKey)
  const { records, sync } = storage
  const network = stack.use(
    await createNetwork(
      {
        datastore: storage.datastore('libp2p'),
        privateKey: await peerKeyFromSeed(new Uint8Array(randomBytes(32))),
        records: {
          put: (list) => records.put(list, { trusted }),
          getBytes: (ids) => records.getBytes(ids),
          holdsSlot: (slot) => records.holdsSlot(slot),
          putOff: (ids) => records.putOff(ids),
          get lastSequence() {
            return records.lastSequence
          }
        },
        sync
      },
      {
        role: 'node',
        listen: [],
        carry: { main: ['people', 'listings/el', 'feedback'] },
        price: { trusts: trusted, fullness: () => records.fullness() }
      }
    )
  )
  const from = network.peerId
  const owned = stack.move()
  return {
    friend,
    /** Returns how many were stored. */
    async take(list: readonly AnyRecord[]): Promise<number> {
      let stored = 0
      for (let at = 0; at < list.length; at += batch) {
        const some = list.slice(at, at + batch).map(({ bytes }) => bytes)
        const results = await network.gate.acceptMany(some, { from, via: 'catch-up' })
        stored += results.filter(({ verdict }) => verdict === 'accept').length
        expect(results.filter(({ verdict }) => verdict === 'reject')).toEqual([])
      }
      return stored
    },
    async missing(list: readonly AnyRecord[]): Promise<AnyRecord[]> {
      const bytes = await records.getBytes(list.map(({ id }) => id))
      return list.filter((_, index) => bytes[index] === undefined)
    },
    asks: ({ kind, bytes, createdAtMs, expiresAtMs }: AnyRecord): number =>
      network.gate.asksStrangers({ kind, bytes: bytes.length, lifeMs: expiresAtMs - createdAtMs }),
    fullness: () => records.fullness().shared,
    offences: () => network.guard.report(),
    [Symbol.asyncDispose]: () => owned.disposeAsync()
  }
}
