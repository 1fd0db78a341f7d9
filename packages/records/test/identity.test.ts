import { createHmac, hkdfSync } from 'node:crypto'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import {
  createPhrase,
  didFromKey,
  identityFromPhrase,
  keyFromDid,
  nymFromKey,
  signerFromKey,
  verifySignature
} from '@souk/records'
import { mnemonicToSeedSync } from '@scure/bip39'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as native from '../src/platform-node.ts'
import * as portable from '../src/platform-portable.ts'

const keys = fc.uint8Array({ minLength: 32, maxLength: 32 })

/** SLIP-0010 for Ed25519 in ten lines, to check the library's and our path against. */
function slip10(seed: Uint8Array, path: readonly number[]): Uint8Array {
  const hmac = (key: Uint8Array | string, data: Uint8Array): Buffer => createHmac('sha512', key).update(data).digest()
  return path
    .reduce(
      (parent, index) => {
        const data = Buffer.alloc(37)
        data.set(parent.subarray(0, 32), 1)
        data.writeUInt32BE(index + 2 ** 31, 33)
        return hmac(parent.subarray(32), data)
      },
      hmac('ed25519 seed', seed)
    )
    .subarray(0, 32)
}

describe('derivation', () => {
  test.each([
    [[], '2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7'],
    [[0], '68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3'],
    [[0, 1], 'b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2']
  ])('the check itself agrees with SLIP-0010, test vector 1, path %j', (path, key) => {
    expect(bytesToHex(slip10(hexToBytes('000102030405060708090a0b0c0d0e0f'), path))).toBe(key)
  })

  test('identity, next, backup and message keys are at their paths', () => {
    const phrase = createPhrase()
    const seed = mnemonicToSeedSync(phrase)
    const purpose = Buffer.from('souk').readUInt32BE()
    const identity = identityFromPhrase(phrase)
    const at = (...path: number[]): Uint8Array => slip10(seed, [purpose, ...path])
    expect(identity.signer.publicKey).toEqual(signerFromKey(at(0, 0)).publicKey)
    expect(identity.nextKeyHash).toEqual(native.sha256(signerFromKey(at(0, 1)).publicKey))
    expect(identity.backupKey).toEqual(new Uint8Array(at(1, 0)))
    expect(identity.messageKey).toEqual(new Uint8Array(at(2, 0)))
  })

  test('the wallet is the one that Ethereum wallets derive', () => {
    const { walletKey } = identityFromPhrase('test test test test test test test test test test test junk')
    expect(bytesToHex(walletKey)).toBe('ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80')
  })

  test('two phrases are two identities, of twelve words each', () => {
    const [one, two] = [createPhrase(), createPhrase()]
    expect(one.split(' ')).toHaveLength(12)
    expect(identityFromPhrase(one).did).not.toBe(identityFromPhrase(two).did)
  })
})

describe('did:key', () => {
  test('a key that the specification lists', () => {
    const key = hexToBytes('3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29')
    expect(didFromKey(key)).toBe('did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp')
  })

  test('any key comes back', () => {
    fc.assert(
      fc.property(keys, (key) => {
        expect(keyFromDid(didFromKey(key))).toEqual(key)
      })
    )
  })

  test.each([
    '',
    'did:key:',
    'did:key:z',
    'did:web:example.org',
    'z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp',
    'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW',
    'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp1',
    'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDoo0p',
    'did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme',
    `did:key:z${'1'.repeat(10_000)}`
  ])('"%s" is none', (did) => {
    expect(() => keyFromDid(did)).toThrow(expect.objectContaining({ code: 'bad-identity' }))
  })
})

test('nyms are two words, and few keys share one', () => {
  const nyms = Array.from({ length: 500 }, (_, index) =>
    nymFromKey(new Uint8Array(hkdfSync('sha256', Buffer.from([index & 255, index >> 8]), '', '', 32)))
  )
  for (const nym of nyms) expect(nym).toMatch(/^[a-z]{3,8}-[a-z]{3,8}$/)
  expect(new Set(nyms).size).toBeGreaterThan(495)
})

describe('platforms', () => {
  test('sign alike', () => {
    fc.assert(
      fc.property(keys, fc.uint8Array(), (key, message) => {
        const signer = signerFromKey(key)
        const { publicKey } = signer
        const signature = native.importSigningKey(key, publicKey)(message)
        expect(signature).toEqual(portable.importSigningKey(key)(message))
        expect(signature).toEqual(signer.sign(message))
        expect(verifySignature({ signature, message, publicKey })).toBe(true)
      }),
      { numRuns: 25 }
    )
  })

  test('hash alike', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(native.sha256(bytes)).toEqual(portable.sha256(bytes))
      })
    )
  })

  test('stretch a passphrase alike', async () => {
    const [password, salt] = [new TextEncoder().encode('a'), new Uint8Array(32).fill(1)]
    const cost = { N: 1024, r: 8, p: 1 }
    expect(await native.deriveScrypt(password, salt, cost)).toEqual(await portable.deriveScrypt(password, salt, cost))
  })
})
