import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'

/**
 * The Ed25519 key of an installation, as libp2p wants it.
 *
 * @param seed - 32 random bytes, kept in an owner-only file; the same seed is the same peer id.
 */
export function peerKeyFromSeed(seed: Uint8Array): Promise<PrivateKey> {
  return generateKeyPairFromSeed('Ed25519', seed)
}
