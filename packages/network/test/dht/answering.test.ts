import { setImmediate } from 'node:timers/promises'
import type { PeerId } from '@libp2p/interface'
import type { QueryEvent } from '@libp2p/kad-dht'
import { Libp2pRecord } from '@libp2p/record'
import { recordDigest } from '@souk/records'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { valueKey } from '../../src/feedback/value.ts'
import { feedbackOf, person } from '../feedback/trade.ts'
import { createPeer, knows, type Peer } from '../peers.ts'
import { startNode, type TestNode } from '../support/net.ts'

/** How kad-dht itself asks. */
interface Network {
  sendRequest(to: PeerId, message: object, options: { path: object }): AsyncIterable<QueryEvent>
}

type Response = Extract<QueryEvent, { name: 'PEER_RESPONSE' }>

describe('kad-dht’s own side', () => {
  let [node, asker, third]: [TestNode?, Peer?, Peer?] = []

  beforeAll(async () => {
    node = await startNode()
    third = await createPeer()
    asker = await createPeer({ clientMode: true })
    for (const peer of [third, asker]) await peer.dial(node.network.libp2p.getMultiaddrs())
    await knows(node.network.libp2p, 1)
  })
  afterAll(async () => {
    await asker?.stop()
    await third?.stop()
    await node?.[Symbol.asyncDispose]()
  })

  async function ask(message: object): Promise<Response | undefined> {
    const { network } = asker!.services.dht as unknown as { network: Network }
    const all: QueryEvent[] = []
    const to = node!.network.libp2p.peerId
    const path = { index: 0, queued: 0, running: 0, total: 0 }
    for await (const event of network.sendRequest(to, { closer: [], providers: [], ...message }, { path })) {
      all.push(event)
    }
    return all.find((event): event is Response => event.name === 'PEER_RESPONSE')
  }

  const named = (response: Response | undefined): string[] | undefined => response?.closer.map(({ id }) => String(id))

  const valueOf = (response: Response | undefined): Uint8Array => new Uint8Array(response?.record?.value ?? [])

  it('is told who is nearest to a key, and where they are', async () => {
    const response = await ask({ type: 'FIND_NODE', key: new Uint8Array(32).fill(9) })
    expect(named(response)).toEqual([String(third!.peerId)])
    expect(response?.closer[0]?.multiaddrs.map(String)).toEqual(
      third!.getMultiaddrs().map((address) => String(address.decapsulate(`/p2p/${String(third!.peerId)}`)))
    )
    // From memory.
    expect((await ask({ type: 'FIND_NODE', key: new Uint8Array(32).fill(9) }))?.closer).toEqual(response?.closer)
  })

  it('is told of a peer that it looks for by its id, and of ourselves', async () => {
    const of = async ({ peerId }: { peerId: PeerId }): Promise<string[] | undefined> =>
      named(await ask({ type: 'FIND_NODE', key: peerId.toMultihash().bytes }))
    expect(await of(third!)).toContain(String(third!.peerId))
    expect(await of(node!.network.libp2p)).toContain(String(node!.network.libp2p.peerId))
  })

  it('puts a value and gets it', async () => {
    const { id, bytes } = feedbackOf({ buyer: person(), seller: person() })
    const key = valueKey(recordDigest(id))
    expect((await ask({ type: 'GET_VALUE', key }))?.record).toBeUndefined()
    const record = new Libp2pRecord(key, bytes, new Date()).serialize()
    for (const round of [1, 2]) {
      expect(valueOf(await ask({ type: 'PUT_VALUE', key, record })), `${round}`).toEqual(bytes)
    }
    const got = await ask({ type: 'GET_VALUE', key })
    expect(valueOf(got)).toEqual(bytes)
    expect(named(got)).toEqual([String(third!.peerId)])
  })

  it('is answered a ping, and who provides what; and is refused to provide', async () => {
    expect((await ask({ type: 'PING' }))?.messageType).toBe('PING')
    const key = Uint8Array.of(0x01, 0x55, 0x12, 0x20, ...new Uint8Array(32))
    expect(named(await ask({ type: 'GET_PROVIDERS', key }))).toEqual([String(third!.peerId)])
    const providers = [{ id: asker!.peerId.toMultihash().bytes, multiaddrs: [] }]
    expect(await ask({ type: 'ADD_PROVIDER', key, providers })).toBeUndefined()
  })

  it('leaves no stream behind', async () => {
    await ask({ type: 'PING' })
    const [connection] = node!.network.libp2p.getConnections(asker!.peerId)
    const open = (): unknown[] => connection!.streams.filter(({ protocol }) => protocol === '/souk/kad/1.0.0')
    for (let round = 0; round < 1000 && open().length > 0; round++) await setImmediate()
    expect(open()).toEqual([])
  })
})
