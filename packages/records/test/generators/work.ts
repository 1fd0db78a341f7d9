import { bytesToHex } from '@noble/hashes/utils.js'
import { findWork, kindLimits, type Priced, workFloor } from '@souk/records'
import { dayMs } from './parts.ts'

/** The price of a record, and proofs: `nonce` is the first that reaches `bits`. */
export interface WorkVectors {
  readonly floors: readonly (Priced & { readonly bits: number })[]
  readonly proofs: readonly { readonly preimageHex: string; readonly bits: number; readonly nonce: number }[]
}

/** Sizes and lives on both sides of each step of the price. */
export function workVectors(): WorkVectors {
  const sizes = [300, 2048, 2049, 4096, 4097, 8192, 8193, 16_384]
  const lives = [1, dayMs, 15 * dayMs, 15 * dayMs + 1, 30 * dayMs]
  const priced = (['profile', 'listing', 'feedback'] as const).flatMap((kind) =>
    sizes
      .filter((bytes) => bytes <= kindLimits[kind].bytesMax)
      .flatMap((bytes) => lives.map((lifeMs): Priced => ({ kind, bytes, lifeMs })))
  )
  const preimages = ['', 'souk', 'x'.repeat(1000)].map((text) => new TextEncoder().encode(text))
  return {
    floors: priced.map((one) => ({ ...one, bits: workFloor(one) })),
    proofs: preimages.flatMap((preimage) =>
      [0, 1, 8, 12, 17].map((bits) => ({ preimageHex: bytesToHex(preimage), ...findWork(preimage, bits) }))
    )
  }
}
