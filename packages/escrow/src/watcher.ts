import { explain } from './abi.ts'
import { fetchLogs, inOrder, sameLogs, type ContractLog, type LogRange, type UntimedLog } from './chain-log.ts'
import { EscrowError } from './errors.ts'
import { decodeFact, type EscrowFact } from './facts.ts'
import * as limits from './limits.ts'
import { isHex, type Deployment, type Hex } from './order.ts'
import { pause, throwIfAborted } from './pause.ts'
import { badAnswer, getBlock, sendForNumber, type Block, type Rpc } from './rpc.ts'
import { createLock } from './sender.ts'
import type { EscrowStore, StoreOperation } from './store.ts'
import {
  deleteLog,
  openWatchState,
  putCursor,
  putFollow,
  putLog,
  updateRing,
  type Cursor,
  type KnownBlock,
  type KnownLog
} from './watch-state.ts'

/**
 * Takes in what happened. Facts come in chain order; each is told once as seen and once as final, or only as final if
 * it was that when first seen, and again after a crash. `rolledBack` are facts told before that no longer hold; they
 * come before the facts of the same call in time.
 *
 * @returns What to write in the same atomic batch as the watcher's position, for instance
 * `{ type: 'put', sublevel: orders, key, value }`. What it throws stops this step; it comes again with the next.
 */
export type FactHandler = (facts: EscrowFact[], rolledBack: EscrowFact[]) => Promise<StoreOperation[]>

export interface WatcherComponents {
  /** Endpoints of one chain, run by different people. The next is taken when one fails or falls behind. */
  rpcs: readonly [Rpc, ...Rpc[]]
  /** Holds the watcher's position; may be the client's store. */
  store: EscrowStore
  onFacts: FactHandler
  /** What went wrong in a step of {@link Watcher.start}; the next step tries again. */
  onError?: (error: unknown) => void
  now?: () => number
}

export interface WatcherInit extends Deployment {
  /** The first block to read: that of the contract's deployment, or of the node's first order. */
  fromBlock: number
  /** Blocks, the fact's own included, under which it is final. */
  confirmations?: number
  /** Endpoints that must tell the same before anything is final. One believes each endpoint. */
  agree?: number
  /** `all` orders of the contract (default), or those given to {@link Watcher.follow}. */
  orders?: 'all' | 'followed'
  pollMs?: number
  lagMs?: number
}

export interface Watcher extends AsyncDisposable {
  /** Adds orders; their past is read with the next step. Remembered over restarts. */
  follow(ids: Iterable<Hex>): Promise<void>
  /**
   * One step: undoes what was reorganised away, reads the next span, tells the facts, moves on.
   *
   * @returns Whether blocks are left to read.
   * @throws {@link EscrowError} if the endpoint failed or lied; the next step asks the next one.
   */
  tick(options?: { signal?: AbortSignal }): Promise<{ isBehind: boolean }>
  /** Steps until disposed. */
  start(): void
  /** The last block applied and the last one final; undefined before the first step. */
  position(): Promise<Cursor | undefined>
}

/** One step's findings, before they are told. */
interface Scan {
  cursor: Cursor
  base: number
  ring: KnownBlock[]
  blocks: KnownBlock[]
  /** New logs of the span, and of orders followed since. */
  logs: ContractLog[]
  known: KnownLog[]
  read: Hex[]
  isBehind: boolean
}

/** Watches one escrow contract; see {@link Watcher}. */
export function createWatcher(components: WatcherComponents, init: WatcherInit): Watcher {
  const { rpcs, store, onFacts, onError, now = Date.now } = components
  const { chainId, fromBlock, confirmations = limits.confirmations, agree = 1 } = init
  const contract = init.contract.toLowerCase() as Hex
  if (agree > rpcs.length) throw new EscrowError('rpc', `${agree} endpoints must agree, but there are ${rpcs.length}`)
  const state = openWatchState(store)
  const exclusively = createLock()
  const stopping = new AbortController()
  const checked = new Set<Rpc>()
  let running: Promise<void> | undefined
  let turn = 0
  /** After a disagreement all that is not final is read again, from the next endpoint. */
  let isDoubted = false
  let span = limits.logSpanStart
  let newest = { number: -1, sinceMs: now() }

  const current = (): Rpc => rpcs[turn % rpcs.length] as Rpc
  const others = (): Rpc[] => rpcs.filter((rpc) => rpc !== current())

  const checkChain = async (rpc: Rpc): Promise<void> => {
    if (checked.has(rpc)) return
    const actual = await sendForNumber(rpc, 'eth_chainId')
    if (actual !== chainId) throw new EscrowError('wrong-chain', `an endpoint is on chain ${actual}, not ${chainId}`)
    checked.add(rpc)
  }

  const tick: Watcher['tick'] = async ({ signal } = {}) => {
    throwIfAborted(signal)
    return exclusively(async () => {
      const scan = await orRotate(() => look())
      const told = await tell(scan)
      await state.commit(told)
      return { isBehind: scan.isBehind }
    })
  }

  const orRotate = async <Result>(task: () => Promise<Result>): Promise<Result> => {
    try {
      return await task()
    } catch (error) {
      turn += 1
      throw explain(error)
    }
  }

  /** Reads one span of the chain, without changing anything. */
  const look = async (): Promise<Scan> => {
    const rpc = current()
    await checkChain(rpc)
    const tip = await newestBlock(rpc)
    const [before, ring, known, follows] = await Promise.all([
      state.cursor(),
      state.ring(),
      state.logs(),
      state.follows()
    ])
    const cursor = before ?? { number: fromBlock - 1, final: fromBlock - 1 }
    const common = await findBase(rpc, { tip, cursor, ring })
    if (common < cursor.final) await confirmDeepReorg(ring, cursor)
    const base = isDoubted ? Math.min(common, cursor.final) : common
    const to = Math.max(base, Math.min(tip.number, base + span))
    const isFollowed = filterOf(follows)
    const fresh = (await readSpan(rpc, { from: base + 1, to })).filter(isFollowed)
    const unread = init.orders === 'followed' ? follows.filter(({ isRead }) => !isRead).map(({ id }) => id) : []
    const past = unread.length > 0 ? await readPast(rpc, { ids: unread, to: base }) : []
    if (unread.length > 0) await confirmPast({ ids: unread, to: base, past })
    const blocks = await readBlocks(rpc, { from: base + 1, to, tip: tip.number })
    const logs = await addTimes(rpc, [...past, ...fresh], blocks)
    await assertSame(
      rpc,
      ring.find(({ number }) => number === base)
    )
    const kept = known.filter(({ blockNumber }) => blockNumber <= base)
    const applied = { number: to, final: Math.min(cursor.final, base) }
    isDoubted = false
    const final = await finalLine(rpc, { applied, tip: tip.number, logs: [...kept, ...logs], follows })
    return { cursor: { ...applied, final }, base, ring, blocks, logs, known, read: unread, isBehind: to < tip.number }
  }

  /** The newest block; another endpoint takes over if this one stands still. */
  const newestBlock = async (rpc: Rpc): Promise<Block> => {
    const tip = await getBlock(rpc, 'latest')
    if (!tip) throw badAnswer('newest block')
    if (tip.number !== newest.number) newest = { number: tip.number, sinceMs: now() }
    if (now() - newest.sinceMs > (init.lagMs ?? limits.lagMs)) {
      newest = { number: tip.number, sinceMs: now() }
      turn += 1
    }
    return tip
  }

  /** The last block that we and this endpoint have in common. */
  const findBase = async (
    rpc: Rpc,
    { tip, cursor, ring }: { tip: Block; cursor: Cursor; ring: KnownBlock[] }
  ): Promise<number> => {
    const reachable = ring.filter(({ number }) => number <= tip.number)
    for (const [index, { number, hash }] of reachable.entries()) {
      if ((await getBlock(rpc, number))?.hash !== hash) continue
      const isShort = index === 0 && reachable.length < ring.length
      if (isShort) throw new EscrowError('rpc', `an endpoint is at block ${tip.number}, behind ${cursor.number}`)
      return number
    }
    if (ring.length > 0 && reachable.length === 0) throw new EscrowError('rpc', `an endpoint is behind all we know`)
    return fromBlock - 1
  }

  /** What was final is undone only if as many endpoints say so as were needed to make it final. */
  const confirmDeepReorg = async (ring: KnownBlock[], { final }: Cursor): Promise<void> => {
    const line = ring.find(({ number }) => number <= final)
    if (!line) return
    const answers = await Promise.allSettled(others().map((rpc) => getBlock(rpc, line.number)))
    const hashes = answers.map((answer) => (answer.status === 'fulfilled' ? answer.value?.hash : undefined))
    const differing = hashes.filter((hash) => hash !== undefined && hash !== line.hash)
    if (differing.length < agree - 1)
      throw new EscrowError('disagree', `one endpoint undoes final block ${line.number}`)
    onError?.(new EscrowError('reorg', `the chain was reorganised below the final block ${final}`))
  }

  /** Halves the span when an endpoint refuses, widens it slowly while it answers: each refusal costs a step. */
  const readSpan = async (rpc: Rpc, { from, to }: { from: number; to: number }): Promise<UntimedLog[]> => {
    if (from > to) return []
    const width = to - from + 1
    try {
      const logs = await fetchLogs(rpc, { contract, from, to })
      if (width >= span) span = Math.min(limits.logSpanMax, Math.ceil(span * 1.25))
      return logs
    } catch (error) {
      span = Math.max(1, Math.floor(width / 2))
      throw error
    }
  }

  const readPages = async (rpc: Rpc, range: LogRange): Promise<UntimedLog[]> => {
    const logs: UntimedLog[] = []
    for (let from = range.from; from <= range.to; from += span) {
      logs.push(...(await fetchLogs(rpc, { ...range, from, to: Math.min(range.to, from + span - 1) })))
    }
    return logs
  }

  const readPast = (rpc: Rpc, { ids, to }: { ids: Hex[]; to: number }): Promise<UntimedLog[]> =>
    readPages(rpc, { contract, from: fromBlock, to, ids })

  /** The past of an order lies below the final line already, so the endpoints must agree on it at once. */
  const confirmPast = async ({ ids, to, past }: { ids: Hex[]; to: number; past: UntimedLog[] }): Promise<void> => {
    if (agree === 1) return
    const votes = await Promise.allSettled(others().map((rpc) => readPast(rpc, { ids, to })))
    const same = votes.filter((vote) => vote.status === 'fulfilled' && sameLogs(vote.value, past))
    if (same.length < agree - 1) throw new EscrowError('disagree', 'endpoints tell different pasts of a followed order')
  }

  /** How far everything is final: deep enough, and told alike by as many endpoints as must agree. */
  const finalLine = async (
    rpc: Rpc,
    { applied, tip, logs, follows }: { applied: Cursor; tip: number; logs: ContractLog[]; follows: Follow[] }
  ): Promise<number> => {
    const line = Math.min(applied.number, tip - confirmations + 1)
    if (line <= applied.final) return applied.final
    if (agree === 1) return line
    const ours = logs.filter(({ blockNumber }) => blockNumber > applied.final && blockNumber <= line).toSorted(inOrder)
    const hash = (await getBlock(rpc, line))?.hash
    const story = { from: applied.final + 1, to: line, hash, ours, follows }
    // All are asked, the current one too: some of our logs may come from the one before it.
    const votes = await Promise.allSettled(rpcs.map((endpoint) => compare(endpoint, story)))
    const verdicts = votes.map((vote) => (vote.status === 'fulfilled' ? vote.value : 'silent'))
    if (verdicts.filter((verdict) => verdict === 'same').length >= agree) return line
    if (verdicts.includes('differs')) {
      turn += 1
      isDoubted = true
      onError?.(new EscrowError('disagree', `endpoints tell different stories of blocks up to ${line}`))
    }
    return applied.final
  }

  const compare = async (
    rpc: Rpc,
    story: { from: number; to: number; hash: Hex | undefined; ours: ContractLog[]; follows: Follow[] }
  ): Promise<'same' | 'differs' | 'behind'> => {
    await checkChain(rpc)
    const { from, to, hash, ours, follows } = story
    const block = await getBlock(rpc, to)
    if (!block) return 'behind'
    if (block.hash !== hash) return 'differs'
    const logs = (await readPages(rpc, { contract, from, to })).filter(filterOf(follows))
    return sameLogs(logs, ours) ? 'same' : 'differs'
  }

  const filterOf = (follows: Follow[]): ((log: UntimedLog) => boolean) => {
    if (init.orders !== 'followed') return () => true
    const ids = new Set(follows.map(({ id }) => id))
    return ({ topics }) => ids.has(topics[1] as Hex)
  }

  /** Tells the facts and gathers all that this step writes. */
  const tell = async (scan: Scan): Promise<StoreOperation[]> => {
    const { cursor, base, ring, blocks, logs, known, read } = scan
    const kept = known.filter((log) => log.blockNumber <= base || logs.some((other) => isSameLog(other, log)))
    const undone = known.filter((log) => !kept.includes(log))
    const news = logs.filter((log) => !kept.some((other) => isSameLog(other, log)))
    const ripe = kept.filter((log) => !log.final && log.blockNumber <= cursor.final)
    const told = [...ripe, ...news].toSorted(inOrder)
    const after = told.map((log) => ({ ...log, final: log.blockNumber <= cursor.final }))
    const stale = kept.filter((log) => log.blockNumber < cursor.final - limits.ringBlocks)
    const facts = after.map((log) => decodeFact(log, log))
    const rolledBack = undone.map((log) => decodeFact(log, log)).toReversed()
    const extra = facts.length + rolledBack.length > 0 ? await onFacts(facts, rolledBack) : []
    return [
      ...[...undone, ...stale].map(deleteLog),
      ...after.map(putLog),
      ...updateRing(ring, { base, blocks }),
      ...read.map((id) => putFollow(id, { isRead: true })),
      putCursor(cursor),
      ...extra
    ]
  }

  const follow: Watcher['follow'] = (ids) =>
    exclusively(async () => {
      const followed = new Set((await state.follows()).map(({ id }) => id))
      const added = [...ids].map(checkedId).filter((id) => !followed.has(id))
      if (added.length > 0) await state.commit(added.map((id) => putFollow(id, { isRead: false })))
    })

  const run = async (): Promise<void> => {
    const { signal } = stopping
    while (!signal.aborted) {
      try {
        const { isBehind } = await tick({ signal })
        if (!isBehind) await pause(init.pollMs ?? limits.watchPollMs, signal)
      } catch (error) {
        if (signal.aborted) return
        onError?.(error)
        await pause(init.pollMs ?? limits.watchPollMs, signal).catch(() => undefined)
      }
    }
  }

  return {
    follow,
    tick,
    start: () => void (running ??= run()),
    position: () => state.cursor(),
    [Symbol.asyncDispose]: async () => {
      stopping.abort()
      await running
    }
  }
}

interface Follow {
  id: Hex
  isRead: boolean
}

/** Hashes of the newest blocks of a span: only those can be reorganised away. Each must name the one before. */
async function readBlocks(rpc: Rpc, { from, to, tip }: { from: number; to: number; tip: number }): Promise<Block[]> {
  const blocks: Block[] = []
  const first = Math.max(from, Math.min(to, tip - limits.ringBlocks + 1))
  for (let start = first; start <= to; start += limits.headersAtOnceMax) {
    const numbers = Array.from({ length: Math.min(limits.headersAtOnceMax, to - start + 1) }, (_, i) => start + i)
    blocks.push(...(await Promise.all(numbers.map((number) => requireBlock(rpc, number)))))
  }
  const isChain = blocks.every((block, index) => index === 0 || block.parentHash === blocks[index - 1]?.hash)
  if (!isChain) throw new EscrowError('reorg', 'the chain changed while it was read')
  return blocks
}

/** Adds the time of its block to each log, and checks that the block is the one the chain has at that height. */
async function addTimes(rpc: Rpc, logs: UntimedLog[], blocks: Block[]): Promise<ContractLog[]> {
  const byNumber = new Map(blocks.map((block) => [block.number, block]))
  const timed: ContractLog[] = []
  for (const log of logs) {
    const block = byNumber.get(log.blockNumber) ?? (await requireBlock(rpc, log.blockNumber))
    byNumber.set(block.number, block)
    if (block.hash !== log.blockHash) throw new EscrowError('reorg', 'the chain changed while it was read')
    timed.push({ ...log, blockTimeMs: block.timeSeconds * 1000 })
  }
  return timed
}

async function assertSame(rpc: Rpc, known: KnownBlock | undefined): Promise<void> {
  if (!known || (await getBlock(rpc, known.number))?.hash === known.hash) return
  throw new EscrowError('reorg', 'the chain changed while it was read')
}

async function requireBlock(rpc: Rpc, number: number): Promise<Block> {
  const block = await getBlock(rpc, number)
  if (!block) throw new EscrowError('reorg', `block ${number} is gone`)
  return block
}

function isSameLog(a: ContractLog, b: ContractLog): boolean {
  return a.txHash === b.txHash && a.logIndex === b.logIndex && a.blockHash === b.blockHash
}

function checkedId(id: Hex): Hex {
  if (!isHex(id, 32)) throw new EscrowError('bad-order', 'an order id is 32 bytes')
  return id.toLowerCase() as Hex
}
