import { scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { decryptKeystoreJson, encryptKeystoreJson, hexlify, scrypt as ethersScrypt, Transaction, Wallet } from 'ethers'
import { EscrowError } from './errors.ts'
import { scryptMemoryBytesMax } from './limits.ts'
import type { Hex, TypedData } from './order.ts'

/** A transaction with all that a signer needs. */
export interface PayerTransaction {
  chainId: number
  nonce: number
  to: Hex
  data: Hex
  value: bigint
  gasLimit: bigint
  maxFeePerGas: bigint
  maxPriorityFeePerGas: bigint
}

/** How a payer hands its transaction over. */
export interface Hand {
  /**
   * A payer that holds the key calls this between signing and sending, and waits for it: whoever crashed here knows
   * the hash of what may be under way. A payer that only passes a wish on (browser wallet, hardware) cannot.
   */
  onSigned(signed: { hash: Hex; raw: Hex }): Promise<void>
  /** Sends a signed transaction to the chain. A payer with a connection of its own does not need it. */
  broadcast(raw: Hex): Promise<void>
  signal?: AbortSignal
}

/**
 * Whose money it is: a key in a file, a browser wallet (EIP-6963), a signer over HTTP (EIP-1193), or a person with a
 * second device. A payer uses the nonce it is given, or fails: two transactions of one nonce cannot both happen.
 */
export interface Payer {
  address(): Promise<Hex>
  signTypedData(data: TypedData): Promise<Hex>
  /** @returns The hash of the transaction, which need not be mined. */
  send(transaction: PayerTransaction, hand: Hand): Promise<Hex>
}

/** A key, as 32 bytes, or as encrypted JSON (Web3 Secret Storage, version 3) with its passphrase. */
export type PayerKey = Uint8Array | { json: string; passphrase: string }

/**
 * A payer that holds a secp256k1 key in memory.
 *
 * @throws {@link EscrowError} `bad-keystore` for a wrong passphrase, or what is not a key.
 */
export async function keystorePayer(key: PayerKey): Promise<Payer> {
  const wallet = await openWallet(key)
  return {
    address: async () => wallet.address.toLowerCase() as Hex,
    signTypedData: async ({ domain, types, value }) => (await wallet.signTypedData(domain, types, value)) as Hex,
    send: async (transaction, hand) => {
      const raw = (await wallet.signTransaction({ type: 2, ...transaction })) as Hex
      const hash = Transaction.from(raw).hash as Hex
      await hand.onSigned({ hash, raw })
      await hand.broadcast(raw)
      return hash
    }
  }
}

/** Encrypts a 32-byte key as Web3 Secret Storage version 3, which wallets of all makes can open. */
export async function encryptKey(key: Uint8Array, passphrase: string): Promise<string> {
  useNativeScrypt()
  const { address, privateKey } = await openWallet(key)
  return encryptKeystoreJson({ address, privateKey }, passphrase)
}

async function openWallet(key: PayerKey): Promise<Wallet> {
  try {
    if (key instanceof Uint8Array) return new Wallet(hexlify(key))
    useNativeScrypt()
    return new Wallet((await decryptKeystoreJson(key.json, key.passphrase)).privateKey)
  } catch (cause) {
    throw new EscrowError('bad-keystore', 'not a key, or not its passphrase', { cause })
  }
}

/** ethers' own scrypt is JavaScript: 3 s a keystore against 0.8 s. Registering twice is harmless. */
function useNativeScrypt(): void {
  const derive = promisify<Uint8Array, Uint8Array, number, object, Uint8Array>(scrypt)
  ethersScrypt.register(async (password, salt, N, r, p, dkLen) =>
    hexlify(await derive(password, salt, dkLen, { N, r, p, maxmem: scryptMemoryBytesMax }))
  )
}
