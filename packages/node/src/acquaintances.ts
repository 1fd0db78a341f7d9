import { bytesToHex } from '@noble/hashes/utils.js'
import { type Did, keyFromDid } from '@souk/records'

/** Whose records get the larger quota on this node: people one has dealt with, and those whom one chose to trust. */
export interface Acquaintances {
  /** @param author - 32-byte public key. */
  has(author: Uint8Array): boolean
  add(did: Did): void
}

export function createAcquaintances(dids: Iterable<Did>): Acquaintances {
  const keys = new Set(Array.from(dids, (did) => bytesToHex(keyFromDid(did))))
  return {
    has: (author) => keys.has(bytesToHex(author)),
    add: (did) => void keys.add(bytesToHex(keyFromDid(did)))
  }
}
