import { sha256 } from '#platform'
import { RecordError } from './errors.ts'
import type { RecordKind } from './kinds.ts'
import { kindLimits, workBitsMax, workBitsMin, workUnitBytes, workUnitMs } from './limits.ts'

/**
 * Proof of work, a speed bump against bulk publishing. The proven value is
 * SHA-256(SHA-256(canonical body without `pow`) ‖ nonce as 8 bytes, big-endian), which must start with `bits` zeros.
 * The inner hash makes a try cost one block of SHA-256 whatever the size of the body.
 */
export interface Work {
  /** Leading zero bits that the author commits to. */
  readonly bits: number
  /** A non-negative safe integer. */
  readonly nonce: number
}

/** What the price of a record depends on. */
export interface Priced {
  readonly kind: RecordKind
  /** Of the signed record as it travels. */
  readonly bytes: number
  /** From `createdAt` to `expiresAt`. */
  readonly lifeMs: number
}

/**
 * The bits of work that an idle node asks of a stranger: by size × life, from 12 for 2 KiB that live 30 days one more
 * for each doubling. 12 for kinds bound to a receipt, however large and long-lived: 30 times that, for two years, would
 * be felt by who rates, and 12 cost who makes trades up more than they cost who checks them.
 * A policy that all nodes share, not validity.
 */
export function workFloor({ kind, bytes, lifeMs }: Priced): number {
  if (kindLimits[kind].receiptBound) return workBitsMin
  let bits = workBitsMin
  while (bytes * lifeMs > 2 ** (bits - workBitsMin) * workUnitBytes * workUnitMs) bits++
  return bits
}

/** True when `work` holds for the body whose form without `pow` is `preimage`. */
export function checkWork(preimage: Uint8Array, work: Work): boolean {
  const input = new Uint8Array(40)
  input.set(sha256(preimage))
  new DataView(input.buffer).setBigUint64(32, BigInt(work.nonce))
  return zeroBits(sha256(input)) >= work.bits
}

/** A search that can be left and taken up again, so that a program does other things in between. */
export interface WorkSearch {
  /** Tries the next so many nonces, 0.3 µs each on a laptop. The work as soon as one of them is it. */
  next(tries: number): Work | undefined
}

/**
 * Looks for a nonce; takes 2^bits tries on average.
 *
 * @throws {@link RecordError} `bad-work` for more than 32 bits.
 */
export function createWorkSearch(preimage: Uint8Array, bits: number): WorkSearch {
  if (!Number.isInteger(bits) || bits < 0 || bits > workBitsMax) {
    throw new RecordError('bad-work', `${bits} bits of work are asked; at most ${workBitsMax} are allowed`)
  }
  const leadingZeros = createTrial(sha256(preimage))
  let nonce = 0
  return {
    next(tries) {
      for (const end = nonce + tries; nonce < end; nonce++) {
        if (leadingZeros(nonce) >= bits) return { bits, nonce }
      }
      return undefined
    }
  }
}

/** {@link createWorkSearch} to its end. Blocks: callers run it where that is no harm. */
export function findWork(preimage: Uint8Array, bits: number): Work {
  const search = createWorkSearch(preimage, bits)
  for (;;) {
    const work = search.next(2 ** 20)
    if (work !== undefined) return work
  }
}

function zeroBits(hash: Uint8Array): number {
  const first = hash.findIndex((byte) => byte !== 0)
  return first === -1 ? hash.length * 8 : first * 8 + Math.clz32(hash[first] ?? 0) - 24
}

/**
 * SHA-256 (FIPS 180-4) of one block, digest ‖ nonce ‖ padding, of whose result only the first 32 bits are wanted:
 * three times as fast as a library, which cannot know that (docs/decisions/0111).
 *
 * @param digest - 32 bytes.
 * @returns A function from a nonce to the leading zero bits of its hash, 32 at most.
 */
function createTrial(digest: Uint8Array): (nonce: number) => number {
  const view = new DataView(digest.buffer, digest.byteOffset)
  const schedule = new Int32Array(64)
  for (let at = 0; at < 8; at++) schedule[at] = view.getInt32(4 * at)
  schedule[10] = 0x80000000
  schedule[15] = 40 * 8
  return (nonce) => {
    schedule[8] = Math.floor(nonce / 2 ** 32)
    schedule[9] = nonce
    extend(schedule)
    return Math.clz32(firstWord(schedule))
  }
}

/** The message schedule: the last 48 words from the first 16. */
function extend(schedule: Int32Array): void {
  for (let at = 16; at < 64; at++) {
    const x = schedule[at - 15] as number
    const y = schedule[at - 2] as number
    const sigma0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const sigma1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    schedule[at] = ((schedule[at - 16] as number) + sigma0 + (schedule[at - 7] as number) + sigma1) | 0
  }
}

/** The compression function on the initial state; the first word of the result. */
function firstWord(schedule: Int32Array): number {
  let a = 0x6a09e667
  let b = 0xbb67ae85 | 0
  let c = 0x3c6ef372
  let d = 0xa54ff53a | 0
  let e = 0x510e527f
  let f = 0x9b05688c | 0
  let g = 0x1f83d9ab
  let h = 0x5be0cd19
  for (let at = 0; at < 64; at++) {
    const sigma1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const t1 = (h + sigma1 + ((e & f) ^ (~e & g)) + (constants[at] as number) + (schedule[at] as number)) | 0
    const sigma0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    const t2 = sigma0 + ((a & b) ^ (a & c) ^ (b & c))
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  return (a + 0x6a09e667) | 0
}

/** FIPS 180-4 section 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const constants = Int32Array.of(
  0x428a2f98,
  0x71374491,
  0xb5c0fbcf,
  0xe9b5dba5,
  0x3956c25b,
  0x59f111f1,
  0x923f82a4,
  0xab1c5ed5,
  0xd807aa98,
  0x12835b01,
  0x243185be,
  0x550c7dc3,
  0x72be5d74,
  0x80deb1fe,
  0x9bdc06a7,
  0xc19bf174,
  0xe49b69c1,
  0xefbe4786,
  0x0fc19dc6,
  0x240ca1cc,
  0x2de92c6f,
  0x4a7484aa,
  0x5cb0a9dc,
  0x76f988da,
  0x983e5152,
  0xa831c66d,
  0xb00327c8,
  0xbf597fc7,
  0xc6e00bf3,
  0xd5a79147,
  0x06ca6351,
  0x14292967,
  0x27b70a85,
  0x2e1b2138,
  0x4d2c6dfc,
  0x53380d13,
  0x650a7354,
  0x766a0abb,
  0x81c2c92e,
  0x92722c85,
  0xa2bfe8a1,
  0xa81a664b,
  0xc24b8b70,
  0xc76c51a3,
  0xd192e819,
  0xd6990624,
  0xf40e3585,
  0x106aa070,
  0x19a4c116,
  0x1e376c08,
  0x2748774c,
  0x34b0bcb5,
  0x391c0cb3,
  0x4ed8aa4a,
  0x5b9cca4f,
  0x682e6ff3,
  0x748f82ee,
  0x78a5636f,
  0x84c87814,
  0x8cc70208,
  0x90befffa,
  0xa4506ceb,
  0xbef9a3f7,
  0xc67178f2
)
