import { type Chain, startChain } from '@souk/escrow/testing'
import type { ChainInit } from '@souk/node'
import { blockSecondsDefault, coinsForFees, orderMax } from './limits.ts'
import type { Leash } from './leash.ts'

/** A local chain with the escrow contract and a token that stands for euros, six decimals. */
export interface TokenChain extends AsyncDisposable {
  readonly pid: number
  /** For a node's configuration. */
  readonly init: ChainInit
  /** Lower-case address. */
  readonly token: string
  readonly escrow: string
  /** Gives coins for fees, and so many minor units of the token. */
  fund(wallet: string, amount: bigint): Promise<void>
  /** Minor units of the token. */
  balanceOf(owner: string): Promise<bigint>
  readonly chain: Chain
}

/** Starts anvil and deploys. */
export async function startTokenChain(
  components: { leash: Leash },
  init: { blockSeconds?: number | undefined } = {}
): Promise<TokenChain> {
  const chain = await startChain({ token: true, accounts: 2 })
  components.leash.hold(chain.pid)
  // From here on blocks come at intervals, as on a public chain; deploying at that pace would take ten of them.
  await chain.send('evm_setIntervalMining', [init.blockSeconds ?? blockSecondsDefault])
  const token = String(chain.token).toLowerCase()
  const escrow = chain.escrow.toLowerCase()
  const balanceOf = async (owner: string): Promise<bigint> => {
    const data = `${balanceOfSelector}${owner.slice(2).padStart(64, '0')}`
    return BigInt(String(await chain.send('eth_call', [{ to: token, data }, 'latest'])))
  }
  return {
    pid: chain.pid,
    chain,
    token,
    escrow,
    init: {
      chain: `eip155:${chain.chainId}`,
      rpcUrls: [chain.url],
      contract: escrow,
      confirmations: 1,
      fromBlock: 0,
      pollMs: 500,
      tokens: [{ address: token, symbol: 'tEUR', decimals: 6, pegs: 'EUR', orderMax }]
    },
    balanceOf,
    async fund(wallet, amount) {
      await chain.send('anvil_setBalance', [wallet, `0x${coinsForFees.toString(16)}`])
      const before = await balanceOf(wallet)
      await chain.mint(wallet as `0x${string}`, amount)
      // A minted amount counts from its block on.
      await chain.mine()
      if ((await balanceOf(wallet)) !== before + amount) throw new TypeError(`minting for ${wallet} failed`)
    },
    async [Symbol.asyncDispose]() {
      await chain.stop()
      components.leash.release(chain.pid)
    }
  }
}

/** ERC-20 balanceOf(address). */
const balanceOfSelector = '0x70a08231'
