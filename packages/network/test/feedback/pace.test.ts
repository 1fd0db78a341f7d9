import { randomBytes } from 'node:crypto'
import { recordDigest } from '@souk/records'
import { afterEach, describe, expect, test } from 'vitest'
import { placeKey } from '../../src/feedback/closest.ts'
import {
  createFeedbackDirectory,
  type FeedbackDirectory,
  type FeedbackDirectoryInit
} from '../../src/feedback/directory.ts'
import {
  idsPerGetMax,
  idsPerPageMax,
  locatedSetLimits,
  pace as paceDefault,
  questionPace,
  recordsPerRunMax,
  shelfLimits
} from '../../src/feedback/limits.ts'
import { exchangeUnits, openGuard } from '../../src/exchange.ts'
import { locatedSetProtocol } from '../../src/feedback/located-set.ts'
import { createKeeperClient } from '../../src/feedback/reader.ts'
import { createPace } from '../../src/pace.ts'
import { valueKey } from '../../src/feedback/value.ts'
import { requestBudgets } from '../../src/guard/limits.ts'
import { createPeer, knows, memoryStore, type Peer } from '../peers.ts'
import { startNode, type TestNode } from '../support/net.ts'
import { feedbackOf, person } from './trade.ts'

const dhtProtocol = '/souk/kad/1.0.0'

/** What one turn asks of a neighbour at most. */
const ofOneTurn = { questions: 3, values: 2, units: 7 }

const left: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const task of left.splice(0).toReversed()) await task()
})

describe('a pace', () => {
  test('lets as many go at once as its burst, and then one after the other in time', async () => {
    const pace = createPace({ perSecond: 20, burst: 3 })
    const order: number[] = []
    const startMs = performance.now()
    const turns = Array.from({ length: 7 }, (_, index) => pace({}).then(() => order.push(index)))
    await turns[2]
    expect(performance.now() - startMs).toBeLessThan(50)
    await Promise.all(turns)
    // Four more at 50 ms; a timer of Node may fire a millisecond early.
    expect(performance.now() - startMs).toBeGreaterThan(195)
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6])
  })

  test('keeps no more turns for later than its burst', async () => {
    const pace = createPace({ perSecond: 100, burst: 2 })
    await Promise.all(Array.from({ length: 12 }, () => pace({})))
    const startMs = performance.now()
    await Promise.all(Array.from({ length: 12 }, () => pace({})))
    expect(performance.now() - startMs).toBeGreaterThan(95)
  })

  test('ends at once for who gives up, though others wait before, and goes on for those', async () => {
    const pace = createPace({ perSecond: 10, burst: 1 })
    await pace({})
    const ending = new AbortController()
    const ended: string[] = []
    const first = pace({}).then(() => ended.push('first'))
    const given = pace({ signal: ending.signal }).catch((error: unknown) => {
      ended.push('given up')
      throw error
    })
    const reason = new Error('enough')
    ending.abort(reason)
    await expect(given).rejects.toBe(reason)
    await first
    expect(ended).toEqual(['given up', 'first'])
    await expect(pace({ signal: ending.signal })).rejects.toBe(reason)
  })
})

interface Neighbour extends TestNode {
  /** What its guard was asked for since the last look, by the name of the budget. */
  spent(name: string): number
}

/** Keeps for others, as every node does. */
async function startNeighbour(): Promise<Neighbour> {
  const node = await startNode()
  const { libp2p, guard } = node.network
  const spent = new Map<string, number>()
  const count = (name: string, cost: number): void => void spent.set(name, (spent.get(name) ?? 0) + cost)
  const [allow, charge] = [guard.allow.bind(guard), guard.charge.bind(guard)]
  guard.allow = (peer, name, cost = 1) => {
    count(name, cost)
    return allow(peer, name, cost)
  }
  guard.charge = (peer, name, cost) => {
    count(name, cost)
    charge(peer, name, cost)
  }
  const directory = await createFeedbackDirectory({ libp2p, guard, dht: libp2p.services.dht, store: memoryStore() })
  left.push(async () => {
    await directory[Symbol.asyncDispose]()
    await node[Symbol.asyncDispose]()
  })
  const take = (name: string): number => {
    const sum = spent.get(name) ?? 0
    spent.delete(name)
    return sum
  }
  return { ...node, spent: take }
}

async function startMember(init: FeedbackDirectoryInit = {}): Promise<{ peer: Peer; directory: FeedbackDirectory }> {
  const peer = await createPeer(init.now && { now: init.now })
  const directory = await createFeedbackDirectory({ libp2p: peer, dht: peer.services.dht, store: memoryStore() }, init)
  left.push(async () => {
    await directory[Symbol.asyncDispose]()
    await peer.stop()
  })
  return { peer, directory }
}

/** Somebody who is nobody's neighbour in the DHT has them kept, and goes. */
async function bring(keeper: Peer, records: readonly { readonly bytes: Uint8Array }[]): Promise<void> {
  const bringer = await createPeer({ clientMode: true })
  await bringer.dial(keeper.getMultiaddrs())
  const client = createKeeperClient({ libp2p: bringer, guard: openGuard }, { now: Date.now })
  for (const { bytes } of records) expect(await client.add(keeper.peerId, bytes)).toEqual({ status: 'kept' })
  await bringer.stop()
}

async function join(peer: Peer, { network }: TestNode): Promise<void> {
  await peer.dial(network.libp2p.getMultiaddrs())
  await Promise.all([knows(peer, 1), knows(network.libp2p, 1)])
}

/** How kad-dht asks. */
interface Asking {
  sendRequest(to: unknown, message: { readonly key: Uint8Array }, options: unknown): AsyncIterable<unknown>
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('who puts many records', () => {
  test('asks a neighbour no more than was reckoned with for each', async () => {
    const neighbour = await startNeighbour()
    const { peer, directory } = await startMember()
    await join(peer, neighbour)
    const { network } = peer.services.dht as unknown as { network: Asking }
    const send = network.sendRequest.bind(network)
    const asked: string[] = []
    network.sendRequest = (to, message, options) => {
      asked.push(hex(message.key))
      return send(to, message, options)
    }
    for (let index = 0; index < 20; index++) {
      const record = feedbackOf({ buyer: person(), seller: person() })
      expect(await directory.publish(record)).toEqual({ replicas: 1, keepers: 2 })
      const keys = [valueKey(recordDigest(record.id)), placeKey(record.content.subject)].map(hex)
      expect(asked.filter((key) => keys.includes(key))).toHaveLength(ofOneTurn.questions)
      expect(neighbour.spent('value')).toBe(ofOneTurn.values)
      expect(neighbour.spent(locatedSetProtocol)).toBeLessThan(ofOneTurn.units)
    }
  })

  test('stays, all at once and for long, within what a neighbour grants, and leaves half of the DHT for look-ups', () => {
    const budgets: [name: string, perTurn: number, share: number][] = [
      [dhtProtocol, ofOneTurn.questions, 0.5],
      ['value', ofOneTurn.values, 1]
    ]
    for (const [name, perTurn, share] of budgets) {
      const { perSecond, burst } = requestBudgets[name]!
      expect(perTurn * paceDefault.perSecond).toBeLessThanOrEqual(share * perSecond)
      expect(perTurn * paceDefault.burst).toBeLessThanOrEqual(share * burst)
    }
    const { perSecond, burst } = requestBudgets[locatedSetProtocol]!
    expect(questionPace.perSecond).toBeLessThan(perSecond)
    expect(questionPace.burst).toBeLessThan(burst)
    expect(ofOneTurn.units * paceDefault.perSecond).toBeLessThan(questionPace.perSecond)
    // A keeper that goes at no pace brings the records of one comparison at once.
    expect(requestBudgets['value']!.burst).toBeGreaterThan(recordsPerRunMax)
  })

  test('reckons with the longest answers: a full page of records, and all names of a full set', () => {
    const { answerBytesMax } = locatedSetLimits
    const get = exchangeUnits({ questionBytes: 100 + 32 * idsPerGetMax, answerBytes: answerBytesMax })
    expect(get).toBeLessThan(ofOneTurn.units)
    const pages = Math.ceil(shelfLimits.recordsPerSubjectMax / idsPerPageMax)
    const answerBytes = (34 * shelfLimits.recordsPerSubjectMax) / pages
    expect(pages * exchangeUnits({ questionBytes: 120, answerBytes })).toBeLessThan(ofOneTurn.units)
  })
})

test('who reads much of one keeper waits, and is refused nothing', async () => {
  const neighbour = await startNeighbour()
  const peer = await createPeer({ clientMode: true })
  left.push(async () => peer.stop())
  await peer.dial(neighbour.network.libp2p.getMultiaddrs())
  const client = createKeeperClient({ libp2p: peer, guard: openGuard }, { now: Date.now })
  const digests = Array.from({ length: idsPerGetMax }, () => hex(randomBytes(32)))
  const wanted = { subject: person().publicKey, digests }
  const keeper = neighbour.network.libp2p.peerId
  // Five units each, as the client reckons, and three for the keeper, which has nothing to answer.
  const reading = Array.from({ length: 25 }, () => client.get(keeper, wanted))
  expect((await Promise.all(reading)).flat()).toEqual([])
  expect(neighbour.spent(locatedSetProtocol)).toBeGreaterThan(requestBudgets[locatedSetProtocol]!.burst)
  expect(neighbour.spent('refusal')).toBe(0)
})

describe('a daily run', () => {
  test('brings a keeper what it lacks in turns, and puts the values in turns', async () => {
    const neighbour = await startNeighbour()
    const { peer, directory } = await startMember({ pace: { perSecond: 20, burst: 1 } })
    const seller = person()
    // Five that it keeps for others, and the neighbour has not.
    await bring(
      peer,
      Array.from({ length: 5 }, () => feedbackOf({ buyer: person(), seller }))
    )
    await join(peer, neighbour)
    await directory.publish(feedbackOf({ buyer: person(), seller: person() }))
    neighbour.spent('value')
    const startMs = performance.now()
    await directory.republish()
    expect(neighbour.spent('value')).toBe(10)
    // Two subjects, one list, five records for the set, and six values, of which one is there; the first turn may be too.
    expect(performance.now() - startMs).toBeGreaterThan((2 + 1 + 5 + 6 - 1) * 50 - 5)
  })

  test('puts what is due in turns', async () => {
    let aheadMs = 0
    const now = (): number => Date.now() + aheadMs
    const neighbour = await startNeighbour()
    const { peer, directory } = await startMember({ now, pace: { perSecond: 20, burst: 1 } })
    await join(peer, neighbour)
    const seller = person()
    for (let index = 0; index < 5; index++) await directory.publish(feedbackOf({ buyer: person(), seller }))
    await directory.republish()
    aheadMs = 21 * 3_600_000
    const startMs = performance.now()
    await directory.republish()
    // Five that it published, one subject, and five that it keeps; the first turn may be there already.
    expect(performance.now() - startMs).toBeGreaterThan(10 * 50 - 5)
  })

  test('ends at once when it is given up between two turns', async () => {
    const { directory } = await startMember({ pace: { perSecond: 0.001, burst: 1 } })
    await directory.publish(feedbackOf({ buyer: person(), seller: person() }))
    const ending = new AbortController()
    const run = directory.republish({ signal: ending.signal })
    const reason = new Error('enough')
    ending.abort(reason)
    await expect(run).rejects.toBe(reason)
  })
})
