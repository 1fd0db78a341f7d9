import { multiaddr } from '@multiformats/multiaddr'
import { recordDigest, type Signer } from '@souk/records'
import { describe, expect, it } from 'vitest'
import { createFeedbackDirectory, type FeedbackDirectory } from '../../src/feedback/directory.ts'
import { encodeQuestion, locatedSetProtocol } from '../../src/feedback/located-set.ts'
import { createKeeperClient, type KeeperClient } from '../../src/feedback/reader.ts'
import type { ShelfLimits } from '../../src/feedback/shelf.ts'
import { openGuard } from '../../src/exchange.ts'
import type { Budget } from '../../src/guard/bucket.ts'
import { feedbackOf, person } from '../feedback/trade.ts'
import { memoryStore } from '../peers.ts'
import { addressOf, startNode, type TestNode } from '../support/net.ts'
import { createAttacker, openTalk } from './attacker.ts'

interface Keeper extends AsyncDisposable {
  readonly node: TestNode
  readonly directory: FeedbackDirectory
}

/** A node that keeps sets, behind the guard that every node has, which counts 127.0.0.0/8 as it counts the world. */
async function startKeeper(limits: Partial<ShelfLimits> = {}, budgets: Record<string, Budget> = {}): Promise<Keeper> {
  await using stack = new AsyncDisposableStack()
  const node = stack.use(await startNode({ guard: { limitLoopback: true, budgets } }))
  const { libp2p, guard } = node.network
  const components = { libp2p, guard, dht: libp2p.services.dht, store: memoryStore() }
  const directory = stack.use(await createFeedbackDirectory(components, { limits }))
  const owned = stack.move()
  return { node, directory, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Somebody who brings feedback to the keeper. */
async function bringer(keeper: Keeper, from: string): Promise<KeeperClient & AsyncDisposable> {
  const attacker = await createAttacker({ from })
  await attacker.libp2p.dial(multiaddr(addressOf(keeper.node)))
  const client = createKeeperClient({ libp2p: attacker.libp2p, guard: openGuard }, { now: Date.now })
  return { ...client, [Symbol.asyncDispose]: () => attacker[Symbol.asyncDispose]() }
}

/** Brings records one after the other; says how many were kept, and what the last refusal was. */
async function bring(
  keeper: Keeper,
  from: string,
  records: readonly { bytes: Uint8Array }[]
): Promise<{ kept: number; refused: string | undefined }> {
  await using client = await bringer(keeper, from)
  let [kept, refused] = [0, undefined as string | undefined]
  for (const { bytes } of records) {
    const outcome = await client.add(keeper.node.network.peerId, bytes).catch(() => undefined)
    if (outcome?.status === 'kept') kept++
    else refused = outcome?.status === 'refused' ? outcome.code : 'cut'
  }
  return { kept, refused }
}

const selfMade = (count: number, trade: () => { buyer: Signer; seller: Signer }) =>
  Array.from({ length: count }, () => feedbackOf(trade()))

describe('stuffing a located set', () => {
  it('by one author on one subject ends at the author, with no harm to others', async () => {
    await using keeper = await startKeeper()
    const [buyer, seller] = [person(), person()]
    const { kept, refused } = await bring(
      keeper,
      '127.31.0.1',
      selfMade(70, () => ({ buyer, seller }))
    )
    expect([kept, refused]).toEqual([50, 'author-full'])
    const honest = feedbackOf({ buyer: person(), seller })
    expect((await bring(keeper, '127.32.0.1', [honest])).kept).toBe(1)
  })

  it('by many authors leaves room for what is said against their subject', async () => {
    await using keeper = await startKeeper({ recordsPerSubjectMax: 60 })
    const seller = person()
    for (let identity = 0; identity < 5; identity++) {
      await bring(
        keeper,
        `127.31.0.${1 + identity}`,
        selfMade(20, () => ({ buyer: person(), seller }))
      )
    }
    const bad = feedbackOf({ buyer: person(), seller, stars: 1 })
    expect((await bring(keeper, '127.31.0.9', [bad])).kept).toBe(1)
    await using reader = await bringer(keeper, '127.33.0.1')
    const named = await reader.list(keeper.node.network.peerId, seller.publicKey)
    expect(named).toHaveLength(60)
    expect(named).toContain(Buffer.from(recordDigest(bad.id)).toString('hex'))
  })

  it('with many subjects, by fifty identities of one block, crowds out nobody else', async () => {
    await using keeper = await startKeeper({ recordsMax: 300 })
    const early = selfMade(10, () => ({ buyer: person(), seller: person() }))
    expect((await bring(keeper, '127.40.0.1', early)).kept).toBe(10)
    for (let identity = 0; identity < 50; identity++) {
      const stuffing = selfMade(10, () => ({ buyer: person(), seller: person() }))
      await bring(keeper, `127.31.0.${1 + (identity % 10)}`, stuffing)
    }
    expect(keeper.directory.held().records).toBe(300)
    const later = selfMade(10, () => ({ buyer: person(), seller: person() }))
    expect((await bring(keeper, '127.41.0.1', later)).kept).toBe(10)
    await using reader = await bringer(keeper, '127.33.0.1')
    for (const { content } of [...early, ...later]) {
      expect(await reader.list(keeper.node.network.peerId, content.subject)).toHaveLength(1)
    }
  })

  it('with what is held already is not checked again, and takes nothing from what may be checked', async () => {
    await using keeper = await startKeeper({}, { value: { perSecond: 0.001, burst: 5 } })
    const [first, ...others] = selfMade(7, () => ({ buyer: person(), seller: person() }))
    expect((await bring(keeper, '127.31.0.1', [first!])).kept).toBe(1)
    await using client = await bringer(keeper, '127.31.0.2')
    const statuses: string[] = []
    for (const { bytes } of [...Array.from({ length: 20 }, () => first!), ...others]) {
      statuses.push((await client.add(keeper.node.network.peerId, bytes)).status)
    }
    const times = (count: number, status: string): string[] => Array.from({ length: count }, () => status)
    expect(statuses).toEqual([...times(20, 'known'), ...times(5, 'kept'), 'refused'])
  })

  it('costs a peer its connection when what it brings is forged', async () => {
    await using keeper = await startKeeper()
    const { bytes } = feedbackOf({ buyer: person(), seller: person() })
    const forged = Array.from({ length: 20 }, (_, at) => ({ bytes: bytes.with(bytes.length - 1 - at, 0xff) }))
    expect(await bring(keeper, '127.31.0.1', forged)).toEqual({ kept: 0, refused: 'cut' })
    expect(keeper.node.network.guard.report()[0]?.bannedUntilMs).toBeGreaterThan(Date.now())
    expect(keeper.directory.held().records).toBe(0)
  })
})

describe('drawing large answers', () => {
  it('for small questions is paid for, and refused in the end', async () => {
    await using keeper = await startKeeper()
    const seller = person()
    for (let identity = 0; identity < 4; identity++) {
      await bring(
        keeper,
        `127.34.${identity}.1`,
        selfMade(150, () => ({ buyer: person(), seller }))
      )
    }
    const subject = seller.publicKey
    await using attacker = await createAttacker({ from: '127.31.0.1' })
    const connection = await attacker.dial(addressOf(keeper.node))
    let [asked, drawn] = [0, 0]
    for (; asked < 400; asked++) {
      const talk = await openTalk(connection, locatedSetProtocol)
      if (talk === undefined) break
      const answer = await talk.ask(encodeQuestion({ op: 'list', subject, after: undefined }))
      if (answer === undefined && drawn > 0) break
      drawn += answer?.length ?? 0
      talk.stream.abort(new Error('on to the next'))
    }
    // Two units each; thirty come in a second, and the test takes a few.
    expect(asked).toBeGreaterThan(30)
    expect(asked).toBeLessThan(150)
    expect(drawn).toBeLessThan(150 * 17_000)
  })
})
