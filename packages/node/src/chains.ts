import type { Escrow, EscrowFact, EscrowStore, Hex, Payer, RpcConnection, Watcher } from '@souk/escrow'
import type { Storage, StorageOp, Sublevel } from '@souk/storage'
import type { ChainFact, LocalConfig } from '@souk/trading'
import type { ChainInit } from './config.ts'
import { NodeError } from './errors.ts'
import type { BalanceView, StatusView } from './node.ts'

/** What the escrow contract of one chain said, as this node's own watcher saw it: JSON, amounts as digits. */
export type FactRow = Omit<ChainFact, 'toSeller' | 'toBuyer'> & {
  readonly toSeller?: string
  readonly toBuyer?: string
  /** Only where `kind` is `funded`: what is in, and of which token. */
  readonly token?: string
  readonly amount?: string
  readonly buyer?: string
  readonly seller?: string
}

/** One chain that this node settles on. */
export interface Chain {
  readonly init: ChainInit
  readonly escrow: Escrow
  /** Everything the watcher knows about one order of the contract. */
  factsOf(escrowId: string): Promise<FactRow[]>
  state(): Promise<StatusView['chains'][number]>
  /** @param options.owner - Lower-case address. */
  balances(options: { owner: string }): Promise<BalanceView[]>
}

export interface Chains extends AsyncDisposable {
  readonly all: readonly Chain[]
  /** @throws {@link NodeError} `no-chain`. */
  get(chain: string): Chain
  /** Reads the chains from now on, and finishes payments that a crash interrupted. */
  start(): void
}

/** What terms are held against: the chains and tokens that this node settles on, and its clock. */
export function localConfigOf(chains: Pick<Chains, 'all'>, nowMs: number): LocalConfig {
  return {
    nowMs,
    chains: chains.all.map(({ init: { chain, contract, tokens } }) => ({
      chain,
      contract,
      tokens: tokens.map(({ address, orderMax }) => ({
        address,
        ...(orderMax === undefined ? {} : { amountMax: orderMax })
      }))
    }))
  }
}

export interface ChainsComponents {
  readonly storage: Pick<Storage, 'sublevel' | 'batch'>
  /** 32-byte secp256k1 private key. */
  readonly walletKey: Uint8Array
  /** Told of facts before the watcher moves on; a fact may be told again after a crash. `undefined` takes it back. */
  readonly onFact: (escrowId: string, fact: { readonly id: string; readonly row: FactRow | null }) => Promise<void>
  readonly onError: (error: unknown) => void
}

/** Opens the chains of the configuration. Without any, nothing of the escrow package is loaded. */
export async function createChains(
  components: ChainsComponents,
  init: { chains: readonly ChainInit[]; now: () => number }
): Promise<Chains> {
  if (init.chains.length === 0) return gather([])
  const library = await import('@souk/escrow')
  const payer = await library.keystorePayer(components.walletKey)
  return gather(init.chains.map((chain) => openChain({ ...components, library, payer }, chain)))
}

type Library = typeof import('@souk/escrow')

interface OpenedChain extends Chain, AsyncDisposable {
  start(): void
}

function gather(all: readonly OpenedChain[]): Chains {
  return {
    all,
    get(name) {
      const chain = all.find(({ init }) => init.chain === name)
      if (chain === undefined) throw new NodeError('no-chain', `this node does not settle on ${name}`)
      return chain
    },
    start: () => all.forEach((chain) => chain.start()),
    async [Symbol.asyncDispose]() {
      for (const chain of all) await chain[Symbol.asyncDispose]()
    }
  }
}

function openChain(components: ChainsComponents & { library: Library; payer: Payer }, init: ChainInit): OpenedChain {
  const { library, payer, storage, onFact, onError } = components
  const chainId = Number(init.chain.split(':')[1])
  const contract = init.contract.toLowerCase() as Hex
  const rpcs = init.rpcUrls.map((url) => library.connectRpc(url, { chainId }))
  const [provider] = rpcs
  if (provider === undefined) throw new NodeError('no-chain', `name at least one RPC endpoint of ${init.chain}`)
  const store = keptTwice(storage, `escrow-${chainId}`)
  const facts = storage.sublevel<FactRow>(`facts-${chainId}`, { values: 'json' })
  const escrow = library.createEscrow(
    { provider, payer, store: store },
    { chainId, contract, confirmations: init.confirmations, maxAmountByToken: capsOf(init) }
  )
  const watcher = library.createWatcher(
    {
      rpcs: rpcs as [RpcConnection, ...RpcConnection[]],
      store: store,
      onFacts: async (seen, undone) => {
        for (const fact of undone) await tell(onFact, fact, null)
        for (const fact of seen) await tell(onFact, fact, rowOf(fact))
        return [
          ...undone.flatMap((fact) => opOf(facts, fact, null)),
          ...seen.flatMap((fact) => opOf(facts, fact, rowOf(fact)))
        ]
      },
      onError
    },
    {
      chainId,
      contract,
      fromBlock: init.fromBlock ?? 0,
      confirmations: init.confirmations,
      ...(init.pollMs === undefined ? {} : { pollMs: init.pollMs })
    }
  )
  return {
    init,
    escrow,
    factsOf: (escrowId) => facts.values({ gte: `${escrowId}/`, lt: `${escrowId}0` }).all(),
    state: () => stateOf({ library, provider, watcher }, init),
    balances: ({ owner }) => Promise.all(init.tokens.map((token) => balanceOf(provider, { init, token, owner }))),
    start() {
      watcher.start()
      escrow.resume().catch(onError)
    },
    async [Symbol.asyncDispose]() {
      await watcher[Symbol.asyncDispose]()
      for (const rpc of rpcs) rpc[Symbol.dispose]()
    }
  }
}

/** Writes by way of the store, which keeps a second copy of what has to be on the platter: here, money under way. */
function keptTwice(storage: ChainsComponents['storage'], name: string): EscrowStore {
  const rows = storage.sublevel<unknown>(name, { values: 'json' })
  return {
    get: (key) => rows.get(key),
    iterator: (range) => rows.iterator(range),
    batch: (operations, options) =>
      storage.batch(
        operations.map((operation) => ({ sublevel: rows, ...operation }) as StorageOp),
        options
      )
  }
}

/** A fact of the contract's as the order engine takes it. */
export function factOf(row: FactRow): ChainFact {
  const { toSeller, toBuyer, token: _token, amount: _amount, buyer: _buyer, seller: _seller, ...rest } = row
  return {
    ...rest,
    ...(toSeller === undefined ? {} : { toSeller: BigInt(toSeller) }),
    ...(toBuyer === undefined ? {} : { toBuyer: BigInt(toBuyer) })
  }
}

async function tell(
  onFact: ChainsComponents['onFact'],
  fact: EscrowFact,
  row: FactRow | null | undefined
): Promise<void> {
  if ('id' in fact && row !== undefined) await onFact(fact.id, { id: placeOf(fact), row })
}

function opOf(sublevel: Sublevel<FactRow>, fact: EscrowFact, row: FactRow | null | undefined): StorageOp[] {
  if (!('id' in fact) || row === undefined) return []
  const key = `${fact.id}/${placeOf(fact)}`
  return [row === null ? { type: 'del', sublevel, key } : { type: 'put', sublevel, key, value: row }]
}

function placeOf({ txHash, logIndex }: EscrowFact): string {
  return `${txHash}:${logIndex}`
}

/** Undefined for facts that are about a person and not about an order. */
function rowOf(fact: EscrowFact): FactRow | undefined {
  if (fact.kind === 'credited' || fact.kind === 'withdrawn') return undefined
  const { txHash: tx, logIndex, blockTimeMs, final } = fact
  const place = { escrowId: fact.id, kind: fact.kind, tx, logIndex, blockTimeMs, final }
  const deadline = 'deadlineSeconds' in fact ? { deadlineMs: fact.deadlineSeconds * 1000 } : {}
  switch (fact.kind) {
    case 'funded': {
      const { token, buyer, seller, amount } = fact
      return { ...place, ...deadline, token, buyer, seller, amount: amount.toString() }
    }
    case 'part-paid':
      return { ...place, toSeller: fact.toSeller.toString(), toBuyer: fact.toBuyer.toString() }
    case 'closed':
      return { ...place, status: fact.status, toSeller: fact.sellerGot.toString(), toBuyer: fact.buyerGot.toString() }
    default:
      return { ...place, ...deadline }
  }
}

function capsOf({ tokens }: ChainInit): ReadonlyMap<Hex, bigint> {
  return new Map(tokens.map(({ address, decimals, orderMax }) => [address as Hex, orderMax ?? defaultCap(decimals)]))
}

/** The contracts are unaudited: a thousand whole tokens an order unless the user says otherwise. */
function defaultCap(decimals: number): bigint {
  return 1000n * 10n ** BigInt(decimals)
}

async function stateOf(
  { library, provider, watcher }: { library: Library; provider: RpcConnection; watcher: Watcher },
  init: ChainInit
): Promise<StatusView['chains'][number]> {
  const { chain } = init
  try {
    await library.verifyDeployment(provider, {
      chainId: Number(chain.split(':')[1]),
      contract: init.contract.toLowerCase() as Hex
    })
    return {
      chain,
      state: 'ok',
      ...((await watcher.position()) === undefined ? {} : { block: (await watcher.position())?.number })
    }
  } catch (error) {
    const code = (error as { code?: string }).code
    return { chain, state: code === 'wrong-contract' || code === 'wrong-chain' ? 'wrong-contract' : 'unreachable' }
  }
}

const zeroAddress = `0x${'0'.repeat(40)}`

async function balanceOf(
  rpc: RpcConnection,
  { init, token, owner }: { init: ChainInit; token: ChainInit['tokens'][number]; owner: string }
): Promise<BalanceView> {
  const { address, symbol, decimals } = token
  const view = { chain: init.chain, token: address, symbol, decimals }
  try {
    const answer =
      address === zeroAddress
        ? await rpc.send('eth_getBalance', [owner, 'latest'])
        : await rpc.send('eth_call', [
            { to: address, data: `${balanceOfSelector}${owner.slice(2).padStart(64, '0')}` },
            'latest'
          ])
    return { ...view, available: BigInt(String(answer)).toString() }
  } catch {
    // Shown as unknown: no endpoint answers, or what it answers is no number.
    return view
  }
}

/** ERC-20 balanceOf(address). */
const balanceOfSelector = '0x70a08231'
