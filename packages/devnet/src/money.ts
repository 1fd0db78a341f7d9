import type { Stage } from './cast.ts'

/** Who has what, in the token's minor units. */
export interface Balances {
  readonly seller: bigint
  readonly buyer: bigint
  /** In the contract, of all orders together. */
  readonly escrow: bigint
}

/** Read from the chain itself, not from anybody's node. */
export async function readBalances({
  market,
  seller,
  buyer
}: Pick<Stage, 'market' | 'seller' | 'buyer'>): Promise<Balances> {
  const { chain } = market
  const [ofSeller, ofBuyer, ofEscrow] = await Promise.all(
    [seller.wallet, buyer.wallet, chain.escrow].map((owner) => chain.balanceOf(owner))
  )
  return { seller: ofSeller ?? 0n, buyer: ofBuyer ?? 0n, escrow: ofEscrow ?? 0n }
}

/** As people read it: `181.90 tEUR`. */
export function tokenText(minor: bigint): string {
  return `${minor / 1_000_000n}.${((minor % 1_000_000n) / 10_000n).toString().padStart(2, '0')} tEUR`
}
