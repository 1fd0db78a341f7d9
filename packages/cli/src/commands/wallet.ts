import type { BalanceView } from '@souk/node'
import type { Command } from 'commander'
import type { Begin } from '../invocation.ts'
import { tokenText } from '../text.ts'

type Row = BalanceView & { readonly address: string }

export function addWallet(wallet: Command, begin: Begin): void {
  wallet
    .command('show')
    .description('address, and what is there and in escrow')
    .action(
      begin(async (run) => {
        const client = await run.client()
        const view = await client.call('GET /v1/wallet')
        const rows = view.balances.map((balance): Row => ({ ...balance, address: view.address }))
        const columns = [
          { name: 'chain', of: ({ chain }: Row) => chain },
          { name: 'symbol', of: ({ symbol }: Row) => symbol },
          { name: 'available', of: (row: Row) => tokenText(row.available, row), right: true },
          { name: 'locked', of: (row: Row) => tokenText(row.locked, row), right: true },
          { name: 'address', of: ({ address }: Row) => address }
        ]
        await run.out.list(rows, { columns }, { whole: view })
        if (rows.length === 0)
          run.out.note(`Address ${view.address}. No chain is configured: souk start --chain-config FILE`)
      })
    )
}
