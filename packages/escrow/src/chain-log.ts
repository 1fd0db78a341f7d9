import { toQuantity } from 'ethers'
import { decodeContent } from './facts.ts'
import { logsPerAnswerMax, topicsPerQuestionMax } from './limits.ts'
import { isHex, sameAddress, type Hex } from './order.ts'
import { badAnswer, parseNumber, record, type Rpc } from './rpc.ts'

/** A log of the escrow as an endpoint tells it, with the time of its block. JSON, so that it can be kept. */
export interface ContractLog {
  txHash: Hex
  logIndex: number
  blockNumber: number
  blockHash: Hex
  blockTimeMs: number
  topics: Hex[]
  data: Hex
}

export type UntimedLog = Omit<ContractLog, 'blockTimeMs'>

export interface LogRange {
  contract: Hex
  /** First and last block, both included. */
  from: number
  to: number
  /** Only these orders; all if absent. */
  ids?: readonly Hex[]
}

/**
 * The escrow's logs of a range, in order, each checked: of this contract, in this range, one that it can emit.
 *
 * @throws {@link EscrowError} `bad-rpc-answer`, or what the endpoint threw: the range may have been too large for it.
 */
export async function fetchLogs(rpc: Rpc, range: LogRange): Promise<UntimedLog[]> {
  const logs: UntimedLog[] = []
  for (const topics of topicFilters(range.ids)) {
    const { contract: address, from, to } = range
    const filter = { address, fromBlock: toQuantity(from), toBlock: toQuantity(to), topics }
    const answer = await rpc.send('eth_getLogs', [filter])
    if (!Array.isArray(answer) || answer.length > logsPerAnswerMax) throw badAnswer('logs')
    logs.push(...answer.map((log) => parseLog(log, range)))
  }
  return logs.toSorted(inOrder)
}

/** For sorting: as the chain has them. */
export function inOrder(a: UntimedLog, b: UntimedLog): number {
  return a.blockNumber - b.blockNumber || a.logIndex - b.logIndex
}

/** Whether two endpoints told the same. */
export function sameLogs(a: readonly UntimedLog[], b: readonly UntimedLog[]): boolean {
  return a.length === b.length && a.every((log, index) => fingerprint(log) === fingerprint(b[index] as UntimedLog))
}

function fingerprint({ txHash, logIndex, blockHash, topics, data }: UntimedLog): string {
  return [txHash, logIndex, blockHash, ...topics, data].join('|').toLowerCase()
}

/** All events have the order's id as their first topic, but for the two that belong to a person. */
function topicFilters(ids: readonly Hex[] | undefined): (Hex[] | null)[][] {
  if (!ids) return [[]]
  const filters = []
  for (let start = 0; start < ids.length; start += topicsPerQuestionMax) {
    filters.push([null, ids.slice(start, start + topicsPerQuestionMax)])
  }
  return filters
}

function parseLog(value: unknown, { contract, from, to }: LogRange): UntimedLog {
  const { address, topics, data, blockNumber, blockHash, transactionHash, logIndex } = record(value, 'log')
  const number = parseNumber(blockNumber, 'log block')
  const isOurs = typeof address === 'string' && sameAddress(address, contract) && number >= from && number <= to
  if (!isOurs || !isHex(blockHash, 32) || !isHex(transactionHash, 32)) throw badAnswer('log')
  if (!Array.isArray(topics) || topics.length > 4 || !topics.every((topic) => isHex(topic, 32))) throw badAnswer('log')
  if (typeof data !== 'string' || !/^0x([0-9a-fA-F]{64}){0,8}$/.test(data)) throw badAnswer('log data')
  const log = {
    txHash: transactionHash,
    logIndex: parseNumber(logIndex, 'log index'),
    blockNumber: number,
    blockHash,
    topics,
    data: data as Hex
  }
  decodeContent(log)
  return log
}
