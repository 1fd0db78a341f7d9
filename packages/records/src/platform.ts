/**
 * What each platform computes in its own way. `#platform` (package.json `imports`) is `platform-node.ts` under Node
 * and `platform-portable.ts` elsewhere; both answer alike, which `test/platform.test.ts` shows.
 */

/** The verification equation of one public key: encode(S·B − h·A) = R. Expects strict encodings. */
export interface Equation {
  (signature: Uint8Array, message: Uint8Array): boolean
  /** The same answer, computed beside the main thread where the platform has threads for it. */
  readonly aside: (signature: Uint8Array, message: Uint8Array) => Promise<boolean>
}

/** Cost of scrypt (RFC 7914 section 2): memory is 128·N·r bytes. */
export interface ScryptCost {
  /** A power of two. */
  readonly N: number
  readonly r: number
  readonly p: number
}
