import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { uncaughtIn } from '../faults/market.ts'
import { createLab, type Lab, type LabNode, whyNoLab } from './lab.ts'

const problem = await whyNoLab()
if (problem !== undefined) console.warn(`test/nat is skipped: ${problem}`)

const relayAddress = '44.1.0.1'

let lab: Lab
let seller: LabNode
let buyer: LabNode
let neighbour: LabNode
let bootstrap: readonly string[]

describe.skipIf(problem !== undefined)('three homes behind routers, and a relay', () => {
  beforeAll(async () => {
    lab = await createLab()
    const relay = await lab.relay(await lab.machine('relay', relayAddress), relayAddress)
    bootstrap = [relay]
    const homes = await Promise.all([
      lab.home('ana', { address: '44.1.0.11', nat: 'cone' }),
      lab.home('bruno', { address: '44.1.0.12', nat: 'cone' }),
      lab.home('clara', { address: '44.1.0.13', nat: 'symmetric' })
    ])
    ;[seller, buyer, neighbour] = (await Promise.all(
      ['ana', 'bruno', 'clara'].map((name, index) => lab.node(name, homes[index] ?? '', { bootstrap }))
    )) as [LabNode, LabNode, LabNode]
    await seller.call('PUT /v1/profile', { body: { name: 'Ana' } })
  }, 120_000)

  afterAll(async () => lab[Symbol.asyncDispose](), 60_000)

  async function addressesOf(node: LabNode): Promise<readonly string[]> {
    return (await node.call('GET /v1/status')).addresses
  }

  /** Address at the relay. */
  function circuitOf(node: LabNode): Promise<string> {
    return node.until('a place at the relay', async () =>
      (await addressesOf(node)).find(
        (address) => address.includes(`/ip4/${relayAddress}/`) && address.includes('/p2p-circuit')
      )
    )
  }

  async function viewOf(node: LabNode, of: LabNode) {
    return (await node.call('GET /v1/peers')).find(({ id }) => id === of.peerId)
  }

  test('whoever is behind a router says the way through the relay, and no address that nobody reaches', async () => {
    for (const [node, outer] of [
      [seller, '44.1.0.11'],
      [neighbour, '44.1.0.13']
    ] as const) {
      expect(await circuitOf(node)).toContain(`/p2p/${node.peerId}`)
      expect((await addressesOf(node)).filter((address) => address.startsWith(`/ip4/${outer}/`))).toEqual([])
    }
  })

  test('cone behind cone: found through the relay, then a direct connection by a punched hole', async () => {
    await buyer.call('POST /v1/peers', { body: { address: await circuitOf(seller) } })
    const direct = await buyer.until('a direct connection', async () => {
      const view = await viewOf(buyer, seller)
      return view?.connected === true && view.addresses.some((address) => !address.includes('/p2p-circuit')) && view
    })
    expect(direct.addresses.join()).toMatch(/\/ip4\/44\.1\.0\.11\/tcp\/\d+/)
  }, 90_000)

  test('symmetric behind cone: it stays at the relay, and they trade through it', async () => {
    await neighbour.call('PUT /v1/profile', { body: { name: 'Clara', region: 'DE' } })
    const gift = await seller.call('POST /v1/listings', {
      body: {
        title: 'Moving boxes',
        category: 'hg',
        businessFunction: 'Give',
        trade: 'fixed-price',
        settlements: [{ kind: 'none' }],
        delivery: [{ kind: 'ship', price: '0', to: ['DE'], handlingDays: 1, transitDays: 3 }],
        quantity: 3
      }
    })
    await neighbour.call('POST /v1/peers', { body: { address: await circuitOf(seller) } })
    expect(await viewOf(neighbour, seller)).toMatchObject({ connected: true, relayed: true })
    await neighbour.until('the boxes', async () => {
      const page = await neighbour.call('GET /v1/search', { query: { text: 'boxes' } })
      return page.total === 1
    })
    const { id } = await neighbour.call('POST /v1/orders', {
      body: { listing: gift.id, delivery: 'ship', country: 'DE', shipTo: 'Clara, Berlin' }
    })
    const orderOn = (node: LabNode, phases: readonly string[]): Promise<boolean> =>
      node.until(`an order that is ${phases.join(' or ')}`, async () => {
        const order = (await node.call('GET /v1/orders')).find((one) => one.id === id)
        return order !== undefined && phases.includes(order.phase)
      })
    const act = (node: LabNode, body: { action: 'accept' | 'confirm' } | { action: 'ship'; tracking: string }) =>
      node.call('POST /v1/orders/:id/actions', { params: { id }, body })
    await orderOn(seller, ['REQUESTED'])
    await act(seller, { action: 'accept' })
    await act(seller, { action: 'ship', tracking: 'X1' })
    await neighbour.until('the parcel', async () => {
      const order = (await neighbour.call('GET /v1/orders')).find((one) => one.id === id)
      return order?.tracking?.code === 'X1'
    })
    await act(neighbour, { action: 'confirm' })
    await orderOn(seller, ['CLOSED'])
    const direct = (await viewOf(neighbour, seller))?.addresses.filter((address) => !address.includes('/p2p-circuit'))
    expect(direct ?? []).toEqual([])
  }, 120_000)

  test('who has a port of the router passed on, and says so, is reached directly by whoever is behind any', async () => {
    const address = '/ip4/44.1.0.14/tcp/4001'
    const home = await lab.home('dora', { address: '44.1.0.14', nat: 'symmetric', forwards: 4001 })
    const dora = await lab.node('dora', home, { bootstrap, listen: ['/ip4/0.0.0.0/tcp/4001'], announce: [address] })
    expect(await addressesOf(dora)).toEqual([`${address}/p2p/${dora.peerId}`])
    await dora.call('PUT /v1/profile', { body: { name: 'Dora' } })
    await neighbour.until('what Dora announces, from the relay', async () => {
      const known = await neighbour.call('GET /v1/profiles/:did', { params: { did: dora.did } }).catch(() => undefined)
      return known?.peers.some(({ addresses }) => addresses.some((one) => one.startsWith(address)))
    })
    await neighbour.call('POST /v1/peers', { body: { address: `${address}/p2p/${dora.peerId}` } })
    expect(await viewOf(neighbour, dora)).toMatchObject({ connected: true, relayed: false })
  }, 90_000)

  test('in none of it was an error that nobody caught', () => {
    expect(uncaughtIn(lab.log)).toEqual([])
  })
})
