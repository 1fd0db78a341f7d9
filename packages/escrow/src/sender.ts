import { isError, toQuantity } from 'ethers'
import { explain } from './abi.ts'
import { EscrowError } from './errors.ts'
import type { Attempt, Journal, JournalEntry } from './journal.ts'
import * as limits from './limits.ts'
import { isHex, type Hex } from './order.ts'
import { pause, throwIfAborted } from './pause.ts'
import type { Payer } from './payer.ts'
import { badAnswer, getBlock, parseBigInt, parseNumber, record, sendForNumber, type Rpc } from './rpc.ts'

/** A call that is to happen once. */
export interface SendRequest {
  /** The same key means the same call: asked for again, it is continued or its result returned, never repeated. */
  key: string
  to: Hex
  data: Hex
  value: bigint
  /**
   * Whether the chain already shows what this call is for. Asked only when its nonce was used by a transaction that
   * the journal does not know: another device with the same key, or a wallet that gave up its hash.
   */
  isDone(): Promise<boolean>
}

export interface SendOptions {
  signal?: AbortSignal
  /** When to return: once it is in a block (default), or once it is final. */
  until?: 'mined' | 'final'
}

/** What became of a transaction. */
export interface SendResult {
  key: string
  /** Undefined if its effect was found on chain, brought about by a transaction of another device. */
  hash: Hex | undefined
  blockNumber: number | undefined
  gasUsed: bigint | undefined
  final: boolean
}

export interface Sender {
  send(request: SendRequest, options?: SendOptions): Promise<SendResult>
  /**
   * Compares the journal with the chain, once: what was mined meanwhile, what was reorganised away, what must be sent
   * again. To be called at start and now and then.
   *
   * @returns What is still unfinished.
   */
  resume(options?: { signal?: AbortSignal }): Promise<JournalEntry[]>
}

export interface SenderTiming {
  receiptPollMs: number
  receiptTimeoutMs: number
  replaceAfterMs: number
}

export interface SenderInit {
  chainId: number
  /** Blocks, the transaction's own included, after which a receipt is final. */
  confirmations: number
  timing?: Partial<SenderTiming>
}

interface Receipt {
  hash: Hex
  block: { number: number; hash: Hex }
  reverted: boolean
  gasUsed: string
}

/**
 * Sends transactions of one payer so that a crash between any two steps repeats nothing: each step is in the journal
 * before the next begins, all attempts of one entry share one nonce, and only one call at a time takes a nonce.
 */
export function createSender(
  { rpc, payer, journal, now = Date.now }: { rpc: Rpc; payer: Payer; journal: Journal; now?: () => number },
  init: SenderInit
): Sender {
  const { receiptPollMs, receiptTimeoutMs, replaceAfterMs } = limits
  const timing = { receiptPollMs, receiptTimeoutMs, replaceAfterMs, ...init.timing }
  const exclusively = createLock()

  const send = async (request: SendRequest, options: SendOptions = {}): Promise<SendResult> => {
    throwIfAborted(options.signal)
    let entry = await exclusively(() => begin(request, options))
    const deadlineMs = now() + timing.receiptTimeoutMs
    const until = options.until ?? 'mined'
    while (!isReached(entry, until)) {
      if (now() > deadlineMs)
        throw new EscrowError('timeout', `${request.key}: not ${until} yet, call again to wait on`)
      await pause(timing.receiptPollMs, options.signal)
      entry = await exclusively(() => advance(entry, request, options))
    }
    if (entry.reverted) throw new EscrowError('reverted', `${request.key}: ${entry.hash} was mined and reverted`)
    return resultOf(entry)
  }

  const begin = async (request: SendRequest, options: SendOptions): Promise<JournalEntry> => {
    const known = await journal.get(request.key)
    if (known && !isSameCall(known, request)) {
      throw new EscrowError('key-reused', `${request.key} was used for another call`)
    }
    // What was undone moved nothing: asked for again, it is tried again.
    if (!known || known.reverted) return signAndSend(await intend(request), options)
    const entry = await advance(known, request, options)
    if (entry.state === 'hash') await rebroadcast(entry)
    return entry
  }

  const intend = async (request: SendRequest): Promise<JournalEntry> => {
    const { key, to, data, value } = request
    const from = await payer.address()
    const gasLimit = await estimateGas(rpc, { from, to, data, value })
    const call = { key, from, to, data, value: value.toString(), gasLimit: gasLimit.toString() }
    return { ...call, state: 'intent', nonce: await nextNonce(from), attempts: [], createdAtMs: now() }
  }

  /** One step of the way: looks at the chain, and does what the entry's state asks for. */
  const advance = async (
    { key }: { key: string },
    request: SendRequest,
    options: SendOptions
  ): Promise<JournalEntry> => {
    const entry = (await journal.get(key)) as JournalEntry
    const seen = await look(entry)
    if (seen.state === 'mined' || seen.state === 'final') return seen
    if (await isNonceSpent(seen)) return replaceSpent(seen, request, options)
    if (seen.state === 'intent') return signAndSend(seen, options)
    const last = seen.attempts.at(-1) as Attempt
    const isOverdue = now() - last.sentAtMs > timing.replaceAfterMs
    return isOverdue && seen.attempts.length <= limits.replacementsMax ? signAndSend(seen, options) : seen
  }

  /** Writes down what the chain says of an entry. */
  const look = async (entry: JournalEntry): Promise<JournalEntry> => {
    if (entry.state === 'final') return entry
    const receipt = await findReceipt(rpc, entry.attempts)
    if (!receipt) {
      if (entry.state !== 'mined') return entry
      const { block: _block, hash: _hash, gasUsed: _gasUsed, reverted: _reverted, ...rest } = entry
      return save({ ...rest, state: 'hash' })
    }
    const tip = await sendForNumber(rpc, 'eth_blockNumber')
    const isFinal = tip - receipt.block.number + 1 >= init.confirmations
    if (entry.state === 'mined' && !isFinal && entry.block?.hash === receipt.block.hash) return entry
    return save({ ...entry, ...receipt, state: isFinal ? 'final' : 'mined' })
  }

  const isNonceSpent = async (entry: JournalEntry): Promise<boolean> => {
    if ((await transactionCount(rpc, entry.from, 'latest')) <= entry.nonce) return false
    return (await findReceipt(rpc, entry.attempts)) === undefined
  }

  /** None of our attempts can be mined any more: either the wish has come true otherwise, or it needs a new nonce. */
  const replaceSpent = async (
    entry: JournalEntry,
    request: SendRequest,
    options: SendOptions
  ): Promise<JournalEntry> => {
    if (await request.isDone()) return save({ ...entry, state: 'final' })
    return signAndSend(await intend(request), options)
  }

  /** Signs the next attempt and sends it. The hash is on disk before the transaction leaves. */
  const signAndSend = async (entry: JournalEntry, { signal }: SendOptions): Promise<JournalEntry> => {
    throwIfAborted(signal)
    const fees = await chooseFees(rpc, entry.attempts.at(-1))
    let current = entry
    if (entry.state === 'intent') current = await save({ ...entry, nonce: await freeNonce(entry) })
    const record = async (hash: Hex, raw?: Hex): Promise<void> => {
      if (current.attempts.some((attempt) => attempt.hash === hash)) return
      const attempt: Attempt = { hash, ...(raw ? { raw } : {}), ...asText(fees), sentAtMs: now() }
      current = await save({ ...current, state: 'hash', attempts: [...current.attempts, attempt] })
    }
    const { to, data, nonce } = current
    const transaction = { chainId: init.chainId, nonce, to, data, ...amountsOf(current), ...fees }
    try {
      const hash = await payer.send(transaction, {
        onSigned: ({ hash, raw }) => record(hash, raw),
        broadcast: (raw) => broadcast(rpc, raw),
        ...(signal ? { signal } : {})
      })
      await record(hash)
    } catch (error) {
      // Refused for good and known to nobody: a wish again, so that its nonce blocks nothing.
      if (isError(error, 'INSUFFICIENT_FUNDS')) {
        if (entry.attempts.length === 0) await save({ ...current, state: 'intent', attempts: [] })
      }
      throw explain(error)
    }
    return current
  }

  const rebroadcast = async ({ attempts }: JournalEntry): Promise<void> => {
    const raw = attempts.at(-1)?.raw
    if (raw) await broadcast(rpc, raw)
  }

  /** A wish keeps its nonce as long as nothing else has it: a wallet may have sent it already, and it must not happen twice. */
  const freeNonce = async (entry: JournalEntry): Promise<number> => {
    const open = await journal.unfinished(entry.from)
    const isTaken = open.some(
      (other) => other.key !== entry.key && other.nonce === entry.nonce && other.state !== 'intent'
    )
    const isSpent = (await transactionCount(rpc, entry.from, 'latest')) > entry.nonce
    return isTaken || isSpent ? nextNonce(entry.from) : entry.nonce
  }

  const nextNonce = async (from: Hex): Promise<number> => {
    const pending = await transactionCount(rpc, from, 'pending')
    const open = await journal.unfinished(from)
    const taken = open.filter(({ state }) => state === 'hash').map(({ nonce }) => nonce + 1)
    return Math.max(pending, ...taken)
  }

  const save = async (entry: JournalEntry): Promise<JournalEntry> => {
    const kept =
      entry.state === 'final' ? { ...entry, attempts: entry.attempts.map(({ raw: _raw, ...rest }) => rest) } : entry
    await journal.put(kept)
    return kept
  }

  const resume = async (options: { signal?: AbortSignal } = {}): Promise<JournalEntry[]> => {
    const entries = await journal.unfinished(await payer.address())
    for (const { key } of entries) {
      throwIfAborted(options.signal)
      await exclusively(async () => {
        const entry = await journal.get(key)
        if (!entry || entry.state === 'intent') return
        const seen = await look(entry)
        if (seen.state === 'hash' && !(await isNonceSpent(seen))) await rebroadcast(seen)
      })
    }
    return journal.unfinished(await payer.address())
  }

  return { send, resume }
}

/** A queue of one: the next task starts when the one before has ended, well or badly. */
export function createLock(): <Result>(task: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const result = last.then(task, task)
    last = result.catch(() => undefined)
    return result
  }
}

function isReached({ state, reverted }: JournalEntry, until: 'mined' | 'final'): boolean {
  return state === 'final' || (state === 'mined' && (until === 'mined' || reverted === true))
}

function resultOf({ key, hash, block, gasUsed, state }: JournalEntry): SendResult {
  return {
    key,
    hash,
    blockNumber: block?.number,
    gasUsed: gasUsed === undefined ? undefined : BigInt(gasUsed),
    final: state === 'final'
  }
}

/** The selector and the order; a signature after them may differ. */
function isSameCall(entry: JournalEntry, { to, data }: SendRequest): boolean {
  const head = 2 + 2 * (4 + 18 * 32)
  return entry.to === to && entry.data.slice(0, head) === data.slice(0, head)
}

function amountsOf({ value, gasLimit }: JournalEntry): { value: bigint; gasLimit: bigint } {
  return { value: BigInt(value), gasLimit: BigInt(gasLimit) }
}

interface Fees {
  maxFeePerGas: bigint
  maxPriorityFeePerGas: bigint
}

function asText({ maxFeePerGas, maxPriorityFeePerGas }: Fees): { maxFeePerGas: string; maxPriorityFeePerGas: string } {
  return { maxFeePerGas: maxFeePerGas.toString(), maxPriorityFeePerGas: maxPriorityFeePerGas.toString() }
}

/** Room for the base fee to double; above the last attempt by what clients demand of a replacement. */
async function chooseFees(rpc: Rpc, last: Attempt | undefined): Promise<Fees> {
  const tip = parseBigInt(await rpc.send('eth_maxPriorityFeePerGas', []), 'priority fee')
  const block = await getBlock(rpc, 'latest')
  if (!block) throw badAnswer('newest block')
  const market = { maxFeePerGas: 2n * block.baseFeePerGas + tip, maxPriorityFeePerGas: tip }
  if (!last) return market
  return {
    maxFeePerGas: max(market.maxFeePerGas, raise(last.maxFeePerGas)),
    maxPriorityFeePerGas: max(market.maxPriorityFeePerGas, raise(last.maxPriorityFeePerGas))
  }
}

function raise(fee: string): bigint {
  return (BigInt(fee) * limits.replaceFeePercent) / 100n + 1n
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

async function estimateGas(
  rpc: Rpc,
  { from, to, data, value }: { from: Hex; to: Hex; data: Hex; value: bigint }
): Promise<bigint> {
  try {
    const answer = await rpc.send('eth_estimateGas', [{ from, to, data, value: toQuantity(value) }])
    return (parseBigInt(answer, 'gas estimate') * limits.gasMarginPercent) / 100n
  } catch (error) {
    throw explain(error)
  }
}

async function transactionCount(rpc: Rpc, from: Hex, tag: 'latest' | 'pending'): Promise<number> {
  return sendForNumber(rpc, 'eth_getTransactionCount', [from, tag])
}

/** That the chain has it already, or that its nonce is spent, shows when receipts are looked for. */
async function broadcast(rpc: Rpc, raw: Hex): Promise<void> {
  try {
    await rpc.send('eth_sendRawTransaction', [raw])
  } catch (error) {
    const isKnown = /already known|already imported|known transaction/i.test(String(error))
    if (!isKnown && !isError(error, 'NONCE_EXPIRED') && !isError(error, 'REPLACEMENT_UNDERPRICED')) throw error
  }
}

async function findReceipt(rpc: Rpc, attempts: Attempt[]): Promise<Receipt | undefined> {
  for (const { hash } of attempts) {
    const answer = await rpc.send('eth_getTransactionReceipt', [hash])
    if (answer === null) continue
    const { blockNumber, blockHash, status, gasUsed } = record(answer, 'receipt')
    if (!isHex(blockHash, 32)) throw badAnswer('receipt')
    return {
      hash,
      block: { number: parseNumber(blockNumber, 'receipt block'), hash: blockHash },
      reverted: parseNumber(status, 'receipt status') === 0,
      gasUsed: parseBigInt(gasUsed, 'receipt gas').toString()
    }
  }
  return undefined
}
