/**
 * A trade whose money waits in a contract that nobody owns: the price is in euros, it is paid in a token that stands
 * for them, and the seller has it when the buyer has the goods. The chain is anvil, on this machine.
 *
 *     node --conditions=@souk/source examples/04-buy-through-escrow.ts
 */
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startChain } from '@souk/escrow/testing'
import { type ChainInit, createNode, createPhrase, identityFromPhrase, type SoukNode, until } from '@souk/node'

await using folder = await mkdtempDisposable(join(tmpdir(), 'souk-example-'))
await using chain = await startChain({ token: true, blockSeconds: 1 })

/** What a node believes is its own configuration: this chain, this contract, this token. */
const settledOn: ChainInit = {
  chain: `eip155:${chain.chainId}`,
  rpcUrls: [chain.url],
  contract: chain.escrow,
  confirmations: 1,
  pollMs: 200,
  tokens: [{ address: `${chain.token}`, symbol: 'tEUR', decimals: 6, pegs: 'EUR', orderMax: 100_000_000n }]
}

async function open(name: string, bootstrap: readonly string[]): Promise<SoukNode> {
  const network = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap }
  const identity = identityFromPhrase(createPhrase())
  const node = await createNode({ directory: join(folder.path, name), identity, network, chains: [settledOn] })
  await chain.send('anvil_setBalance', [node.wallet.address, '0xde0b6b3a7640000']) // one coin, for fees
  return node
}

await using seller = await open('seller', [])
await using buyer = await open('buyer', (await seller.status()).addresses)
await chain.mint(buyer.wallet.address, 50_000_000n)

/** Waits until both sides know for sure where the money is. */
async function reached(status: string): Promise<void> {
  for (const node of [seller, buyer])
    await until(node, async () =>
      (await node.orders.list()).some(({ escrow }) => escrow?.status === status && escrow.certainty === 'final')
    )
  const [[sold], [bought]] = await Promise.all([seller.wallet.balances(), buyer.wallet.balances()])
  console.log(`${status}: seller ${sold?.available}, buyer ${bought?.available}, in escrow ${bought?.locked}`)
}

const price = { minor: '1850', currency: 'EUR' }
await seller.listings.publish({ title: 'Red wooden bowl', category: 'hg', price, settlements: [{ kind: 'escrow' }] })
const bowl = await until(buyer, async () => (await buyer.search({ text: 'bowl' })).hits[0])
console.log(`before: buyer ${(await buyer.wallet.balances())[0]?.available}`)

// To buy by escrow is to consent to pay it: the buyer's node funds the contract by itself.
const { id } = await buyer.orders.buy({ listing: bowl.id, delivery: 'pick-up' })
await reached('funded')
await seller.orders.act(id, { action: 'accept' })
await until(buyer, async () => (await buyer.orders.get(id)).allowed.includes('confirm'))
await buyer.orders.act(id, { action: 'confirm' })
await reached('released')
