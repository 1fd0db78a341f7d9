import { deriveScrypt } from '#platform'
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import * as z from 'zod'
import { encodeCanonical } from './canonical.ts'
import { RecordError } from './errors.ts'
import { normalisePhrase } from './identity.ts'
import { keystoreBytesMax, scryptCostLog2, scryptCostLog2Max, scryptCostLog2Min } from './limits.ts'

const hex = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * length}}$`))

/**
 * A phrase at rest: JSON, so that a person who finds the file learns what it is. What is encrypted is the phrase's
 * entropy (16 to 32 bytes), whose length tells nothing about the words.
 */
const keystoreFile = z.strictObject({
  format: z.literal('souk-keystore'),
  version: z.literal(1),
  /** scrypt (RFC 7914) with r = 8, p = 1 and N = 2^log2N over the passphrase in NFKC, UTF-8. */
  scrypt: z.strictObject({ log2N: z.int().min(scryptCostLog2Min).max(scryptCostLog2Max), salt: hex(32) }),
  /** XChaCha20-Poly1305; the associated data is the canonical dag-cbor of all other fields. */
  nonce: hex(24),
  /** Cipher text, then the tag of 16 bytes. */
  sealed: z.string().regex(/^(?:[0-9a-f]{2}){32,48}$/)
})

type KeystoreFile = z.infer<typeof keystoreFile>

/**
 * Encrypts a phrase with a passphrase. Takes about 0.3 s and 128 MiB at the default cost, under Node off the main
 * thread.
 *
 * @param options.random - Source of salt and nonce: `length` unpredictable bytes. The platform's own by default.
 * @param options.log2N - Cost of scrypt; lower it for tests only.
 * @returns UTF-8 JSON, below 1 kB.
 * @throws {@link RecordError} `bad-phrase`.
 */
export async function sealKeystore(
  phrase: string,
  passphrase: string,
  options: { random?: (length: number) => Uint8Array; log2N?: number } = {}
): Promise<Uint8Array> {
  const { random = platformRandom, log2N = scryptCostLog2 } = options
  const header: Omit<KeystoreFile, 'sealed'> = {
    format: 'souk-keystore',
    version: 1,
    scrypt: { log2N, salt: bytesToHex(random(32)) },
    nonce: bytesToHex(random(24))
  }
  const cipher = await cipherOf(header, passphrase)
  const file: KeystoreFile = { ...header, sealed: bytesToHex(cipher.encrypt(entropyOf(phrase))) }
  return new TextEncoder().encode(`${JSON.stringify(file, undefined, 2)}\n`)
}

/**
 * Decrypts what {@link sealKeystore} wrote. The file is hostile until its tag holds: its cost is bounded before a
 * byte of memory is taken for it.
 *
 * @param bytes - The whole file.
 * @returns The phrase.
 * @throws {@link RecordError} `bad-keystore` when it is no keystore or asks for too much, `wrong-passphrase` when the
 * tag does not hold.
 */
export async function openKeystore(bytes: Uint8Array, passphrase: string): Promise<string> {
  const { sealed, ...header } = parseKeystore(bytes)
  const cipher = await cipherOf(header, passphrase)
  const entropy = decrypt(cipher, hexToBytes(sealed))
  try {
    return entropyToMnemonic(entropy, wordlist)
  } catch (cause) {
    throw new RecordError('bad-keystore', `a phrase has 16 to 32 bytes of entropy, not ${entropy.length}`, { cause })
  }
}

interface Cipher {
  encrypt(plain: Uint8Array): Uint8Array
  decrypt(sealed: Uint8Array): Uint8Array
}

async function cipherOf(header: Omit<KeystoreFile, 'sealed'>, passphrase: string): Promise<Cipher> {
  const password = new TextEncoder().encode(passphrase.normalize('NFKC'))
  const cost = { N: 2 ** header.scrypt.log2N, r: 8, p: 1 }
  const key = await deriveScrypt(password, hexToBytes(header.scrypt.salt), cost)
  return xchacha20poly1305(key, hexToBytes(header.nonce), encodeCanonical(header))
}

function decrypt(cipher: Cipher, sealed: Uint8Array): Uint8Array {
  try {
    return cipher.decrypt(sealed)
  } catch (cause) {
    throw new RecordError('wrong-passphrase', 'the passphrase is another one, or the keystore was changed', { cause })
  }
}

function parseKeystore(bytes: Uint8Array): KeystoreFile {
  if (bytes.length > keystoreBytesMax) {
    throw new RecordError('bad-keystore', `${bytes.length} bytes are more than the ${keystoreBytesMax} of a keystore`)
  }
  const result = keystoreFile.safeParse(parseJson(bytes))
  if (!result.success) {
    const issue = result.error.issues[0]
    throw new RecordError('bad-keystore', `not a keystore: ${issue?.path.map(String).join('.')} ${issue?.message}`)
  }
  return result.data
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new RecordError('bad-keystore', 'a keystore is UTF-8 JSON', { cause })
  }
}

function entropyOf(phrase: string): Uint8Array {
  try {
    return mnemonicToEntropy(normalisePhrase(phrase), wordlist)
  } catch (cause) {
    throw new RecordError('bad-phrase', 'a word is not in the BIP-39 list, or the words are in another order', {
      cause
    })
  }
}

function platformRandom(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length))
}
