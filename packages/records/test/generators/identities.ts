import { identityFromPhrase, nymFromKey, type RecordErrorCode, sealKeystore } from '@souk/records'
import { bytesToHex } from '@noble/hashes/utils.js'

export interface IdentityCase {
  readonly phrase: string
  readonly did: string
  readonly nym: string
  readonly publicKeyHex: string
  readonly nextKeyHashHex: string
  readonly walletKeyHex: string
  readonly backupKeyHex: string
  readonly messageKeyHex: string
}

/** Phrases that all of BIP-39's world knows: never keep anything under them. */
const phrases = [
  'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about',
  'legal winner thank year wave sausage worth useful legal winner thank yellow',
  'test test test test test test test test test test test junk',
  'hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay length'
]

const refused = [
  '',
  'abandon',
  'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon',
  'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abuot',
  'legal winner thank year wave sausage worth useful legal winner yellow thank'
]

export function identityVectors(): { valid: IdentityCase[]; invalid: { phrase: string; code: RecordErrorCode }[] } {
  return { valid: phrases.map(caseOf), invalid: refused.map((phrase) => ({ phrase, code: 'bad-phrase' as const })) }
}

function caseOf(phrase: string): IdentityCase {
  const { did, signer, nextKeyHash, walletKey, backupKey, messageKey } = identityFromPhrase(phrase)
  return {
    phrase,
    did,
    nym: nymFromKey(signer.publicKey),
    publicKeyHex: bytesToHex(signer.publicKey),
    nextKeyHashHex: bytesToHex(nextKeyHash),
    walletKeyHex: bytesToHex(walletKey),
    backupKeyHex: bytesToHex(backupKey),
    messageKeyHex: bytesToHex(messageKey)
  }
}

export interface KeystoreCase {
  readonly name: string
  /** The file, UTF-8. */
  readonly file: string
  readonly passphrase: string
}

export interface KeystoreVectors {
  readonly valid: readonly (KeystoreCase & { phrase: string })[]
  readonly invalid: readonly (KeystoreCase & { code: RecordErrorCode })[]
}

/** At the lowest cost, so that checking them takes no time. */
export async function keystoreVectors(): Promise<KeystoreVectors> {
  const passphrase = 'correct horse battery staple'
  const phrase = phrases[0] ?? ''
  const seal = async (words: string, secret: string): Promise<string> =>
    new TextDecoder().decode(await sealKeystore(words, secret, { log2N: 10, random: (length) => counted(length) }))
  const file = await seal(phrase, passphrase)
  const changed = (change: (fields: KeystoreFields) => unknown): string =>
    JSON.stringify(change(JSON.parse(file) as KeystoreFields))
  const invalid = (name: string, text: string, code: RecordErrorCode = 'bad-keystore') => ({
    name,
    file: text,
    passphrase,
    code
  })
  return {
    valid: [
      { name: 'twelve words', file, passphrase, phrase },
      {
        name: 'twenty-four words',
        file: await seal(phrases[3] ?? '', passphrase),
        passphrase,
        phrase: phrases[3] ?? ''
      },
      {
        name: 'a passphrase in NFD opens what NFC sealed',
        file: await seal(phrase, 'K\u00f6ln'),
        passphrase: 'Ko\u0308ln',
        phrase
      }
    ],
    invalid: [
      { name: 'another passphrase', file, passphrase: 'correct horse', code: 'wrong-passphrase' },
      invalid(
        'a bit of the cipher text flipped',
        changed((fields) => ({ ...fields, sealed: flip(fields.sealed) })),
        'wrong-passphrase'
      ),
      invalid(
        'another cost than it was sealed with',
        changed((fields) => ({ ...fields, scrypt: { ...fields.scrypt, log2N: 11 } })),
        'wrong-passphrase'
      ),
      invalid('no bytes', ''),
      invalid('no JSON', 'keystore'),
      invalid('a list', '[]'),
      invalid(
        'a later version',
        changed((fields) => ({ ...fields, version: 2 }))
      ),
      invalid(
        'a cost of 2^30',
        changed((fields) => ({ ...fields, scrypt: { ...fields.scrypt, log2N: 30 } }))
      ),
      invalid(
        'a cost of 2^1',
        changed((fields) => ({ ...fields, scrypt: { ...fields.scrypt, log2N: 1 } }))
      ),
      invalid(
        'a cost that is no whole number',
        changed((fields) => ({ ...fields, scrypt: { ...fields.scrypt, log2N: 10.5 } }))
      ),
      invalid(
        'a field more',
        changed((fields) => ({ ...fields, scrypt: { ...fields.scrypt, r: 1024 } }))
      ),
      invalid(
        'a salt of one byte',
        changed((fields) => ({ ...fields, scrypt: { ...fields.scrypt, salt: '00' } }))
      ),
      invalid(
        'a nonce of twelve bytes',
        changed((fields) => ({ ...fields, nonce: '00'.repeat(12) }))
      ),
      invalid('more than a kilobyte', `${' '.repeat(1024)}${file}`)
    ]
  }
}

interface KeystoreFields {
  readonly sealed: string
  readonly scrypt: object
}

/** 0, 1, 2, …: vectors repeat, secrets never do. */
function counted(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index)
}

function flip(hex: string): string {
  return `${hex.startsWith('0') ? '1' : '0'}${hex.slice(1)}`
}
