import { sha256 } from '@noble/hashes/sha2.js'
import { RecordError } from './errors.ts'
import { workBitsMax } from './limits.ts'

/**
 * Proof of work, a speed bump against bulk publishing. The proven value is
 * SHA-256(SHA-256(canonical body without `pow`) ‖ nonce as 8 bytes, big-endian), which must start with `bits` zeros.
 */
export interface Work {
  /** Leading zero bits that the author commits to. */
  readonly bits: number
  /** A non-negative safe integer. */
  readonly nonce: number
}

/** True when `work` holds for the body whose form without `pow` is `preimage`. */
export function checkWork(preimage: Uint8Array, work: Work): boolean {
  return zeroBits(sha256(challenge(sha256(preimage), work.nonce))) >= work.bits
}

/** Looks for a nonce; takes 2^bits hashes on average. Synchronous: callers run it where blocking is no harm. */
export function findWork(preimage: Uint8Array, bits: number): Work {
  if (!Number.isInteger(bits) || bits < 0 || bits > workBitsMax) {
    throw new RecordError('bad-work', `${bits} bits of work are asked; at most ${workBitsMax} are allowed`)
  }
  const digest = sha256(preimage)
  for (let nonce = 0; ; nonce++) {
    if (zeroBits(sha256(challenge(digest, nonce))) >= bits) return { bits, nonce }
  }
}

function challenge(digest: Uint8Array, nonce: number): Uint8Array {
  const input = new Uint8Array(40)
  input.set(digest)
  new DataView(input.buffer).setBigUint64(32, BigInt(nonce))
  return input
}

function zeroBits(hash: Uint8Array): number {
  const first = hash.findIndex((byte) => byte !== 0)
  return first === -1 ? hash.length * 8 : first * 8 + Math.clz32(hash[first] ?? 0) - 24
}
