import { FetchRequest, isError, JsonRpcProvider, Network, toQuantity } from 'ethers'
import { EscrowError } from './errors.ts'
import { rpcTimeoutMs } from './limits.ts'
import { isHex, type Hex } from './order.ts'

/** The least of a chain connection: JSON-RPC. An ethers `JsonRpcProvider` is one, an EIP-1193 provider nearly. */
export interface Rpc {
  send(method: string, params: unknown[]): Promise<unknown>
}

export interface RpcConnection extends Rpc, Disposable {
  readonly url: string
}

export interface Block {
  number: number
  hash: Hex
  parentHash: Hex
  timeSeconds: number
  baseFeePerGas: bigint
}

/**
 * An ethers provider that asks nothing by itself: no network detection, no batching, no cache, so an answer is as old
 * as its question. Requests time out after {@link rpcTimeoutMs}.
 */
export function connectRpc(url: string, { chainId }: { chainId: number }): RpcConnection {
  const request = new FetchRequest(url)
  request.timeout = rpcTimeoutMs
  const network = Network.from(chainId)
  const provider = new JsonRpcProvider(request, network, { staticNetwork: true, batchMaxCount: 1, cacheTimeout: -1 })
  return {
    url,
    send: (method, params) => provider.send(method, params),
    [Symbol.dispose]: () => provider.destroy()
  }
}

/** Sends a request whose answer must be a hex quantity that fits a safe integer. */
export async function sendForNumber(rpc: Rpc, method: string, params: unknown[] = []): Promise<number> {
  return parseNumber(await rpc.send(method, params), method)
}

/** The header of a block, or undefined if this endpoint does not have it. */
export async function getBlock(rpc: Rpc, tag: number | 'latest'): Promise<Block | undefined> {
  const params = [typeof tag === 'number' ? toQuantity(tag) : tag, false]
  const answer = await rpc.send('eth_getBlockByNumber', params)
  if (answer === null) return undefined
  const { number, hash, parentHash, timestamp, baseFeePerGas = '0x0' } = record(answer, 'block')
  if (!isHex(hash, 32) || !isHex(parentHash, 32)) throw badAnswer('block hash')
  const block = {
    number: parseNumber(number, 'block number'),
    hash,
    parentHash,
    timeSeconds: parseNumber(timestamp, 'block time'),
    baseFeePerGas: parseBigInt(baseFeePerGas, 'base fee')
  }
  if (typeof tag === 'number' && block.number !== tag) throw badAnswer(`block ${tag}`)
  return block
}

/** Reads a hex quantity from an answer. */
export function parseNumber(value: unknown, what: string): number {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{1,13}$/.test(value)) throw badAnswer(what)
  return Number(value)
}

/** Reads a hex quantity of up to 256 bits from an answer. */
export function parseBigInt(value: unknown, what: string): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{1,64}$/.test(value)) throw badAnswer(what)
  return BigInt(value)
}

/** Reads an object from an answer. */
export function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badAnswer(what)
  return value as Record<string, unknown>
}

export function badAnswer(what: string): EscrowError {
  return new EscrowError('bad-rpc-answer', `the chain endpoint gave no valid answer for ${what}`)
}

/** The revert data of a failed `eth_call` or `eth_estimateGas`, or undefined if it failed for another reason. */
export function revertData(error: unknown): Hex | undefined {
  if (!isError(error, 'CALL_EXCEPTION')) return undefined
  return (error.data ?? '0x') as Hex
}
