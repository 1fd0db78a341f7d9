import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { expect, it } from 'vitest'
import { createAttacker } from './abuse/attacker.ts'
import { addressOf, startNode, type TestNode } from './support/net.ts'

const identify = '/ipfs/id/1.0.0'

/** Nobody dials but the test. */
const alone = { keeper: { peersTarget: 0 } }

it('asks nobody who only came, and everybody who asks first', async () => {
  await using stack = new AsyncDisposableStack()
  const [host, other] = [stack.use(await startNode(alone)), stack.use(await startNode(alone))]
  const silent = stack.use(await createAttacker())
  const connection = await silent.dial(addressOf(host))
  const opened: string[] = []
  const { muxer } = connection as unknown as { muxer: EventTarget }
  muxer.addEventListener('stream', () => opened.push('a stream'))
  const introduced = [identified(host), identified(other)]
  await other.network.connect(addressOf(host))
  const [here, there] = await Promise.all(introduced)
  expect([here, there]).toEqual([other.network.peerId.toString(), host.network.peerId.toString()])
  expect(opened).toEqual([])
})

it('asks once, however often it is asked', async () => {
  await using stack = new AsyncDisposableStack()
  const host = stack.use(await startNode(alone))
  const curious = stack.use(await createAttacker())
  const asked: Stream[] = []
  await curious.libp2p.handle(identify, (stream) => void asked.push(stream))
  const connection = await curious.dial(addressOf(host))
  for (let time = 0; time < 3; time++) {
    const stream = await connection.newStream(identify)
    expect((await lpStream(stream).read()).byteLength).toBeGreaterThan(100)
    await stream.close()
  }
  expect(asked.length).toBe(1)
})

it('tells everybody who has said who they are what changes, whoever else is there', async () => {
  await using stack = new AsyncDisposableStack()
  const [host, other] = [stack.use(await startNode(alone)), stack.use(await startNode(alone))]
  const silent = stack.use(await createAttacker())
  await silent.dial(addressOf(host))
  const introduced = [identified(host), identified(other)]
  await other.network.connect(addressOf(host))
  await Promise.all(introduced)
  const told = new Promise<string[]>((resolve) => {
    other.network.libp2p.addEventListener('peer:update', ({ detail: { peer } }) => {
      const isNews = peer.id.equals(host.network.peerId) && peer.protocols.includes('/news/1')
      if (isNews) resolve(peer.protocols)
    })
  })
  await host.network.libp2p.handle('/news/1', () => undefined)
  expect(await told).toContain('/news/1')
})

/** Whom a node has been told the protocols of, next. */
function identified({ network }: TestNode): Promise<string> {
  return new Promise((resolve) => {
    network.libp2p.addEventListener('peer:identify', ({ detail }) => resolve(detail.peerId.toString()), { once: true })
  })
}
