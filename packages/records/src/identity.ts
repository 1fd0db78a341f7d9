import { importSigningKey } from '#platform'
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { HDKey as WalletKey } from '@scure/bip32'
import { generateMnemonic, mnemonicToSeedSync, validateMnemonic } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { HDKey as IdentityKey } from 'micro-key-producer/slip10.js'
import { base58btc } from 'multiformats/bases/base58'
import { RecordError } from './errors.ts'

/** An identity as the outside sees it: `did:key:z6Mk…`, an Ed25519 public key (did:key, multicodec 0xed). */
export type Did = `did:key:z6Mk${string}`

/** Signs for one identity. What holds the private key may be memory, a worker or a hardware token. */
export interface Signer {
  /** 32 bytes, Ed25519 (RFC 8032). */
  readonly publicKey: Uint8Array
  /** Returns 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}

/** All that one phrase makes. Keep it in memory only as long as it is used. */
export interface Identity {
  readonly did: Did
  readonly signer: Signer
  /** SHA-256 of the public key that comes after this one; goes into the profile so that a key can rotate. */
  readonly nextKeyHash: Uint8Array
  /** secp256k1 private key at m/44'/60'/0'/0/0 (BIP-44): the wallet. 32 bytes. */
  readonly walletKey: Uint8Array
  /** XChaCha20-Poly1305 key of backup files. 32 bytes. */
  readonly backupKey: Uint8Array
  /** X25519 private key that makes the keys of conversations, and opens nothing. 32 bytes. */
  readonly messageKey: Uint8Array
}

/** Hardened purpose of our own keys: the letters s-o-u-k as a number, so that no wallet derives the same. */
const purpose = 0x73_6f_75_6b

/** A new phrase of twelve English words (BIP-39, 128 bits from the platform's random source). */
export function createPhrase(): string {
  return generateMnemonic(wordlist, 128)
}

/**
 * Derives everything from a phrase. Takes tens of milliseconds (PBKDF2, 2,048 rounds).
 *
 * @throws {@link RecordError} `bad-phrase` when a word or the checksum is wrong.
 */
export function identityFromPhrase(phrase: string): Identity {
  const normalised = normalisePhrase(phrase)
  if (!validateMnemonic(normalised, wordlist)) {
    throw new RecordError('bad-phrase', 'a word is not in the BIP-39 list, or the words are in another order')
  }
  const seed = mnemonicToSeedSync(normalised)
  const root = IdentityKey.fromMasterSeed(seed)
  const key = (path: string): Uint8Array => new Uint8Array(root.derive(`m/${purpose}'/${path}`).privateKey)
  const signer = signerFromKey(key("0'/0'"))
  const wallet = WalletKey.fromMasterSeed(seed).derive("m/44'/60'/0'/0/0").privateKey
  if (wallet === null) throw new RecordError('bad-phrase', 'the phrase derives no wallet key')
  return {
    did: didFromKey(signer.publicKey),
    signer,
    nextKeyHash: sha256(ed25519.getPublicKey(key("0'/1'"))),
    walletKey: wallet,
    backupKey: key("1'/0'"),
    messageKey: key("2'/0'")
  }
}

/** The words as BIP-39 hashes them, whatever case and white space a person typed. */
export function normalisePhrase(phrase: string): string {
  return phrase.normalize('NFKD').trim().toLowerCase().split(/\s+/).join(' ')
}

/** A signer over a 32-byte Ed25519 seed held in memory. */
export function signerFromKey(privateKey: Uint8Array): Signer {
  const publicKey = ed25519.getPublicKey(privateKey)
  return { publicKey, sign: importSigningKey(privateKey, publicKey) }
}

/** @param publicKey - 32 bytes, Ed25519. */
export function didFromKey(publicKey: Uint8Array): Did {
  const prefixed = new Uint8Array(34)
  prefixed.set([0xed, 0x01])
  prefixed.set(publicKey, 2)
  return `did:key:${base58btc.encode(prefixed)}` as Did
}

/**
 * @returns 32 bytes, Ed25519.
 * @throws {@link RecordError} `bad-identity` when the text is not a did:key of an Ed25519 key.
 */
export function keyFromDid(did: string): Uint8Array {
  const bytes = decodeDid(did)
  if (bytes === undefined || bytes.length !== 34 || bytes[0] !== 0xed || bytes[1] !== 0x01) {
    throw new RecordError('bad-identity', `"${did.slice(0, 80)}" is not an identity; one looks like did:key:z6Mk…`)
  }
  return bytes.slice(2)
}

/** Two words that everybody derives alike from a key, so that an impersonator's differ at a glance. */
export function nymFromKey(publicKey: Uint8Array): string {
  const hash = sha256(publicKey)
  const word = (index: number): string => wordlist[(((hash[index] ?? 0) << 8) | (hash[index + 1] ?? 0)) % 2048] ?? ''
  return `${word(0)}-${word(2)}`
}

function decodeDid(did: string): Uint8Array | undefined {
  try {
    return did.startsWith('did:key:z') && did.length < 80 ? base58btc.decode(did.slice('did:key:'.length)) : undefined
  } catch {
    return undefined
  }
}
