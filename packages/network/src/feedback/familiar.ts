import { sha256 } from '../sha256.ts'
import { familiarMax } from './limits.ts'

/**
 * Bytes of records that a shelf has checked and holds, as far as it remembers: whoever brings the same ones again is
 * answered before anything is decoded. Checking them would take three signatures.
 */
export class Familiar {
  /** When each expires, by what its bytes hash to. */
  readonly #expiries = new Map<string, number>()
  /** What its bytes hash to, by the digest of its id. */
  readonly #names = new Map<string, string>()

  has(bytes: Uint8Array, nowMs: number): boolean {
    return (this.#expiries.get(nameOf(bytes)) ?? 0) > nowMs
  }

  /** @param digest - That of the record's id, hexadecimal. */
  add(digest: string, { bytes, expiresAtMs }: { bytes: Uint8Array; expiresAtMs: number }): void {
    this.forget(digest)
    const name = nameOf(bytes)
    this.#expiries.set(name, expiresAtMs)
    this.#names.set(digest, name)
    const [oldest] = this.#names.keys()
    if (this.#names.size > familiarMax && oldest !== undefined) this.forget(oldest)
  }

  forget(digest: string): void {
    this.#expiries.delete(this.#names.get(digest) ?? '')
    this.#names.delete(digest)
  }
}

function nameOf(bytes: Uint8Array): string {
  const hash = sha256(bytes)
  return Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString('latin1')
}
