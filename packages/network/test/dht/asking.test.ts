import { randomBytes } from 'node:crypto'
import type { PeerId } from '@libp2p/interface'
import type { QueryEvent } from '@libp2p/kad-dht'
import { describe, expect, it } from 'vitest'
import { dhtProtocol, questionPace } from '../../src/dht/limits.ts'
import { requestBudgets } from '../../src/guard/limits.ts'
import { knows } from '../peers.ts'
import { startNode } from '../support/net.ts'

/** How kad-dht asks. */
interface Network {
  sendRequest(to: PeerId, message: object, options: object): AsyncIterable<QueryEvent>
}

describe('what one neighbour is asked', () => {
  it('goes at a pace that it grants, however much there is to ask', async () => {
    await using node = await startNode()
    await using neighbour = await startNode()
    const { libp2p } = node.network
    await libp2p.dial(neighbour.network.libp2p.getMultiaddrs())
    await knows(libp2p, 1)
    const { network } = libp2p.services.dht as unknown as { network: Network }
    const ask = async (signal?: AbortSignal): Promise<string | undefined> => {
      const question = { type: 'FIND_NODE', key: new Uint8Array(randomBytes(32)), closer: [], providers: [] }
      const path = { index: 0, queued: 0, running: 0, total: 0 }
      const events: QueryEvent[] = []
      const asking = network.sendRequest(neighbour.network.libp2p.peerId, question, { path, ...(signal && { signal }) })
      for await (const event of asking) events.push(event)
      return events.at(-1)?.name
    }
    const count = questionPace.burst + 40
    let left = count
    const answers: (string | undefined)[] = []
    const startMs = performance.now()
    const askOn = async (): Promise<void> => {
      while (left-- > 0) answers.push(await ask())
    }
    await Promise.all(Array.from({ length: 10 }, askOn))
    // Those beyond the burst; a timer of Node may fire a millisecond early.
    expect(performance.now() - startMs).toBeGreaterThan((40 / questionPace.perSecond) * 1000 - 2)
    expect(answers).toEqual(Array.from({ length: count }, () => 'PEER_RESPONSE'))
    expect(neighbour.network.guard.report()).toEqual([])

    const ending = new AbortController()
    const given = ask(ending.signal)
    ending.abort(new Error('enough'))
    expect(await given).toBe('QUERY_ERROR')
  })

  it('is less than it grants', () => {
    const { perSecond, burst } = requestBudgets[dhtProtocol]!
    expect(questionPace.perSecond).toBeLessThan(perSecond)
    expect(questionPace.burst).toBeLessThan(burst)
  })
})
