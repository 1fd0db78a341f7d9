import { stat } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDevnet, type Devnet, readGoods } from '../src/index.ts'

let market: Devnet

beforeAll(async () => {
  market = await createDevnet({ people: ['Ana', 'Bruno'] })
})

afterAll(async () => market[Symbol.asyncDispose]())

test('everybody is a process of its own, with a home of its own', () => {
  const pids = [market.relay, market.chain, ...market.people].map(({ pid }) => pid)
  expect(new Set([...pids, process.pid]).size).toBe(5)
  expect(new Set(market.people.map(({ home }) => home)).size).toBe(2)
  expect(() => market.person('Nobody')).toThrow(expect.objectContaining({ code: 'no-such-person' }))
})

test('what one lists, another finds; and somebody who comes later, too', async () => {
  const [ana, bruno] = [market.person('Ana'), market.person('Bruno')]
  const [goods] = await readGoods({ escrow: true })
  await ana.call('POST /v1/listings', { body: goods?.draft ?? { title: '', category: '' } })
  const find = async (person: typeof ana): Promise<string | undefined> => {
    const page = await person.call('GET /v1/search', { query: { text: 'brushes' } })
    return page.hits[0]?.title
  }
  expect(await bruno.until('the brushes', () => find(bruno))).toBe(goods?.draft.title)
  const late = await market.join('Chidi')
  expect(await late.until('the brushes', () => find(late))).toBe(goods?.draft.title)
})

test('money is made and counted to the unit', async () => {
  const { wallet } = market.person('Bruno')
  await market.chain.fund(wallet, 12_345_678n)
  expect(await market.chain.balanceOf(wallet)).toBe(12_345_678n)
  const view = await market.person('Bruno').call('GET /v1/wallet')
  expect(view.balances).toMatchObject([{ symbol: 'tEUR', available: '12345678', locked: '0' }])
})

test('who is stopped answers nobody, and comes back as the same', async () => {
  const bruno = market.person('Bruno')
  const { did, peerId } = bruno
  await bruno.stop()
  expect(bruno.isRunning).toBe(false)
  expect(() => bruno.call('GET /v1/status')).toThrow(expect.objectContaining({ code: 'stopped' }))
  await bruno.start()
  expect(await bruno.call('GET /v1/status')).toMatchObject({ did, peerId })
})

test('what does not come is said with its name', async () => {
  const waiting = market.person('Ana').until('a miracle', () => Promise.resolve(undefined), { timeoutMs: 200 })
  await expect(waiting).rejects.toMatchObject({ code: 'timed-out', message: expect.stringContaining('a miracle') })
})

test('a node that cannot start says why, and the market goes on', async () => {
  const broken = market.join({ name: 'Dora', bootstrap: ['nonsense'] })
  await expect(broken).rejects.toMatchObject({ code: 'start-failed', message: expect.stringContaining('bootstrap') })
  expect(market.person('Ana').isRunning).toBe(true)
})

test('it ends with all that it started, and its folder', async () => {
  const own = await createDevnet({ people: ['Ana'], chain: false })
  expect(() => own.chain).toThrow(expect.objectContaining({ code: 'stopped' }))
  const ana = own.person('Ana')
  await own[Symbol.asyncDispose]()
  expect(ana.isRunning).toBe(false)
  await expect(stat(own.directory)).rejects.toMatchObject({ code: 'ENOENT' })
})
