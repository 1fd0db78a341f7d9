import { recordDigest } from '@souk/records'
import { describe, expect, it } from 'vitest'
import { createFeedbackDirectory, type FeedbackDirectory } from '../../src/feedback/directory.ts'
import { encodeQuestion, locatedSetProtocol } from '../../src/feedback/located-set.ts'
import { feedbackOf, person } from '../feedback/trade.ts'
import { memoryStore } from '../peers.ts'
import { addressOf, startNode, type TestNode } from '../support/net.ts'
import { type Attacker, createAttacker, openTalk } from './attacker.ts'
import { encodeKad, keyOf, types } from './kad-wire.ts'

const kadProtocol = '/souk/kad/1.0.0'
/** Stands still: what is held against somebody fades with time. */
const nowMs = Date.now()
const now = (): number => nowMs

interface Replica extends AsyncDisposable {
  readonly node: TestNode
  readonly directory: FeedbackDirectory
  values(): Promise<number>
}

/** A node that keeps values and sets, behind the guard that every node has. */
async function startReplica(): Promise<Replica> {
  await using stack = new AsyncDisposableStack()
  const node = stack.use(await startNode({ now, guard: { limitLoopback: true } }))
  const { libp2p, guard } = node.network
  const components = { libp2p, guard, dht: libp2p.services.dht, store: memoryStore() }
  const directory = stack.use(await createFeedbackDirectory(components, { now }))
  const owned = stack.move()
  return {
    node,
    directory,
    values: async () => (await Array.fromAsync(node.datastore.query({ prefix: '/dht/record' }))).length,
    [Symbol.asyncDispose]: () => owned.disposeAsync()
  }
}

/** Praise that took its author nothing but signatures. */
function cheapPraise(): { digest: Uint8Array; bytes: Uint8Array } {
  const { id, bytes } = feedbackOf({ buyer: person(), seller: person(), nowMs, workBits: 0 })
  return { digest: recordDigest(id), bytes }
}

/** How praise is brought to somebody, as question bytes of one protocol. */
const ways = {
  [kadProtocol]: () => {
    const { digest, bytes } = cheapPraise()
    const key = keyOf('souk', digest)
    return encodeKad({ type: types.putValue, key, record: { key, value: bytes } })
  },
  [locatedSetProtocol]: () => encodeQuestion({ op: 'add', record: cheapPraise().bytes })
} as const

/** Brings one after the other, each on a stream of its own, until the peer is not let in any more. Returns how many. */
async function bring(attacker: Attacker, replica: Replica, protocol: keyof typeof ways): Promise<number> {
  const connection = await attacker.dial(addressOf(replica.node))
  for (let sent = 0; sent < 20; sent++) {
    const talk = await openTalk(connection, protocol)
    if (talk === undefined) return sent
    expect(await talk.ask(ways[protocol]())).toBeUndefined()
    const [offender] = replica.node.network.guard.report()
    expect(offender?.reasons).toMatchObject([{ code: `${protocol}:below-floor`, times: sent + 1 }])
  }
  return Infinity
}

describe('praise without work', () => {
  it.each([kadProtocol, locatedSetProtocol] as const)(
    'is kept by nobody, and costs who brings it its connection: %s',
    async (protocol) => {
      await using replica = await startReplica()
      await using attacker = await createAttacker({ from: '127.31.0.1' })
      // Each is paid for once: five points, and twenty end it.
      expect(await bring(attacker, replica, protocol)).toBe(4)
      expect(replica.node.network.guard.refuses(attacker.libp2p.peerId)).toBe(true)
      expect(replica.directory.held().records).toBe(0)
      expect(await replica.values()).toBe(0)
    }
  )

  it('is published by no node: it would be cut off for it', async () => {
    await using replica = await startReplica()
    const record = feedbackOf({ buyer: person(), seller: person(), nowMs, workBits: 0 })
    await expect(replica.directory.publish(record)).rejects.toMatchObject({ code: 'below-floor' })
    expect(replica.directory.held().records).toBe(0)
  })
})
