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

/** One signature to verify, its encodings known to be strict. */
export interface Claim {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes. */
  readonly signature: Uint8Array
  readonly message: Uint8Array
}

/** Verifies many signatures at once, beside the main thread. */
export interface SignatureThread extends AsyncDisposable {
  /**
   * For each claim 1 where the signature holds and 0 where it does not. Nothing, at once or later, where there is no
   * thread or it is not worth while: then somebody else has to verify them. Never rejects.
   */
  verify(claims: readonly Claim[]): Promise<Uint8Array | undefined> | undefined
}

/** Cost of scrypt (RFC 7914 section 2): memory is 128·N·r bytes. */
export interface ScryptCost {
  /** A power of two. */
  readonly N: number
  readonly r: number
  readonly p: number
}
