import { Interface, isError } from 'ethers'
import { EscrowError } from './errors.ts'
import { escrowAbi } from './generated/artefact.ts'
import type { Hex } from './order.ts'
import { revertData, type Rpc } from './rpc.ts'

export const escrowInterface = new Interface(escrowAbi)

/** The part of ERC-20 that paying needs. */
export const tokenInterface = new Interface([
  'function allowance(address owner, address spender) view returns (uint256)',
  'function approve(address spender, uint256 amount) returns (bool)',
  'function balanceOf(address owner) view returns (uint256)'
])

/** The part of ERC-1271 that checking a contract's signature needs. */
export const contractSignerInterface = new Interface([
  'function isValidSignature(bytes32 hash, bytes signature) view returns (bytes4)'
])

/** Asks a contract. @throws {@link EscrowError} `refused` or `rpc`. */
export async function callView(
  rpc: Rpc,
  { abi, to, name, args }: { abi: Interface; to: Hex; name: string; args: readonly unknown[] }
): Promise<unknown[]> {
  try {
    const answer = await rpc.send('eth_call', [{ to, data: abi.encodeFunctionData(name, args) }, 'latest'])
    return abi.decodeFunctionResult(name, answer as string).toArray()
  } catch (error) {
    throw explain(error)
  }
}

/** What ethers reports when a call would revert, or an endpoint fails, in this package's words. */
export function explain(error: unknown): EscrowError {
  if (error instanceof EscrowError) return error
  if (isError(error, 'INSUFFICIENT_FUNDS')) {
    return new EscrowError('insufficient-funds', 'the payer cannot pay for amount and gas', { cause: error })
  }
  const data = revertData(error)
  if (data === undefined) return new EscrowError('rpc', `the chain endpoint failed: ${String(error)}`, { cause: error })
  const contractError = nameOfError(data)
  const message = `the contract would refuse: ${contractError ?? data}`
  return new EscrowError('refused', message, { cause: error, ...(contractError ? { contractError } : {}) })
}

function nameOfError(data: Hex): string | undefined {
  return data.length < 10 ? undefined : (escrowInterface.parseError(data)?.name ?? undefined)
}
