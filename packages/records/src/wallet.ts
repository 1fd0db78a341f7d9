import { secp256k1 } from '@noble/curves/secp256k1.js'
import { keccak_256 } from '@noble/hashes/sha3.js'
import { bytesToHex } from '@noble/hashes/utils.js'

/**
 * The EVM address of a wallet key, in lower case: the last 20 bytes of Keccak-256 over the public key.
 *
 * @param walletKey - 32-byte secp256k1 private key.
 */
export function walletAddress(walletKey: Uint8Array): `0x${string}` {
  const publicKey = secp256k1.getPublicKey(walletKey, false).subarray(1)
  return `0x${bytesToHex(keccak_256(publicKey).subarray(12))}`
}
