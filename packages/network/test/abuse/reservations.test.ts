import { describe, expect, it } from 'vitest'
import { addressOf, startNode, type TestNode } from '../support/net.ts'
import { createAttacker, openTalk } from './attacker.ts'

const hop = '/libp2p/circuit/relay/0.2.0/hop'
const ok = 100
const reservationsMax = 12

/** A relay that counts 127.0.0.0/8 as it counts the world. */
const startRelay = (): Promise<TestNode> =>
  startNode({ role: 'relay', guard: { limitLoopback: true }, relay: { reservationsMax } })

/** The status of a reservation asked for by hand: HopMessage {type: RESERVE}. */
async function reserve(relay: TestNode, from: string, stack: AsyncDisposableStack): Promise<number | undefined> {
  const peer = stack.use(await createAttacker({ from }))
  const connection = await peer.dial(addressOf(relay)).catch(() => undefined)
  const talk = connection && (await openTalk(connection, hop))
  const answer = await talk?.ask(Uint8Array.of(0x08, 0))
  return answer && statusOf(answer)
}

/** Field 5 of a HopMessage. */
function statusOf(message: Uint8Array): number | undefined {
  for (let at = 0; at < message.length;) {
    const tag = message[at++] ?? 0
    const varint = { value: 0, shift: 0 }
    let byte: number
    do {
      byte = message[at++] ?? 0
      varint.value += (byte & 127) * 2 ** varint.shift
      varint.shift += 7
    } while (byte > 127)
    if (tag === 0x28) return varint.value
    if ((tag & 7) === 2) at += varint.value
  }
  return undefined
}

const granted = (all: readonly (number | undefined)[]): number => all.filter((status) => status === ok).length

describe('reservations', () => {
  it('of fifty identities on one address are four, however fast they ask', async () => {
    await using relay = await startRelay()
    await using stack = new AsyncDisposableStack()
    const all = await Promise.all(Array.from({ length: 50 }, () => reserve(relay, '127.61.0.1', stack)))
    expect(granted(all)).toBe(4)
    expect(await reserve(relay, '127.62.0.1', stack)).toBe(ok)
  })

  it('of fifty addresses of one /24 are four', async () => {
    await using relay = await startRelay()
    await using stack = new AsyncDisposableStack()
    const all = await Promise.all(Array.from({ length: 50 }, (_, at) => reserve(relay, `127.61.0.${1 + at}`, stack)))
    expect(granted(all)).toBe(4)
    expect(relay.network.libp2p.services.relay?.reservations.size).toBe(4)
    expect(await reserve(relay, '127.62.0.1', stack)).toBe(ok)
  })

  it('are not kept from anybody by streams that ask for none', async () => {
    await using relay = await startRelay()
    await using stack = new AsyncDisposableStack()
    for (let identity = 0; identity < 10; identity++) {
      const idler = stack.use(await createAttacker({ from: `127.61.0.${1 + identity}` }))
      const connection = await idler.dial(addressOf(relay))
      await Promise.all(Array.from({ length: 20 }, () => openTalk(connection, hop)))
    }
    expect(await reserve(relay, '127.62.0.1', stack)).toBe(ok)
  })
})
