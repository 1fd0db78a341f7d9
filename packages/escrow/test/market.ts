import { parseEther } from 'ethers'
import { MemoryLevel } from 'memory-level'
import {
  connectRpc,
  createEscrow,
  keystorePayer,
  zeroAddress,
  type Escrow,
  type EscrowInit,
  type EscrowOrder,
  type EscrowStore,
  type ExpectedOrder,
  type Payer,
  type Rpc
} from '@souk/escrow'
import type { Chain } from '@souk/escrow/testing'

/** What the tests of client and watcher share: parties on one chain, and orders between them. */
export interface Party {
  address: `0x${string}`
  payer: Payer
  store: EscrowStore
  escrow: Escrow
}

const day = 86_400n

export function memoryStore(): MemoryLevel<string, unknown> {
  return new MemoryLevel<string, unknown>({ valueEncoding: 'json' })
}

/** The n-th account of the chain, with an escrow and a journal of its own. */
export async function party(
  chain: Chain,
  index: number,
  init: Partial<EscrowInit> & { rpc?: Rpc; store?: EscrowStore; payer?: Payer } = {}
): Promise<Party> {
  const account = chain.accounts[index]
  if (!account) throw new Error(`no account ${index}`)
  const { rpc, store = memoryStore(), payer = await keystorePayer(account.privateKey), ...rest } = init
  const provider = rpc ?? connectRpc(chain.url, chain)
  const maxAmountByToken = new Map([[zeroAddress, parseEther('10')]])
  if (chain.token) maxAmountByToken.set(chain.token, 1_000_000_000n)
  const settings = { chainId: chain.chainId, contract: chain.escrow, maxAmountByToken, confirmations: 1 }
  const timing = { receiptPollMs: 10, receiptTimeoutMs: 20_000 }
  const escrow = createEscrow({ provider, payer, store }, { ...settings, timing, ...rest })
  return { address: account.address, payer, store, escrow }
}

let salt = 0n

/** An order between accounts 0 (buyer), 1 (seller) and 2 (arbiter) that has never been seen before. */
export async function makeOrder(chain: Chain, change: Partial<EscrowOrder> = {}): Promise<EscrowOrder> {
  const [buyer, seller, arbiter] = chain.accounts.map(({ address }) => address)
  if (!buyer || !seller || !arbiter) throw new Error('the chain has too few accounts')
  salt += 1n
  const termsHash = `0x${salt.toString(16).padStart(64, '0')}` as const
  return {
    buyer,
    seller,
    arbiter,
    token: zeroAddress,
    feeRecipient: zeroAddress,
    amount: parseEther('1'),
    buyerDeposit: 0n,
    sellerDeposit: 0n,
    acceptBy: (await chainTime(chain)) + 3n * day,
    notBefore: 0n,
    dispatchWindow: 3n * day,
    releaseWindow: 14n * day,
    depositWindow: 0n,
    rulingWindow: 7n * day,
    feeBps: 0n,
    arbiterFeeBps: 0n,
    defaultSellerBps: 5_000n,
    termsHash,
    ...change
  }
}

/** The terms that say exactly what the order says. */
export function termsOf(order: EscrowOrder, chain: Chain): ExpectedOrder {
  return { ...order, chainId: chain.chainId, contract: chain.escrow }
}

export async function chainTime(chain: Chain): Promise<bigint> {
  const block = (await chain.send('eth_getBlockByNumber', ['latest', false])) as { timestamp: string }
  return BigInt(block.timestamp)
}

export async function balance(chain: Chain, address: string): Promise<bigint> {
  return BigInt((await chain.send('eth_getBalance', [address, 'latest'])) as string)
}
