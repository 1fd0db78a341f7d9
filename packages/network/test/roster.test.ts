import { multiaddr } from '@multiformats/multiaddr'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createHost } from '../src/host.ts'
import type { NetworkInit } from '../src/network.ts'
import { createRoster, type Roster, type RosterHost } from '../src/roster.ts'
import { addressOf, nextEvent, startNode, type TestNode } from './support/net.ts'

/** Nobody dials but the test. */
const alone = { keeper: { peersTarget: 0 } }
const sync = '/souk/sync/1'

/** A node, and a roster of its peers besides its own. */
async function watched(stack: AsyncDisposableStack): Promise<{ node: TestNode; roster: Roster }> {
  let roster: Roster | undefined
  const watchedHost: NonNullable<NetworkInit['createHost']> = async (...given) => {
    const host = await createHost(...given)
    roster = stack.use(createRoster(host))
    return host
  }
  const node = stack.use(await startNode({ ...alone, createHost: watchedHost }))
  return { node, roster: roster as Roster }
}

/** What a roster tells of one protocol. */
function heard(roster: Roster, protocol: string): string[] {
  const said: string[] = []
  roster.follow([protocol], {
    onHere: (peer, connection) => said.push(`here ${peer.toString()} ${connection.direction}`),
    onGone: (peer) => said.push(`gone ${peer.toString()}`)
  })
  return said
}

it('tells of those who come, of those who are there already, and of those who go', async () => {
  await using stack = new AsyncDisposableStack()
  const { node, roster } = await watched(stack)
  const other = stack.use(await startNode(alone))
  const first = heard(roster, sync)
  const name = await node.network.connect(addressOf(other))
  await expect.poll(() => first, { timeout: 20_000 }).toEqual([`here ${name.toString()} outbound`])
  const second = heard(roster, sync)
  expect(second).toEqual(first)
  expect(heard(roster, '/nobody/speaks/this')).toEqual([])
  expect(roster.connectionTo(name)?.remotePeer.equals(name)).toBe(true)
  await other[Symbol.asyncDispose]()
  await expect.poll(() => second.at(-1), { timeout: 20_000 }).toBe(`gone ${name.toString()}`)
  expect(second).toEqual(first)
  expect(roster.connectionTo(name)).toBeUndefined()
})

it('tells of a second connection, and that somebody has gone only when the last has closed', async () => {
  await using stack = new AsyncDisposableStack()
  const { node, roster } = await watched(stack)
  const other = stack.use(await startNode(alone))
  const said = heard(roster, sync)
  const name = await node.network.connect(addressOf(other))
  await expect.poll(() => said.length, { timeout: 20_000 }).toBe(1)
  await other.network.libp2p.dial(multiaddr(addressOf(node)), { force: true })
  await expect.poll(() => said, { timeout: 20_000 }).toHaveLength(2)
  expect(said[1]).toBe(`here ${name.toString()} inbound`)
  const [older, newer] = node.network.libp2p.getConnections(name)
  expect(roster.connectionTo(name)).toBe(newer)
  newer?.abort(new Error('cut by the test'))
  expect(roster.connectionTo(name)).toBe(older)
  expect(said).toHaveLength(2)
  older?.abort(new Error('cut by the test'))
  await expect.poll(() => said, { timeout: 20_000 }).toHaveLength(3)
  expect(said[2]).toBe(`gone ${name.toString()}`)
})

it('tells when a peer speaks a protocol that it has not spoken before, and when it stops', async () => {
  await using stack = new AsyncDisposableStack()
  const { node, roster } = await watched(stack)
  const other = stack.use(await startNode(alone))
  const said = heard(roster, '/spoken/later')
  const name = await node.network.connect(addressOf(other))
  await other.network.libp2p.handle('/spoken/later', (stream) => stream.abort(new Error('a test')))
  await expect.poll(() => said, { timeout: 20_000 }).toEqual([`here ${name.toString()} outbound`])
  await other.network.libp2p.unhandle('/spoken/later')
  await expect.poll(() => said.slice(1), { timeout: 20_000 }).toEqual([`gone ${name.toString()}`])
})

it('asks again who has not said who they are: neither gossip nor catch-up would ever speak to them', async () => {
  await using stack = new AsyncDisposableStack()
  const [a, b] = [stack.use(await startNode(alone)), stack.use(await startNode(alone))]
  // Nor does it hear of changes, which would bring it by chance.
  await a.network.libp2p.unhandle('/ipfs/id/push/1.0.0')
  await b.network.libp2p.unhandle('/ipfs/id/1.0.0')
  let introductions = 0
  a.network.libp2p.addEventListener('peer:identify', () => introductions++)
  const connection = await a.network.libp2p.dial(multiaddr(addressOf(b)))
  const isAsked = (): boolean => connection.streams.some(({ protocol }) => protocol === '' || /id\/1/.test(protocol))
  await expect.poll(isAsked, { timeout: 20_000 }).toBe(false)
  const { identify } = b.network.libp2p.services as unknown as {
    identify: { start(): Promise<void>; started: boolean }
  }
  identify.started = false
  await identify.start()
  const caughtUp = nextEvent(a.network, 'caught-up')
  expect(introductions).toBe(0)
  expect((await caughtUp).peer.equals(b.network.peerId)).toBe(true)
  expect(introductions).toBe(1)
  expect(connection.status).toBe('open')
}, 60_000)

it.each([
  ['open', 1],
  // It never closes any more: it would be kept, and asked, for ever.
  ['aborted', 0]
])('waits for whom to say who they are over a connection that is %s when it is announced: %i', (status, waiting) => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const libp2p = Object.assign(new EventTarget(), { services: {} })
  using _roster = createRoster(libp2p as RosterHost)
  libp2p.dispatchEvent(new CustomEvent('connection:open', { detail: { status } }))
  expect(vi.getTimerCount()).toBe(waiting)
})
