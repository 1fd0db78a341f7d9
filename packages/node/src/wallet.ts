import type { Chains } from './chains.ts'
import type { BalanceView, Wallet } from './node.ts'
import type { OrderDesk } from './orders.ts'

/** What this identity has on its chains, and what orders hold of it. */
export function createWallet(
  components: { chains: Chains; orders: Pick<OrderDesk, 'outlines' | 'get'> },
  init: { address: Wallet['address'] }
): Wallet {
  const { chains, orders } = components
  return {
    address: init.address,
    async balances() {
      const open = (await orders.outlines()).filter((order) => order.open && order.role === 'buyer')
      const bought = await Promise.all(open.map(({ id }) => orders.get(id)))
      const views = await Promise.all(chains.all.map((chain) => chain.balances({ owner: init.address })))
      return views.flat().map((view): BalanceView => {
        const held = bought.flatMap(({ escrow }) =>
          escrow?.chain === view.chain && escrow.token === view.token && isHeld(escrow.status)
            ? [BigInt(escrow.amount)]
            : []
        )
        return { ...view, locked: held.reduce((sum, amount) => sum + amount, 0n).toString() }
      })
    }
  }
}

function isHeld(status: string): boolean {
  return ['funded', 'accepted', 'dispatched', 'holding', 'disputed'].includes(status)
}
