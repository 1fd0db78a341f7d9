import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'

/**
 * The Ed25519 key of an installation, as libp2p wants it.
 *
 * @param seed - 32 random bytes, kept in an owner-only file; the same seed is the same peer id.
 */
export function peerKeyFromSeed(seed: Uint8Array): Promise<PrivateKey> {
  return generateKeyPairFromSeed('Ed25519', seed)
}

/** Reads a peer id as profiles and configuration name it; undefined for what is none. */
export function peerIdFrom(text: string): PeerId | undefined {
  try {
    return peerIdFromString(text)
  } catch {
    return undefined
  }
}
