import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPhrase, type Identity, identityFromPhrase } from '@souk/records'
import { type Chain, startChain } from '@souk/escrow/testing'
import { afterEach } from 'vitest'
import { type ChainInit, createNode, type NodeInit, type SoukNode, until as untilSeen } from '../src/index.ts'

/** What a test leaves behind, undone in reverse order. */
const left: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const undo of left.splice(0).toReversed()) await undo()
})

export async function makeDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'souk-node-'))
  left.push(() => rm(directory, { recursive: true, force: true }))
  return directory
}

export function makeIdentity(): Identity {
  return identityFromPhrase(createPhrase())
}

/** A node on loopback that is closed after the test; `near` are nodes that it knows from the start. */
export async function openNode(init: Partial<NodeInit> & { near?: readonly SoukNode[] } = {}): Promise<SoukNode> {
  const { near = [], ...rest } = init
  const bootstrap = (await Promise.all(near.map((node) => node.status()))).flatMap(({ addresses }) => addresses)
  const node = await createNode({
    directory: await makeDirectory(),
    identity: makeIdentity(),
    network: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, bootstrap },
    ...rest
  })
  left.push(async () => node[Symbol.asyncDispose]())
  return node
}

/** Asks again at each event of the node until there is an answer. */
export function until<T>(node: SoukNode, look: () => Promise<T | undefined | false>): Promise<T> {
  return untilSeen(node, look, { signal: AbortSignal.timeout(30_000) })
}

/** A chain with the escrow on it, and what a node needs to settle there. */
export async function openChain(): Promise<Chain & { init: ChainInit; token: `0x${string}` }> {
  const chain = await startChain({ token: true, blockSeconds: 1 })
  left.push(() => chain.stop())
  const token = chain.token as `0x${string}`
  const init: ChainInit = {
    chain: `eip155:${chain.chainId}`,
    rpcUrls: [chain.url],
    contract: chain.escrow.toLowerCase(),
    confirmations: 1,
    pollMs: 200,
    tokens: [{ address: token.toLowerCase(), symbol: 'tEUR', decimals: 6, pegs: 'EUR' }]
  }
  return Object.assign(chain, { init, token })
}

export const lamp = {
  title: 'A red lamp',
  description: 'Made of tin.',
  category: 'hg',
  price: { minor: '1500', currency: 'EUR' },
  quantity: 2,
  delivery: [{ kind: 'ship', price: '500', to: ['DE'], handlingDays: 2, transitDays: 3 }, { kind: 'pick-up' }]
} as const
