import { MemoryLevel } from 'memory-level'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  connectRpc,
  createWatcher,
  type EscrowFact,
  type EscrowOrder,
  type FactHandler,
  type Hex,
  type Rpc,
  type RpcConnection,
  type Watcher,
  type WatcherInit
} from '@souk/escrow'
import { startChain, type Chain } from '@souk/escrow/testing'
import { makeOrder, memoryStore, party, termsOf, type Party } from './market.ts'

let chain: Chain
let rpc: RpcConnection
let buyer: Party
let seller: Party
let told: EscrowFact[]
let undone: EscrowFact[]
let errors: unknown[]
let fromBlock: number

const collect: FactHandler = async (facts, rolledBack) => {
  undone.push(...rolledBack)
  told.push(...facts)
  return []
}

beforeAll(async () => {
  chain = await startChain({ token: true })
  rpc = connectRpc(chain.url, chain)
})
afterAll(() => chain.stop())

let base: unknown
beforeEach(async () => {
  base = await chain.send('evm_snapshot')
  buyer = await party(chain, 0)
  seller = await party(chain, 1)
  told = []
  undone = []
  errors = []
  fromBlock = (await height()) + 1
})
afterEach(() => chain.send('evm_revert', [base]))

async function height(): Promise<number> {
  return Number(await chain.send('eth_blockNumber'))
}

function open(
  init: Partial<WatcherInit> & {
    rpcs?: [Rpc, ...Rpc[]]
    store?: MemoryLevel<string, unknown>
    onFacts?: FactHandler
  } = {}
): Watcher {
  const { rpcs = [rpc], store = memoryStore(), onFacts = collect, ...rest } = init
  const onError = (error: unknown): void => void errors.push(error)
  const settings = { chainId: chain.chainId, contract: chain.escrow, fromBlock, confirmations: 2 }
  return createWatcher({ rpcs, store, onFacts, onError }, { ...settings, ...rest })
}

async function settleUp(watcher: Watcher): Promise<void> {
  while ((await watcher.tick()).isBehind);
}

async function funded(): Promise<{ order: EscrowOrder; id: Hex }> {
  const order = await makeOrder(chain)
  await buyer.escrow.fund(order, { expected: termsOf(order, chain) })
  return { order, id: buyer.escrow.orderId(order) }
}

function story(facts: EscrowFact[]): string[] {
  return facts.map(({ kind, final }) => `${kind}${final ? '!' : ''}`)
}

/** An endpoint that answers one method in its own way. */
function lying(method: string, answer: (truth: unknown, params: unknown[]) => unknown): Rpc {
  return {
    send: async (name, params) => {
      const truth = await rpc.send(name, params)
      return name === method ? answer(truth, params) : truth
    }
  }
}

describe('what is told', () => {
  it('tells an order from payment to release, each fact once as seen and once as final', async () => {
    await using watcher = open()
    const { order, id } = await funded()
    await settleUp(watcher)
    expect(story(told)).toEqual(['funded'])
    expect(told[0]).toMatchObject({
      id,
      status: 'funded',
      amount: order.amount,
      buyer: order.buyer,
      token: order.token
    })
    expect(told[0]?.blockTimeMs).toBeGreaterThan(1_600_000_000_000)
    await seller.escrow.accept(order, { expected: termsOf(order, chain) })
    await seller.escrow.dispatch(order)
    await buyer.escrow.release(order, { total: 1n })
    await buyer.escrow.release(order)
    await settleUp(watcher)
    await chain.mine(3)
    await settleUp(watcher)
    const finals = told.filter(({ final }) => final)
    expect(story(finals)).toEqual(['funded!', 'accepted!', 'dispatched!', 'part-paid!', 'closed!'])
    expect(finals.at(-1)).toMatchObject({ id, status: 'released', sellerGot: order.amount - 1n, buyerGot: 0n })
    expect(finals[3]).toMatchObject({ toSeller: 1n, toBuyer: 0n })
    const names = told.filter(({ final }) => final).map(({ txHash, logIndex }) => `${txHash}:${logIndex}`)
    expect(new Set(names).size).toBe(names.length)
    await settleUp(watcher)
    expect(told.filter(({ final }) => final)).toHaveLength(5)
  })

  it('reads a long past in spans, with the same facts', async () => {
    await funded()
    await chain.mine(1_100)
    await funded()
    await chain.mine(2)
    await funded()
    await chain.mine(2)
    await using watcher = open()
    await settleUp(watcher)
    expect(story(told)).toEqual(['funded!', 'funded!', 'funded!'])
    expect(await watcher.position()).toEqual({ number: await height(), final: (await height()) - 1 })
  })

  it('follows only the orders it is given, and reads the past of one that is added late', async () => {
    const store = memoryStore()
    const first = await funded()
    const second = await funded()
    {
      await using watcher = open({ orders: 'followed', store })
      await watcher.follow([first.id])
      await settleUp(watcher)
      expect(told.map((fact) => 'id' in fact && fact.id)).toEqual([first.id])
      await chain.mine(5)
      await settleUp(watcher)
    }
    told = []
    await using watcher = open({ orders: 'followed', store })
    await settleUp(watcher)
    expect(told).toEqual([])
    await watcher.follow([first.id, second.id])
    await settleUp(watcher)
    expect(told).toMatchObject([{ id: second.id, final: true }])
    await buyer.escrow.cancel(first.order)
    await settleUp(watcher)
    expect(told.at(-1)).toMatchObject({ kind: 'closed', status: 'refunded', id: first.id })
  })
})

describe('a reorganisation', () => {
  it('undoes what vanished, and tells what stands in its place', async () => {
    await using watcher = open({ confirmations: 6 })
    const { order } = await funded()
    await settleUp(watcher)
    const snapshot = await chain.send('evm_snapshot')
    await seller.escrow.accept(order, { expected: termsOf(order, chain) })
    await settleUp(watcher)
    expect(story(told)).toEqual(['funded', 'accepted'])
    await chain.send('evm_revert', [snapshot])
    await (await party(chain, 0)).escrow.cancel(order)
    await settleUp(watcher)
    expect(story(undone)).toEqual(['accepted'])
    expect(story(told)).toEqual(['funded', 'accepted', 'closed'])
  })

  it('keeps what the same transaction says in another block', async () => {
    await using watcher = open({ confirmations: 6 })
    await funded()
    await settleUp(watcher)
    const before = told[0] as EscrowFact
    await chain.send('anvil_reorg', [1, []])
    await chain.mine(1)
    await settleUp(watcher)
    expect(undone).toMatchObject([{ txHash: before.txHash, blockHash: before.blockHash }])
    for (const fact of told.slice(1)) expect(fact.blockHash).not.toBe(before.blockHash)
  })

  it('says so when even final facts are undone', async () => {
    await using watcher = open({ confirmations: 1 })
    const snapshot = await chain.send('evm_snapshot')
    await funded()
    await settleUp(watcher)
    expect(story(told)).toEqual(['funded!'])
    await chain.send('evm_revert', [snapshot])
    await chain.mine(6)
    await settleUp(watcher)
    expect(story(undone)).toEqual(['funded!'])
    expect(errors).toMatchObject([{ code: 'reorg' }])
  })

  it('does not take a lagging endpoint for a reorganisation', async () => {
    const store = memoryStore()
    await funded()
    {
      await using watcher = open({ store })
      await settleUp(watcher)
    }
    const behind = (await height()) - 1
    const lagging = lying('eth_getBlockByNumber', async (truth, [tag]) => {
      const wanted = tag === 'latest' ? behind : Number(tag)
      return wanted > behind ? null : rpc.send('eth_getBlockByNumber', [`0x${wanted.toString(16)}`, false])
    })
    await using watcher = open({ store, rpcs: [lagging, rpc] })
    told = []
    await expect(watcher.tick()).rejects.toMatchObject({ code: 'rpc' })
    await settleUp(watcher)
    expect(undone).toEqual([])
  })
})

describe('endpoints that fail or lie', () => {
  const down: Rpc = { send: async () => Promise.reject(new Error('connection refused')) }

  it('takes the next endpoint when one is down', async () => {
    await funded()
    await using watcher = open({ rpcs: [down, rpc] })
    await expect(watcher.tick()).rejects.toMatchObject({ code: 'rpc' })
    await settleUp(watcher)
    expect(told).toHaveLength(1)
  })

  it('refuses an endpoint of another chain', async () => {
    await using watcher = open({ rpcs: [lying('eth_chainId', () => '0x1')] })
    await expect(watcher.tick()).rejects.toMatchObject({ code: 'wrong-chain' })
  })

  it('never calls final what one endpoint invents when two must agree', async () => {
    const { id } = await funded()
    const [real] = (await rpc.send('eth_getLogs', [
      { address: chain.escrow, fromBlock: `0x${fromBlock.toString(16)}` }
    ])) as [object]
    const inventor = lying('eth_getLogs', (truth) => [
      ...(truth as object[]),
      { ...real, logIndex: '0x7', transactionHash: `0x${'ab'.repeat(32)}` }
    ])
    await chain.mine(5)
    const store = memoryStore()
    await using watcher = open({ rpcs: [inventor, rpc], agree: 2, store })
    for (let round = 0; round < 6; round += 1) await watcher.tick()
    expect(told.filter(({ final }) => final)).toEqual([])
    expect(errors[0]).toMatchObject({ code: 'disagree' })
    await using honest = open({ rpcs: [inventor, rpc, connectRpc(chain.url, chain)], agree: 2, store })
    for (let round = 0; round < 3; round += 1) await honest.tick()
    const finals = told.filter(({ final }) => final)
    expect(finals).toMatchObject([{ kind: 'funded', id }])
    expect(undone.map(({ txHash }) => txHash)).toContain(`0x${'ab'.repeat(32)}`)
  })

  it('does not let one endpoint undo what two called final', async () => {
    await funded()
    await chain.mine(5)
    const store = memoryStore()
    {
      await using watcher = open({ rpcs: [rpc, rpc], agree: 2, store })
      await settleUp(watcher)
      expect(story(told)).toEqual(['funded!'])
    }
    const other = lying('eth_getBlockByNumber', (truth) => truth && { ...truth, hash: `0x${'cd'.repeat(32)}` })
    await using watcher = open({ rpcs: [other, rpc], agree: 2, store })
    await expect(watcher.tick()).rejects.toMatchObject({ code: 'disagree' })
    await settleUp(watcher)
    expect(undone).toEqual([])
  })

  it.each([
    ['a log of another contract', { address: `0x${'11'.repeat(20)}` }],
    ['a log out of range', { blockNumber: '0x1' }],
    ['a log the contract cannot emit', { topics: [`0x${'22'.repeat(32)}`] }],
    ['a log with cut data', { data: '0x00' }],
    ['no log', null]
  ])('refuses %s', async (_name, change) => {
    await funded()
    const liar = lying('eth_getLogs', (truth) => (truth as object[]).map((log) => change && { ...log, ...change }))
    await using watcher = open({ rpcs: [liar] })
    await expect(watcher.tick()).rejects.toMatchObject({ code: 'bad-rpc-answer' })
    expect(told).toEqual([])
  })

  it('asks for less when an endpoint refuses a wide span', async () => {
    await funded()
    await chain.mine(900)
    const narrow: Rpc = {
      send: async (name, params) => {
        const [filter] = params as [{ fromBlock: string; toBlock: string }]
        if (name === 'eth_getLogs' && Number(filter.toBlock) - Number(filter.fromBlock) > 100)
          throw new Error('too wide')
        return rpc.send(name, params)
      }
    }
    await using watcher = open({ rpcs: [narrow] })
    let refusals = 0
    for (let round = 0; round < 40; round += 1) await watcher.tick().catch(() => (refusals += 1))
    expect(refusals).toBeGreaterThan(0)
    expect(story(told)).toEqual(['funded!'])
    expect((await watcher.position())?.number).toBe(await height())
  })
})

describe('what is written', () => {
  it("writes the handler's operations with the position, into a sibling of its store", async () => {
    const root = new MemoryLevel<string, unknown>({ valueEncoding: 'json' })
    const store = root.sublevel<string, unknown>('watch', { valueEncoding: 'json' })
    const orders = root.sublevel<string, unknown>('orders', { valueEncoding: 'json' })
    const { id } = await funded()
    const onFacts: FactHandler = async (facts) =>
      facts.map(({ kind }) => ({ type: 'put', sublevel: orders, key: id, value: kind }))
    await using watcher = createWatcher(
      { rpcs: [rpc], store, onFacts },
      { chainId: chain.chainId, contract: chain.escrow, fromBlock, confirmations: 1 }
    )
    await watcher.tick()
    expect(await orders.get(id)).toBe('funded')
  })

  it('tells a fact again when the batch that held it was lost', async () => {
    await funded()
    const store = memoryStore()
    const batch = store.batch.bind(store)
    const lost = new Error('disk full')
    Object.assign(store, { batch: () => Promise.reject(lost) })
    await using watcher = open({ store })
    await expect(watcher.tick()).rejects.toBe(lost)
    expect(await watcher.position()).toBeUndefined()
    Object.assign(store, { batch })
    await watcher.tick()
    expect(told).toHaveLength(2)
    expect(told[0]).toEqual(told[1])
  })

  it('goes on after a restart where it stopped', async () => {
    const store = memoryStore()
    const { order } = await funded()
    {
      await using watcher = open({ store })
      await settleUp(watcher)
    }
    await buyer.escrow.cancel(order)
    await chain.mine(3)
    await using watcher = open({ store })
    await settleUp(watcher)
    expect(story(told)).toEqual(['funded', 'funded!', 'closed!'])
  })

  it('runs by itself until disposed', async () => {
    const seen = Promise.withResolvers<EscrowFact[]>()
    const onFacts: FactHandler = async (facts) => {
      seen.resolve(facts)
      return []
    }
    await using watcher = open({ onFacts, pollMs: 5, confirmations: 1 })
    watcher.start()
    const { id } = await funded()
    expect(await seen.promise).toMatchObject([{ kind: 'funded', id, final: true }])
  })
})
