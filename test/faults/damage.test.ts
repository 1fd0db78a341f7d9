import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Person } from '@souk/devnet'
import type { ListingView, OrderView } from '@souk/node'
import {
  act,
  doctor,
  type FaultyMarket,
  isLong,
  keysOf,
  openMarket,
  publish,
  request,
  untilHeld,
  untilOrder
} from './market.ts'

let market: FaultyMarket
let ana: Person
let bruno: Person
let listings: ListingView[]
let own: ListingView
let orders: Partial<OrderView>[]

beforeAll(async () => {
  market = await openMarket({ people: ['Ana', 'Bruno'] })
  ;[ana, bruno] = [market.net.person('Ana'), market.net.person('Bruno')]
  await ana.call('PUT /v1/profile', { body: { name: 'Ana' } })
  await bruno.call('PUT /v1/profile', { body: { name: 'Bruno', region: 'DE' } })
  listings = await Promise.all(Array.from({ length: 60 }, (_, n) => publish(ana, `Box ${n}`)))
  own = await publish(bruno, 'Mine')
  await untilHeld(bruno, ana, listings)
  const asked = await Promise.all(listings.slice(0, 3).map((listing) => request(bruno, listing)))
  for (const { id } of asked) await untilOrder(ana, id, ({ phase }) => phase === 'REQUESTED')
  await act(ana, asked[0]?.id ?? '', 'accept')
  await untilOrder(bruno, asked[0]?.id ?? '', ({ phase }) => phase !== 'REQUESTED')
  // Once more, so that the store has tables and not only its log.
  await bruno.stop()
  await bruno.start()
  orders = await ordersOf(bruno)
}, 120_000)

afterAll(async () => market[Symbol.asyncDispose]())

/** Orders but for what the outbox does by itself. */
async function ordersOf(person: Person): Promise<Partial<OrderView>[]> {
  const all: OrderView[] = await person.call('GET /v1/orders')
  return all
    .map(({ id, role, phase, timeline, total, listing, allowed, shipTo }) => {
      return { id, role, phase, timeline, total, listing, allowed, shipTo }
    })
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

async function flip(path: string): Promise<void> {
  const bytes = await readFile(path)
  for (let at = bytes.length >> 3; at < bytes.length; at += 4001) bytes[at] = (bytes[at] ?? 0) ^ 0x55
  await writeFile(path, bytes)
}

const damages: { name: string; files: RegExp; act: (path: string) => Promise<void>; told: boolean }[] = [
  { name: 'flipped bytes in every table', files: /\.ldb$/, act: flip, told: true },
  { name: 'every table cut', files: /\.ldb$/, act: (path) => truncate(path, 900), told: true },
  { name: 'flipped bytes in the log', files: /\d\.log$/, act: flip, told: false },
  { name: 'half a list of files', files: /^MANIFEST/, act: (path) => truncate(path, 60), told: true },
  { name: 'no name of the list of files', files: /^CURRENT$/, act: (path) => rm(path), told: true },
  { name: 'flipped bytes in the search file', files: /^search\.sqlite$/, act: flip, told: false },
  { name: 'flipped bytes in the second copy', files: /^private\.log$/, act: flip, told: true }
]

/** Each kind of file once; all ways of damaging them are in packages/storage/test/repair.test.ts, without daemons. */
const tried = isLong ? damages : damages.filter(({ name }) => /in every table|search file/.test(name))

test.each(tried)(
  '$name: seen at the start, own state whole, the rest back within a minute',
  async (damage) => {
    await bruno.stop()
    const store = join(bruno.home, 'node', 'store')
    const names = (await readdir(store, { recursive: true })).filter((name) =>
      damage.files.test(name.replace(/^level\//, ''))
    )
    expect(names.length).toBeGreaterThan(0)
    for (const name of names) await damage.act(join(store, name))
    const logged = market.log.length

    await bruno.start()
    const startedAtMs = performance.now()
    expect(await ordersOf(bruno)).toEqual(orders)
    expect(await keysOf(bruno, bruno)).toEqual(new Set([own.key]))
    await untilHeld(bruno, ana, listings)
    await bruno.until('a store that is whole', async () => (await bruno.call('GET /v1/status')).storage.state === 'ok')
    await bruno.until('the boxes in the search', async () => {
      const page = await bruno.call('GET /v1/search', { query: { text: 'box', limit: 100 } })
      return page.total === listings.length
    })
    expect(performance.now() - startedAtMs).toBeLessThan(60_000)
    const told = market.log.slice(logged).filter((line) => line.startsWith('Bruno') && line.includes('store-damaged'))
    expect(told.length > 0 || !damage.told).toBe(true)
  },
  120_000
)

test('after all of it, what it serves is what was signed, and trade goes on', async () => {
  // Somebody new gets all of it, and holds nothing against the node.
  const clara = await market.net.join({ name: 'Clara', bootstrap: bruno.addresses })
  await untilHeld(clara, ana, listings)
  const peers = await clara.call('GET /v1/peers')
  expect(peers.filter(({ score }) => score < 0)).toEqual([])

  const [first] = orders.filter(({ phase }) => phase !== 'REQUESTED')
  await act(ana, first?.id ?? '', 'ship')
  await untilOrder(bruno, first?.id ?? '', ({ tracking }) => tracking?.code === 'X1')
  await act(bruno, first?.id ?? '', 'confirm')
  await untilOrder(ana, first?.id ?? '', ({ phase }) => phase === 'CLOSED')
  expect((await doctor(bruno))['storage']).toMatchObject({ result: 'ok' })
}, 60_000)
