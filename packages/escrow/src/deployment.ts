import { keccak256, ZeroHash, type Signer } from 'ethers'
import { EscrowError } from './errors.ts'
import { deployerAddress, escrowAddress, escrowCodeHash, escrowCreationCode } from './generated/artefact.ts'
import { receiptPollMs, receiptTimeoutMs } from './limits.ts'
import type { Deployment, Hex } from './order.ts'
import { sendForNumber, type Rpc } from './rpc.ts'
import { pause } from './pause.ts'

/**
 * Proves that this endpoint speaks for the configured chain and that the contract there is byte for byte the one
 * this package was built with.
 *
 * @throws {@link EscrowError} `wrong-chain` or `wrong-contract`.
 */
export async function verifyDeployment(rpc: Rpc, { chainId, contract }: Deployment): Promise<void> {
  const actual = await sendForNumber(rpc, 'eth_chainId')
  if (actual !== chainId) throw new EscrowError('wrong-chain', `endpoint is on chain ${actual}, not ${chainId}`)
  const code = await rpc.send('eth_getCode', [contract, 'latest'])
  if (typeof code !== 'string' || code === '0x') {
    throw new EscrowError('wrong-contract', `no code at ${contract} on chain ${chainId}`)
  }
  if (keccak256(code) !== escrowCodeHash) {
    throw new EscrowError('wrong-contract', `the code at ${contract} is not this version of Escrow`)
  }
}

/**
 * Puts the escrow on a chain, at {@link escrowAddress}, and proves it. Sends nothing if it is there already.
 *
 * @throws {@link EscrowError} `no-deployer` where the chain lacks the deterministic deployment proxy.
 */
export async function deployEscrow(signer: Signer, options?: { signal?: AbortSignal }): Promise<Hex> {
  await deployCode(signer, { code: escrowCreationCode, address: escrowAddress }, options)
  const rpc = rpcOf(signer)
  await verifyDeployment(rpc, { chainId: await sendForNumber(rpc, 'eth_chainId'), contract: escrowAddress })
  return escrowAddress
}

/** Creates `code` through the proxy with salt zero and waits until it stands at `address`. */
export async function deployCode(
  signer: Signer,
  { code, address }: { code: Hex; address: Hex },
  options?: { signal?: AbortSignal }
): Promise<void> {
  const rpc = rpcOf(signer)
  if (await hasCode(rpc, address)) return
  if (!(await hasCode(rpc, deployerAddress))) {
    throw new EscrowError('no-deployer', `no deployment proxy at ${deployerAddress} on this chain`)
  }
  await signer.sendTransaction({ to: deployerAddress, data: ZeroHash + code.slice(2) })
  const deadlineMs = Date.now() + receiptTimeoutMs
  while (!(await hasCode(rpc, address))) {
    if (Date.now() > deadlineMs) throw new EscrowError('timeout', `no code at ${address} yet`)
    await pause(receiptPollMs, options?.signal)
  }
}

async function hasCode(rpc: Rpc, address: Hex): Promise<boolean> {
  return (await rpc.send('eth_getCode', [address, 'latest'])) !== '0x'
}

function rpcOf(signer: Signer): Rpc {
  const provider = signer.provider as (Partial<Rpc> & object) | null
  if (typeof provider?.send !== 'function') throw new EscrowError('rpc', 'the signer has no JSON-RPC provider')
  return provider as Rpc
}
