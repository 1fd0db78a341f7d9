import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openGuard } from '../../src/exchange.ts'
import { createClosestPeers, distanceOf } from '../../src/feedback/closest.ts'
import { missedMax, republishAfterMs } from '../../src/feedback/limits.ts'
import { createKeeperClient } from '../../src/feedback/reader.ts'
import { createRepublisher, type Republisher } from '../../src/feedback/republish.ts'
import { createShelf } from '../../src/feedback/shelf.ts'
import type { FeedbackRecord } from '../../src/feedback/value.ts'
import type { KeyValueStore } from '../../src/store.ts'
import { createPeer, memoryStore, type Peer } from '../peers.ts'
import { feedbackOf, person } from './trade.ts'

let nowMs: number
let peer: Peer
let store: KeyValueStore
/** Every attempt, whether somebody took it or not. */
let puts: FeedbackRecord[]
let isTaken: (record: FeedbackRecord) => boolean

beforeEach(async () => {
  nowMs = Date.now()
  peer = await createPeer()
  store = memoryStore()
  puts = []
  isTaken = () => true
})

afterEach(() => peer.stop())

/** The one that runs, or on the same store the one after a restart. */
async function start(): Promise<Republisher> {
  const { dht } = peer.services
  const now = (): number => nowMs
  const shelf = await createShelf({ store }, { now, distance: (subject) => distanceOf(peer.peerId, subject) })
  const republisher = createRepublisher(
    {
      store,
      shelf,
      client: createKeeperClient({ libp2p: peer, guard: openGuard }, { now }),
      closest: createClosestPeers({ libp2p: peer, dht }, { now }),
      dht,
      libp2p: peer,
      log: peer.logger.forComponent('test')
    },
    { now, pace: async () => {}, put, putTo: async () => {} }
  )
  async function put(record: FeedbackRecord): Promise<boolean> {
    puts.push(record)
    if (!isTaken(record)) return false
    await republisher.taken(record)
    return true
  }
  return republisher
}

const records = (count: number): FeedbackRecord[] =>
  Array.from({ length: count }, () => feedbackOf({ buyer: person(), seller: person(), nowMs }) as FeedbackRecord)

async function putDue(republisher: Republisher): Promise<string[]> {
  puts = []
  await republisher.putDue({})
  return puts.map(({ id }) => id)
}

describe('what a node publishes', () => {
  test('is due at once, and again when it was taken so long ago, after a restart too', async () => {
    const [record] = records(1) as [FeedbackRecord]
    const first = await start()
    await first.remember(record)
    expect(await putDue(first)).toEqual([record.id])
    await first.remember(record)
    const second = await start()
    expect(await second.isRemembered(record.id)).toBe(true)
    expect(await putDue(second)).toEqual([])
    nowMs += republishAfterMs
    expect(await putDue(second)).toEqual([record.id])
  })

  test('is due until somebody takes it, after a restart too', async () => {
    const [record] = records(1) as [FeedbackRecord]
    isTaken = () => false
    const first = await start()
    await first.remember(record)
    expect(await putDue(first)).toEqual([record.id])
    expect(await putDue(await start())).toEqual([record.id])
    isTaken = () => true
    expect(await putDue(first)).toEqual([record.id])
    expect(await putDue(first)).toEqual([])
  })

  test('waits while nobody takes anything, and is not held up by what nobody ever takes', async () => {
    const refused = records(missedMax)
    const good = records(3)
    isTaken = () => false
    const republisher = await start()
    for (const record of refused) await republisher.remember(record)
    expect(await putDue(republisher)).toHaveLength(missedMax)
    for (const record of good) await republisher.remember(record)
    isTaken = ({ id }) => good.some((record) => record.id === id)
    nowMs++
    const tried = await putDue(republisher)
    expect(tried.slice(0, good.length).toSorted()).toEqual(good.map(({ id }) => id).toSorted())
    expect(tried).toHaveLength(good.length + missedMax)
    nowMs++
    expect((await putDue(republisher)).toSorted()).toEqual(refused.map(({ id }) => id).toSorted())
  })

  test('is forgotten when it has expired', async () => {
    const [record] = records(1) as [FeedbackRecord]
    const republisher = await start()
    await republisher.remember(record)
    nowMs = record.expiresAtMs
    expect(await putDue(republisher)).toEqual([])
    expect(await republisher.isRemembered(record.id)).toBe(false)
  })
})
