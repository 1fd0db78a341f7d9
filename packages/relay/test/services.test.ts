import { networkInterfaces } from 'node:os'
import type { Post, PostedLetter, Reachable } from '@souk/network'
import { didFromKey } from '@souk/records'
import { describe, expect, it } from 'vitest'
import {
  createFolder,
  directoryAt,
  newSigner,
  postAt,
  sealFeedback,
  startNode,
  startRelay,
  type TestNode,
  until
} from './world.ts'

describe('circuit relay', () => {
  it('lets a node be reached that listens nowhere itself', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    const [address = ''] = relay.addresses()
    await using hidden = await startNode({ listen: [`${address}/p2p-circuit`] })
    await using other = await startNode({ bootstrap: [address] })

    const peer = await other.network.connect(`${address}/p2p-circuit/p2p/${hidden.network.peerId.toString()}`)

    expect(peer.equals(hidden.network.peerId)).toBe(true)
    expect(relay.status().reservations).toBe(1)
  })

  it('grants as many reservations to one block of addresses as configured, whoever asks', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({
      directory: folder.path,
      connections: { countLoopback: true },
      circuit: { reservationsPerBlockMax: 2 }
    })
    const listen = [`${relay.addresses()[0]}/p2p-circuit`]
    await using first = await startNode({ listen })
    await using second = await startNode({ listen })
    await expect(startNode({ listen })).rejects.toThrow(/PERMISSION_DENIED/)
    expect(relay.status().reservations).toBe(2)

    await second[Symbol.asyncDispose]()
    await until(relay, () => relay.status().reservations === 1)
    await using third = await startNode({ listen })
    expect(relay.status().reservations).toBe(2)
    expect([first, third].every(({ network }) => network.addresses().length > 0)).toBe(true)
  })

  const onIp6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))

  it.skipIf(!onIp6)('counts each block for itself', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({
      directory: folder.path,
      listen: ['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0'],
      connections: { countLoopback: true },
      circuit: { reservationsPerBlockMax: 1 }
    })
    const [ip4, ip6] = ['/ip4/', '/ip6/'].map((kind) => relay.addresses().find((address) => address.startsWith(kind)))
    await using _first = await startNode({ listen: [`${ip4}/p2p-circuit`] })
    await using _second = await startNode({ listen: [`${ip6}/p2p-circuit`] })
    await expect(startNode({ listen: [`${ip6}/p2p-circuit`] })).rejects.toThrow(/PERMISSION_DENIED/)
    expect(relay.status().reservations).toBe(2)
  })

  it('grants no more reservations in all than configured', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path, circuit: { reservationsMax: 1 } })
    const listen = [`${relay.addresses()[0]}/p2p-circuit`]
    await using _only = await startNode({ listen })
    await expect(startNode({ listen })).rejects.toThrow(/RESERVATION_REFUSED/)
  })

  it('counts nothing for an address that the operator allows', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({
      directory: folder.path,
      connections: { countLoopback: true },
      circuit: { reservationsPerBlockMax: 1 },
      allow: { addresses: ['127.0.0.0/8'] }
    })
    const listen = [`${relay.addresses()[0]}/p2p-circuit`]
    await using _first = await startNode({ listen })
    await using _second = await startNode({ listen })
    expect(relay.status().reservations).toBe(2)
  })
})

describe('mailbox', () => {
  it('keeps a letter for somebody who is away, over a restart of the relay too', async () => {
    await using folder = await createFolder()
    const [ana, bo] = [createPerson(), createPerson()]
    const letter: PostedLetter = {
      to: didFromKey(bo.signer.publicKey),
      messageId: 'm-1',
      payload: new TextEncoder().encode('Is it still there?')
    }
    await using home = await createFolder()
    const install = { directory: home.path, seed: new Uint8Array(32).fill(7) }
    const before = await startRelay({ directory: folder.path })
    const [address = ''] = before.addresses()
    const port = Number(/tcp\/(\d+)/.exec(address)?.[1])
    let reach: Reachable
    {
      await using node = await startNode({ bootstrap: [address], install })
      await using post = await bo.postAt(node)
      while (post.mailboxes().length === 0) await bo.told()
      reach = {
        peers: [],
        mailboxes: post.mailboxes(),
        prekeys: post.prekeys({ expiresAtMs: Date.now() + 86_400_000 })
      }
    }
    {
      await using node = await startNode({ bootstrap: [address] })
      await using post = await ana.postAt(node, reach)
      expect(await post.deliver(letter)).toBe('at-relay')
      expect(before.status()).toMatchObject({ mailboxEnvelopes: 1 })
    }
    await before.drain()

    await using after = await startRelay({ directory: folder.path, listen: [`/ip4/127.0.0.1/tcp/${port}`] })
    expect(after.status().mailboxEnvelopes).toBe(1)
    await using node = await startNode({ bootstrap: after.addresses(), install })
    await using _post = await bo.postAt(node)
    await until(after, () => bo.received.length === 1)
    expect(new TextDecoder().decode(bo.received[0])).toBe('Is it still there?')
    await until(after, () => after.status().mailboxEnvelopes === 0)
  })
})

describe('located sets', () => {
  it('keep feedback that its author and its subject no longer do', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    const [buyer, seller] = [newSigner(), newSigner()]
    {
      await using rater = await startNode({ bootstrap: relay.addresses() })
      await using directory = await directoryAt(rater)
      await until(rater, () => rater.network.peers().length === 1)
      await until(rater, async () => (await directory.publish(sealFeedback({ buyer, seller }))).keepers > 0)
    }
    await until(relay, () => relay.status().peers === 0)
    expect(relay.status().locatedSetRecords).toBeGreaterThanOrEqual(1)

    await using stranger = await startNode({ bootstrap: relay.addresses() })
    await using directory = await directoryAt(stranger)
    await until(stranger, async () => (await directory.find(seller.publicKey)).records.length > 0)
    const [found] = (await directory.find(seller.publicKey)).records
    expect(found?.author).toEqual(buyer.publicKey)
  })
})

interface Person {
  readonly signer: ReturnType<typeof newSigner>
  readonly received: Uint8Array[]
  /** Resolves when there is something new for the profile: a mailbox, a prekey. */
  told(): Promise<void>
  /** @param reach - What is known of everybody else. */
  postAt(node: TestNode, reach?: Reachable): Promise<Post>
}

function createPerson(): Person {
  const signer = newSigner()
  const received: Uint8Array[] = []
  const messageKey = crypto.getRandomValues(new Uint8Array(32))
  let news = Promise.withResolvers<void>()
  return {
    signer,
    received,
    told: () => news.promise,
    postAt: (node, reach) =>
      postAt(node, {
        signer,
        messageKey,
        ...(reach && { reach }),
        onMessage: (payload) => void received.push(payload),
        onReach: () => {
          news.resolve()
          news = Promise.withResolvers()
        }
      })
  }
}
