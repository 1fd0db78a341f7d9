import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { didFromKey, recordDigest } from '@souk/records'
import { describe, expect, it } from 'vitest'
import { createRelayRecords } from '../src/records.ts'
import { createList } from '../src/lists.ts'
import { createStorage, StorageError } from '@souk/storage'
import {
  createFolder,
  directoryAt,
  holds,
  newSigner,
  postAt,
  publish,
  sealFeedback,
  sealListing,
  startNode,
  startRelay,
  until
} from './world.ts'

const nobody = createList({ peers: [], addresses: [], identities: [] })

describe('who is let in', () => {
  it('no more connections from one address than configured', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({
      directory: folder.path,
      connections: { countLoopback: true, perAddressMax: 1 }
    })
    const [address = ''] = relay.addresses()
    await using first = await startNode()
    await using second = await startNode()
    await first.network.connect(address)
    await expect(second.network.connect(address)).rejects.toMatchObject({ code: 'unreachable' })
    expect(relay.status().peers).toBe(1)
  })

  it('one after the other, and no more to wait for that, than configured', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({
      directory: folder.path,
      connections: { countLoopback: true, entrance: { perSecond: 1, burst: 1, waitingMax: 1 } }
    })
    const [address = ''] = relay.addresses()
    await using first = await startNode()
    await using second = await startNode()
    await using third = await startNode()
    await first.network.connect(address)
    const others = await Promise.allSettled([second, third].map(({ network }) => network.connect(address)))
    expect(others.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  })

  it('no more from one address in a second than configured', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path, connections: { perAddressPerSecond: 1 } })
    const [address = ''] = relay.addresses()
    await using first = await startNode()
    await using second = await startNode()
    const both = await Promise.allSettled([first, second].map(({ network }) => network.connect(address)))
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
  })

  it('no peer that opens more streams than configured', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({
      directory: folder.path,
      traffic: { streamOpenings: { perSecond: 1, burst: 1 } }
    })
    await using node = await startNode({ bootstrap: relay.addresses() })
    await until(node, () => relay.status().refusedPeers === 1)
    expect(relay.status().peers).toBe(0)
  })

  it('nobody from an address that is denied', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path, deny: { addresses: ['127.0.0.0/24'] } })
    await using node = await startNode()
    await expect(node.network.connect(relay.addresses()[0] ?? '')).rejects.toMatchObject({ code: 'unreachable' })
    expect(relay.status().peers).toBe(0)
  })

  it('no peer that is denied', async () => {
    await using folder = await createFolder()
    await using node = await startNode()
    await using relay = await startRelay({ directory: folder.path, deny: { peers: [node.network.peerId.toString()] } })
    await node.network.connect(relay.addresses()[0] ?? '').catch(() => undefined)
    await until(node, () => node.network.peers().length === 0)
    expect(relay.status().peers).toBe(0)
  })

  it('no record of an identity that is denied, and every other', async () => {
    await using folder = await createFolder()
    const [denied, other] = [newSigner(), newSigner()]
    await using relay = await startRelay({
      directory: folder.path,
      deny: { identities: [didFromKey(denied.publicKey)] }
    })
    await using node = await startNode({ bootstrap: relay.addresses() })
    await until(node, () => node.network.peers().length === 1)
    const [bad, good] = [sealListing(denied), sealListing(other)]
    await publish(node, bad)
    await publish(node, good)
    await until(relay, () => relay.status().records > 0)

    await using late = await startNode({ bootstrap: relay.addresses() })
    await holds(late, good)
    expect(relay.status().records).toBe(1)
  })
})

describe('lists that change while a relay runs', () => {
  it('take out what is stored of an identity that is denied, and nobody else', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    await using node = await startNode({ bootstrap: relay.addresses() })
    await until(node, () => node.network.peers().length === 1)
    const [denied, other] = [newSigner(), newSigner()]
    const [bad, good] = [sealListing(denied), sealListing(other)]
    for (const record of [bad, good]) await publish(node, record)
    await until(relay, () => relay.status().records === 2)
    await using directory = await directoryAt(node)
    await directory.publish(sealFeedback({ buyer: denied, seller: other }))
    await directory.publish(sealFeedback({ buyer: other, seller: denied }))
    await until(relay, () => relay.status().locatedSetRecords === 2)
    {
      await using _post = await postAt(node, { signer: denied })
      await until(relay, () => relay.status().mailboxes === 1)
    }

    const identities = [didFromKey(denied.publicKey)]
    expect(await relay.relist({ deny: { identities } })).toEqual({ records: 1, feedback: 1, mailboxes: 1 })
    expect(relay.status()).toMatchObject({ records: 1, locatedSetRecords: 1, mailboxes: 0 })

    await publish(node, sealListing(denied, 2))
    await publish(node, sealListing(other, 2))
    await until(relay, () => relay.status().records === 2)
    await directory.publish(sealFeedback({ buyer: denied, seller: other }))
    await directory.publish(sealFeedback({ buyer: other, seller: newSigner() }))
    await until(relay, () => relay.status().locatedSetRecords === 2)
    // The first one asks first: when the second has its mailbox, the first has been turned away.
    await using _turnedAway = await postAt(node, { signer: denied })
    await using second = await startNode({ bootstrap: relay.addresses() })
    await using _letIn = await postAt(second, { signer: other })
    await until(relay, () => relay.status().mailboxes > 0)
    expect(relay.status()).toMatchObject({ records: 2, locatedSetRecords: 2, mailboxes: 1 })
  })

  it('cut off a peer, an address, and let them in again', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    await using node = await startNode({ keeper: { peersTarget: 0 } })
    const [address = ''] = relay.addresses()
    for (const deny of [{ peers: [node.network.peerId.toString()] }, { addresses: ['127.0.0.1'] }]) {
      await node.network.connect(address)
      await until(relay, () => relay.status().peers === 1)
      const cut = until(relay, () => relay.status().peers === 0)
      await relay.relist({ deny })
      await cut
      await node.network.connect(address).catch(() => undefined)
      await until(node, () => node.network.peers().length === 0)
      await relay.relist({})
    }
    await node.network.connect(address)
    await until(relay, () => relay.status().peers === 1)
    expect(relay.status().refusedPeers).toBe(0)
  })

  it('stay as they were when the new ones are wrong', async () => {
    await using folder = await createFolder()
    await using relay = await startRelay({ directory: folder.path, deny: { addresses: ['127.0.0.0/8'] } })
    await expect(relay.relist({ deny: { addresses: ['everybody'] } })).rejects.toMatchObject({ code: 'config-invalid' })
    await using node = await startNode()
    await expect(node.network.connect(relay.addresses()[0] ?? '')).rejects.toMatchObject({ code: 'unreachable' })
  })

  it('are heeded from the start on: what was stored before goes', async () => {
    await using folder = await createFolder()
    const denied = newSigner()
    {
      await using relay = await startRelay({ directory: folder.path })
      await using node = await startNode({ bootstrap: relay.addresses() })
      await until(node, () => node.network.peers().length === 1)
      await publish(node, sealListing(denied))
      await until(relay, () => relay.status().records === 1)
    }
    const identities = [didFromKey(denied.publicKey)]
    await using again = await startRelay({ directory: folder.path, deny: { identities } })
    expect(again.status().records).toBe(0)
  })
})

describe('the store behind the lists', () => {
  it('is not asked to fetch a denied record again', async () => {
    await using folder = await createFolder()
    await using storage = await createStorage({ directory: folder.path, now: Date.now, search: 'off' })
    const [denied, other] = [sealListing(newSigner()), sealListing(newSigner())]
    const identities = [didFromKey(denied.author)]
    const deny = createList({ peers: [], addresses: [], identities })
    const { records, sync } = createRelayRecords(storage, { deny, allow: nobody })
    const digests = [denied, other].map(({ id }) => recordDigest(id))

    expect(await sync.wanted(digests)).toEqual(digests)
    expect(await records.put([denied, other])).toEqual(['over-quota', 'stored'])
    expect(await sync.wanted(digests)).toEqual([])
  })

  it('turns records away while the disk is full, and throws what is no such matter', async () => {
    const failing = (code: 'read-only' | 'closed'): ReturnType<typeof createRelayRecords>['records'] => {
      const put = (): Promise<never> => Promise.reject(new StorageError(code, code))
      return createRelayRecords({ records: { put }, sync: {} } as never, { deny: nobody, allow: nobody }).records
    }
    const record = sealListing(newSigner())
    expect(await failing('read-only').put([record])).toEqual(['over-quota'])
    await expect(failing('closed').put([record])).rejects.toMatchObject({ code: 'closed' })
  })
})

describe('a list', () => {
  const list = createList({
    peers: [],
    addresses: ['192.0.2.7', '198.51.100.0/24', '2001:db8::/48'],
    identities: []
  })
  const rows: readonly (readonly [host: string, listed: boolean])[] = [
    ['192.0.2.7', true],
    ['192.0.2.8', false],
    ['198.51.100.255', true],
    ['198.51.101.0', false],
    ['2001:db8:0:ffff::1', true],
    ['2001:db8:1::1', false],
    ['relay.example.org', false]
  ]
  it.each(rows)('%s: %s', (host, listed) => expect(list.hasAddress(host)).toBe(listed))
})

describe('a start that fails says why', () => {
  it('store-failed: another relay runs on the directory', async () => {
    await using folder = await createFolder()
    await using _relay = await startRelay({ directory: folder.path })
    await expect(startRelay({ directory: folder.path })).rejects.toMatchObject({
      code: 'store-failed',
      cause: { code: 'locked' }
    })
  })

  it('listen-failed: a port is taken, and nothing stays open behind it', async () => {
    await using folder = await createFolder()
    await using other = await createFolder()
    await using relay = await startRelay({ directory: folder.path })
    const taken = relay.addresses()[0]?.replace(/\/p2p\/.*/, '') ?? ''
    const port = Number(new URL(relay.status().httpUrl).port)
    await expect(startRelay({ directory: other.path, listen: [taken] })).rejects.toMatchObject({
      code: 'listen-failed'
    })
    await expect(startRelay({ directory: other.path, http: { port } })).rejects.toMatchObject({ code: 'listen-failed' })
    await using again = await startRelay({ directory: other.path })
    expect(again.status().state).toBe('ready')
  })

  it('key-exposed: others may read the key', async () => {
    await using folder = await createFolder()
    await writeFile(join(folder.path, 'peer.key'), `${'ab'.repeat(32)}\n`)
    await chmod(join(folder.path, 'peer.key'), 0o640)
    await expect(startRelay({ directory: folder.path })).rejects.toMatchObject({
      code: 'key-exposed',
      message: expect.stringMatching(/mode 0640.*chmod 600/)
    })
  })

  it('key-damaged: the file holds no key, and is left as it is', async () => {
    await using folder = await createFolder()
    await writeFile(join(folder.path, 'peer.key'), '', { mode: 0o600 })
    await expect(startRelay({ directory: folder.path })).rejects.toMatchObject({ code: 'key-damaged' })
    await expect(startRelay({ directory: folder.path })).rejects.toMatchObject({ code: 'key-damaged' })
  })

  it('config-invalid: from a program too', async () => {
    await expect(startRelay({ directory: '' })).rejects.toMatchObject({ code: 'config-invalid' })
  })
})
