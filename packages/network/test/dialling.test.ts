import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryDatastore } from 'datastore-core'
import { describe, expect, it } from 'vitest'
import { askExchange } from '../src/exchange.ts'
import { addressOf, startNode, type TestNode } from './support/net.ts'

/** Nobody dials but the test. */
const alone = { keeper: { peersTarget: 0 } }

function connectionsTo({ network }: TestNode, other: TestNode) {
  return network.libp2p.getConnections(other.network.peerId).filter(({ status }) => status === 'open')
}

interface HiddenNode extends TestNode {
  readonly datastore: SlowDatastore
}

/** Two that are reached through a relay only. */
async function behindRelay(stack: AsyncDisposableStack): Promise<[HiddenNode, HiddenNode]> {
  const relay = stack.use(await startNode({ role: 'relay' }))
  const hidden = (): Promise<TestNode> =>
    startNode({ ...alone, listen: ['/p2p-circuit'], datastore: new SlowDatastore() })
  const [a, b] = [stack.use(await hidden()), stack.use(await hidden())] as [HiddenNode, HiddenNode]
  for (const node of [a, b]) {
    await node.network.connect(addressOf(relay))
    await expect.poll(() => node.network.addresses().length, { timeout: 20_000 }).toBe(1)
  }
  return [a, b]
}

/** Resolves when a connection has opened. */
function opening({ network }: TestNode, direction: Connection['direction']): Promise<void> {
  return new Promise((resolve) => {
    network.libp2p.addEventListener('connection:open', ({ detail }) => {
      if (detail.direction === direction) resolve()
    })
  })
}

const limits = {
  questionBytesMax: 1,
  answerBytesMax: 8,
  timeoutMs: 20_000,
  streamsPerConnectionMax: 2,
  concurrencyMax: 4
}

describe('two behind one relay', () => {
  it('who connect to each other at once are connected', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await behindRelay(stack)
    const met = Promise.all([a, b].map((node) => opening(node, 'inbound')))
    // libp2p notes that it has got through before it looks whether it has two of one: by then both have.
    for (const node of [a, b]) void opening(node, 'outbound').then(() => (node.datastore.until = met))
    await Promise.all([a.network.connect(addressOf(b)), b.network.connect(addressOf(a))])
    expect(connectionsTo(a, b).filter(({ direction }) => direction === 'outbound')).toHaveLength(1)
    expect(connectionsTo(b, a).filter(({ direction }) => direction === 'outbound')).toHaveLength(1)
  })

  it('ask each other over the connection that there is', async () => {
    await using stack = new AsyncDisposableStack()
    const [a, b] = await behindRelay(stack)
    await a.network.connect(addressOf(b))
    const [first] = connectionsTo(a, b)
    const question = { protocol: '/souk/time/1', limits }
    expect(await askExchange(a.network.libp2p, b.network.peerId, new Uint8Array(1), question)).toHaveLength(8)
    expect(await askExchange(b.network.libp2p, multiaddr(addressOf(a)), new Uint8Array(1), question)).toHaveLength(8)
    expect(connectionsTo(a, b)).toEqual([first])
  })
})

describe('a connection asked for by hand', () => {
  it('is opened again when it breaks off before it is there', async () => {
    await using b = await startNode(alone)
    const datastore = new SlowDatastore()
    await using a = await startNode({ ...alone, datastore })
    let [cut, opened] = [0, 0]
    b.network.libp2p.addEventListener('connection:open', ({ detail }) => {
      if (cut++ < 2) detail.abort(new Error('cut by the test'))
    })
    a.network.libp2p.addEventListener('connection:open', ({ detail }) => {
      // libp2p notes that it has got through before it says so: until then it has broken off again.
      if (opened++ < 2) datastore.until = new Promise((resolve) => detail.addEventListener('close', resolve))
    })
    const peer = await a.network.connect(addressOf(b))
    expect(peer.equals(b.network.peerId)).toBe(true)
    expect(opened).toBe(3)
    expect(connectionsTo(a, b)).toHaveLength(1)
  })

  it('fails at once where nobody is', async () => {
    await using a = await startNode(alone)
    const b = await startNode()
    const address = addressOf(b)
    await b[Symbol.asyncDispose]()
    let dials = 0
    const dial = a.network.libp2p.dial.bind(a.network.libp2p)
    a.network.libp2p.dial = (...given) => {
      dials++
      return dial(...given)
    }
    await expect(a.network.connect(multiaddr(address))).rejects.toMatchObject({ code: 'unreachable' })
    expect(dials).toBe(1)
  })
})

/** Takes its time with what is written. */
class SlowDatastore extends MemoryDatastore {
  until: Promise<unknown> = Promise.resolve()

  override put(...given: Parameters<MemoryDatastore['put']>): ReturnType<MemoryDatastore['put']> {
    return this.until.then(() => super.put(...given))
  }
}
