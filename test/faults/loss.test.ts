import { expect, test } from 'vitest'
import { createLab, whyNoLab } from '../nat/lab.ts'
import { uncaughtIn } from './market.ts'

const problem = await whyNoLab()
if (problem !== undefined) console.warn(`test/faults/loss is skipped: ${problem}`)

test.skipIf(problem !== undefined)(
  '30 percent of all packets lost: two nodes find, fetch and trade all the same',
  async () => {
    await using lab = await createLab()
    const listen = ['/ip4/0.0.0.0/tcp/0']
    // One network: public addresses would not be told before somebody outside has confirmed them.
    const homes = [await lab.machine('ana', '10.1.0.1'), await lab.machine('bruno', '10.1.0.2')] as const
    for (const home of homes) await lab.lose(home, 30)
    const ana = await lab.node('ana', homes[0], { bootstrap: [], listen })
    await ana.call('PUT /v1/profile', { body: { name: 'Ana' } })
    const gifts = await Promise.all(
      Array.from({ length: 15 }, (_, n) =>
        ana.call('POST /v1/listings', {
          body: {
            title: `Moving box ${n}`,
            category: 'hg',
            businessFunction: 'Give',
            trade: 'fixed-price',
            settlements: [{ kind: 'none' }],
            delivery: [{ kind: 'ship', price: '0', to: ['DE'], handlingDays: 1, transitDays: 3 }]
          }
        })
      )
    )
    const bootstrap = (await ana.call('GET /v1/status')).addresses.filter((address) => address.includes('/10.1.'))
    const bruno = await lab.node('bruno', homes[1], { bootstrap, listen })
    await bruno.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
    const patienceMs = 150_000
    await bruno.until(
      'the boxes',
      async () => (await bruno.call('GET /v1/search', { query: { text: 'box' } })).total === gifts.length,
      patienceMs
    )
    const { id } = await bruno.call('POST /v1/orders', {
      body: { listing: gifts[0]?.id ?? '', delivery: 'ship', country: 'DE', shipTo: 'Bruno, Berlin' }
    })
    const isIn = (node: typeof ana, phase: string): Promise<boolean> =>
      node.until(
        phase,
        async () => (await node.call('GET /v1/orders')).some((order) => order.id === id && order.phase === phase),
        patienceMs
      )
    await isIn(ana, 'REQUESTED')
    await ana.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'accept' } })
    await ana.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'ship', tracking: 'X1' } })
    await bruno.until(
      'the parcel',
      async () => (await bruno.call('GET /v1/orders')).some((order) => order.tracking?.code === 'X1'),
      patienceMs
    )
    await bruno.call('POST /v1/orders/:id/actions', { params: { id }, body: { action: 'confirm' } })
    await Promise.all([isIn(ana, 'CLOSED'), isIn(bruno, 'CLOSED')])
    for (const node of [ana, bruno]) {
      expect((await node.call('GET /v1/peers')).filter(({ score }) => score < 0)).toEqual([])
    }
    expect(uncaughtIn(lab.log)).toEqual([])
  },
  600_000
)
