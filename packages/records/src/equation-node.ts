import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { SignatureInput } from './signature.ts'

/** OpenSSL's Ed25519: computes encode(S·B − h·A) and compares it with R byte for byte. */
export function verifyEquation({ signature, message, publicKey }: SignatureInput): boolean {
  try {
    return verify(null, message, importKey(publicKey), signature)
  } catch {
    // OpenSSL throws for a key that is not a point on the curve: no signature can be valid under it.
    return false
  }
}

function importKey(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: publicKey, format: 'raw-public', asymmetricKeyType: 'ed25519' } as never)
}
