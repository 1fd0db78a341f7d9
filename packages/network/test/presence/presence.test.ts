import { randomBytes } from '@noble/hashes/utils.js'
import { didFromKey, type Signer, signerFromKey } from '@souk/records'
import { afterEach, expect, test, vi } from 'vitest'
import { createPresence, type Presence } from '../../src/presence/presence.ts'
import { presenceKey, presenceOf, standingValue } from '../../src/presence/value.ts'
import type { KeyValueStore } from '../../src/store.ts'
import { memoryStore } from '../peers.ts'
import { addressOf, startNode, type TestNode, type TestNodeInit } from '../support/net.ts'

const open: AsyncDisposable[] = []
afterEach(async () => {
  for (const one of open.splice(0).toReversed()) await one[Symbol.asyncDispose]()
})

/** Looks again until it is so; what happens in the DHT tells nobody. */
const until = (look: () => Promise<boolean>): Promise<boolean> => vi.waitUntil(look, { timeout: 20_000, interval: 50 })

interface Installation {
  readonly node: TestNode
  readonly presence: Presence
  readonly store: KeyValueStore
  readonly signer: Signer
  now: number
  close(): Promise<void>
}

async function installation(init: TestNodeInit & { signer?: Signer; own?: KeyValueStore } = {}): Promise<Installation> {
  const { signer = signerFromKey(randomBytes(32)), own: store = memoryStore(), ...rest } = init
  const clock = { now: Date.now() }
  const node = await startNode({ carry: {}, now: () => clock.now, ...rest })
  const { libp2p } = node.network
  const presence = createPresence(
    { libp2p, dht: libp2p.services.dht, signer, store },
    {
      now: () => clock.now,
      market: 'main',
      whereabouts: () => ({ addresses: node.network.addresses().map(String), mailboxes: [] }),
      onError: (error) => {
        throw error
      }
    }
  )
  let isOpen = true
  const close = async (): Promise<void> => {
    if (!isOpen) return
    isOpen = false
    await presence[Symbol.asyncDispose]()
    await node[Symbol.asyncDispose]()
  }
  open.push({ [Symbol.asyncDispose]: close })
  return Object.assign(clock, { node, presence, store, signer, close })
}

const addressesOf = async (asker: Installation, signer: Signer): Promise<readonly string[] | undefined> =>
  (await asker.presence.find(didFromKey(signer.publicKey)))?.peers[0]?.addresses

/** What a node holds of somebody. */
const heldBy = async ({ node, now }: Installation, { publicKey }: Signer) =>
  presenceOf(await standingValue(node.datastore, presenceKey(publicKey)), now)

test('who has moved is found where it is now', async () => {
  const hub = await installation()
  const ana = await installation({ bootstrap: [addressOf(hub.node)] })
  const bo = await installation({ bootstrap: [addressOf(hub.node)] })
  await until(async () => (await heldBy(hub, ana.signer)) !== undefined)
  await until(async () => (await heldBy(hub, bo.signer)) !== undefined)
  expect(await addressesOf(bo, ana.signer)).toEqual([addressOf(ana.node)])

  const { signer, store, node } = ana
  await ana.close()
  const moved = await installation({
    signer,
    own: store,
    privateKey: node.privateKey,
    bootstrap: [addressOf(hub.node)]
  })
  await until(async () => ((await heldBy(hub, signer))?.seq ?? 0) > 0)
  // An answer is remembered for a minute.
  bo.now += 61_000
  expect(await addressesOf(bo, signer)).toEqual([addressOf(moved.node)])
})

test('a valid but older value replaces the newer at no replica', async () => {
  const hubs = [await installation()]
  for (let count = 0; count < 3; count++)
    hubs.push(await installation({ bootstrap: [addressOf((hubs[0] as Installation).node)] }))
  const ana = await installation({ bootstrap: hubs.map(({ node }) => addressOf(node)) })
  await until(async () => (await Promise.all(hubs.map((hub) => heldBy(hub, ana.signer)))).every(Boolean))
  const old = await heldBy(hubs[0] as Installation, ana.signer)
  ana.now += 25 * 3_600_000
  for (const hub of hubs) hub.now = ana.now
  await ana.presence.tend()
  const newest = async () => Promise.all(hubs.map(async (hub) => (await heldBy(hub, ana.signer))?.seq))
  await until(async () => Math.min(...(await newest()).map((seq) => seq ?? -1)) > (old?.seq ?? 0))
  const before = await newest()

  const late = await installation({ bootstrap: hubs.map(({ node }) => addressOf(node)) })
  late.now = ana.now
  await until(async () => (await Promise.all(hubs.map((hub) => heldBy(hub, late.signer)))).every(Boolean))
  for await (const _ of late.node.network.libp2p.services.dht.put(
    presenceKey(ana.signer.publicKey),
    old?.bytes ?? new Uint8Array()
  )) {
    // Every replica answers.
  }
  expect(await newest()).toEqual(before)
  for (const hub of hubs)
    expect(hub.node.network.guard.report().filter(({ reasons }) => reasons.length > 0)).toEqual([])
})

test('installations of one identity do not speak over each other', async () => {
  const hub = await installation()
  const desk = await installation({ bootstrap: [addressOf(hub.node)] })
  await until(async () => (await heldBy(hub, desk.signer)) !== undefined)
  const phone = await installation({ signer: desk.signer, bootstrap: [addressOf(hub.node)] })
  await until(async () => (await heldBy(hub, desk.signer))?.content.peers.length === 2)
  const ids = (await heldBy(hub, desk.signer))?.content.peers.map(({ id }) => id)
  expect(ids).toEqual([phone, desk].map(({ node }) => node.network.peerId.toString()))
})

test('is said once, again after a day, and until somebody has heard it', async () => {
  const lonely = await installation()
  expect(await lonely.presence.tend()).toBe(0)
  const hub = await installation({ bootstrap: [addressOf(lonely.node)] })
  await until(async () => (await heldBy(hub, lonely.signer)) !== undefined)
  await until(async () => (await lonely.presence.tend()) === undefined)
  lonely.now += 23 * 3_600_000
  expect(await lonely.presence.tend()).toBe(undefined)
  lonely.now += 2 * 3_600_000
  hub.now = lonely.now
  expect(await lonely.presence.tend()).toBe(1)
})
