/**
 * A chain of one's own for tests, demos and embedders: anvil on a free port, with the escrow in place.
 *
 * ```ts
 * await using chain = await startChain({ token: true })
 * const payer = await keystorePayer(chain.accounts[0].privateKey)
 * ```
 *
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { getBytes, HDNodeWallet, Interface, JsonRpcProvider, Network, NonceManager, toQuantity, Wallet } from 'ethers'
import { deployCode, deployEscrow } from './deployment.ts'
import { EscrowError } from './errors.ts'
import { escrowAddress, testTokenAbi, testTokenAddress, testTokenCreationCode } from './generated/artefact.ts'
import type { Hex } from './order.ts'

export interface ChainOptions {
  /** 31337 by default. */
  chainId?: number
  /** Funded accounts, 10 by default, 10,000 coins each. */
  accounts?: number
  /** Also deploys the test token and gives every account a million of it. */
  token?: boolean
  /** A block every so many seconds; by default one for each transaction. */
  blockSeconds?: number
}

export interface ChainAccount {
  address: Hex
  /** 32 bytes. Everybody knows anvil's keys: worth nothing outside. */
  privateKey: Uint8Array
}

export interface Chain extends AsyncDisposable {
  /** Of anvil: for whoever must end it when this process cannot. */
  readonly pid: number
  readonly url: string
  readonly chainId: number
  readonly accounts: readonly [ChainAccount, ...ChainAccount[]]
  /** The escrow's address, the same everywhere. */
  readonly escrow: Hex
  /** Six decimals, anyone may mint; undefined unless asked for. */
  readonly token: Hex | undefined
  /** Any JSON-RPC request, `anvil_…` and `evm_…` too. */
  send(method: string, params?: unknown[]): Promise<unknown>
  mine(blocks?: number): Promise<void>
  /** Moves the chain's clock on and makes a block there. */
  increaseTime(seconds: number): Promise<void>
  mint(to: Hex, amount: bigint): Promise<void>
  stop(): Promise<void>
}

/** One unit of the test token. */
const tokenUnit = 1_000_000n
/** What anvil derives its accounts from. */
const mnemonic = 'test test test test test test test test test test test junk'
/** An installed anvil answers in 50 ms; a cold disk takes longer. */
const startTimeoutMs = 20_000

/** Starts anvil, deploys, and answers when both are done. */
export async function startChain(options: ChainOptions = {}): Promise<Chain> {
  const { chainId = 31_337, accounts: count = 10 } = options
  const child = spawnAnvil({ ...options, chainId, accounts: count })
  try {
    const url = await listeningUrl(child)
    return await prepareChain({ child, url, chainId, accounts: deriveAccounts(count), token: options.token === true })
  } catch (error) {
    await stopChild(child)
    throw error
  }
}

/**
 * The binary of a Foundry tool, from the package of this platform. The tools' npm wrappers end with status 0 even when
 * the tool fails, and do not pass signals on.
 */
export function foundryBinary(tool: 'anvil' | 'forge'): string {
  const arch = process.arch === 'x64' ? 'amd64' : process.arch
  const platform = `@foundry-rs/${tool}-${process.platform}-${arch}`
  const file = process.platform === 'win32' ? `${tool}.exe` : tool
  return createRequire(wrapperOf(tool)).resolve(`${platform}/bin/${file}`)
}

/** The wrapper depends on the packages of all platforms: they are found from where it stands. */
function wrapperOf(tool: 'anvil' | 'forge'): string {
  const require = createRequire(import.meta.url)
  if (tool === 'anvil') return require.resolve('@foundry-rs/anvil/package.json')
  return require.resolve('@foundry-rs/forge/package.json')
}

function spawnAnvil({ chainId, accounts, blockSeconds }: ChainOptions): ChildProcess {
  const args = ['--host', '127.0.0.1', '--port', '0', '--chain-id', String(chainId), '--accounts', String(accounts)]
  if (blockSeconds !== undefined) args.push('--block-time', String(blockSeconds))
  return spawn(foundryBinary('anvil'), args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

function listeningUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => reject(new EscrowError('rpc', 'anvil did not start', { cause }))
    const timer = setTimeout(() => fail('timeout'), startTimeoutMs)
    child.once('error', fail)
    child.once('exit', (code) => fail(`exit status ${code}`))
    child.stderr?.resume()
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const address = /^Listening on (\S+)/.exec(line)?.[1]
      if (!address) return
      clearTimeout(timer)
      resolve(`http://${address}`)
    })
  })
}

interface Prepared {
  child: ChildProcess
  url: string
  chainId: number
  accounts: [ChainAccount, ...ChainAccount[]]
  token: boolean
}

async function prepareChain({ child, url, chainId, accounts, token }: Prepared): Promise<Chain> {
  const network = Network.from(chainId)
  const provider = new JsonRpcProvider(url, network, { staticNetwork: true, batchMaxCount: 1, cacheTimeout: -1 })
  provider.pollingInterval = 50
  const send = (method: string, params: unknown[] = []): Promise<unknown> => provider.send(method, params)
  const signer = new NonceManager(Wallet.fromPhrase(mnemonic, provider))
  const call = { from: accounts[0].address, to: testTokenAddress }
  const mint = async (to: Hex, amount: bigint): Promise<void> => {
    const data = new Interface(testTokenAbi).encodeFunctionData('mint', [to, amount])
    await send('eth_sendTransaction', [{ ...call, data }])
  }
  const stop = async (): Promise<void> => {
    provider.destroy()
    await stopChild(child)
  }
  await deployEscrow(signer)
  if (token) {
    await deployCode(signer, { code: testTokenCreationCode, address: testTokenAddress })
    for (const { address } of accounts) await mint(address, 1_000_000n * tokenUnit)
  }
  return {
    pid: child.pid ?? 0,
    url,
    chainId,
    accounts,
    escrow: escrowAddress,
    token: token ? testTokenAddress : undefined,
    send,
    mine: async (blocks = 1) => void (await send('anvil_mine', [toQuantity(blocks)])),
    increaseTime: async (seconds) => {
      await send('evm_increaseTime', [seconds])
      await send('evm_mine')
    },
    mint,
    stop,
    [Symbol.asyncDispose]: stop
  }
}

function deriveAccounts(count: number): [ChainAccount, ...ChainAccount[]] {
  const root = HDNodeWallet.fromPhrase(mnemonic, '', "m/44'/60'/0'/0")
  const accounts = Array.from({ length: count }, (_, index) => {
    const { address, privateKey } = root.deriveChild(index)
    return { address: address.toLowerCase() as Hex, privateKey: getBytes(privateKey) }
  })
  return accounts as [ChainAccount, ...ChainAccount[]]
}

function stopChild(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}
