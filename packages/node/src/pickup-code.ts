import { hexToBytes } from '@noble/hashes/utils.js'
import { base32 } from 'multiformats/bases/base32'
import { NodeError } from './errors.ts'

/**
 * The code that people read out at the door: 26 characters of base32.
 *
 * @param secret - 16 bytes in hex.
 */
export function codeFromSecret(secret: string): string {
  return base32.baseEncode(hexToBytes(secret))
}

/**
 * Reads a code as people type it: spaces, hyphens and case do not matter.
 *
 * @returns 16 bytes.
 * @throws {@link NodeError} `bad-draft`.
 */
export function secretFromCode(code: string): Uint8Array {
  const letters = code.toLowerCase().replaceAll(/[\s-]/g, '')
  const secret = /^[a-z2-7]{26}$/.test(letters) ? base32.baseDecode(letters) : undefined
  if (secret?.length !== 16) throw new NodeError('bad-draft', 'this is no pick-up code; it has 26 letters and digits')
  return secret
}
