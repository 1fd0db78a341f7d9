import { readFileSync } from 'node:fs'
import { ed25519 } from '@noble/curves/ed25519.js'
import { hexToBytes } from '@noble/hashes/utils.js'
import {
  createVerifier,
  identityFromPhrase,
  isRefusal,
  openKeystore,
  openRecord,
  openRecordAside,
  openRecordsAside,
  type SignatureInput,
  type Verifier,
  verifySignature
} from '@souk/records'
import { describe, expect, test } from 'vitest'
import { claimsPerThreadMin } from '../src/limits.ts'
import * as native from '../src/platform-node.ts'
import * as portable from '../src/platform-portable.ts'
import { hasStrictEncodings } from '../src/signature.ts'
import { files } from './generators/generate.ts'
import { type identityVectors, type KeystoreVectors } from './generators/identities.ts'
import { codeOf, type InvalidRecord, type ValidRecord } from './generators/records.ts'
import type { SignatureCase, SignatureVectors } from './generators/signatures.ts'

const read = (name: keyof typeof files): unknown =>
  JSON.parse(readFileSync(new URL(`vectors/${name}`, import.meta.url), 'utf8'))

test.each(Object.keys(files) as (keyof typeof files)[])('%s is what generate.ts writes', async (name) => {
  expect(read(name)).toEqual(JSON.parse(JSON.stringify(await files[name]())))
})

describe('records.json', () => {
  const { valid, invalid } = read('records.json') as { valid: ValidRecord[]; invalid: InvalidRecord[] }

  const verifier = createVerifier()

  test.each(valid)('accepts: $name', async ({ bytesHex, id, nowMs }) => {
    expect(openRecord(hexToBytes(bytesHex), { nowMs }).id).toBe(id)
    expect((await openRecordAside(hexToBytes(bytesHex), { nowMs, verifier })).id).toBe(id)
  })

  test.each(invalid)('$code: $name', async ({ bytesHex, code, nowMs }) => {
    expect(codeOf(hexToBytes(bytesHex), { nowMs })).toBe(code)
    await expect(openRecordAside(hexToBytes(bytesHex), { nowMs, verifier })).rejects.toMatchObject({ code })
  })

  test('says the same of many at once: before a thread runs, by the thread, and when that ends', async () => {
    const vectors = [...valid, ...invalid].filter((vector) => claimsOf(vector).every(hasStrictEncodings))
    for (const [nowMs, some] of Map.groupBy(vectors, (vector) => vector.nowMs)) {
      if (some.flatMap(claimsOf).length === 0) continue
      const many = Array.from({ length: claimsPerThreadMin }, () => some).flat()
      const expected = many.map((vector) => ('code' in vector ? vector.code : vector.id))
      await using threaded = createVerifier()
      const opened = async (by: Verifier): Promise<string[]> => {
        const list = many.map(({ bytesHex }) => hexToBytes(bytesHex))
        const outcomes = await openRecordsAside(list, { nowMs, verifier: by })
        return outcomes.map((one) => (isRefusal(one) ? one.refused : one.id))
      }
      let answered = 0
      const counting: Verifier = Object.assign((input: SignatureInput) => threaded(input), {
        aside: threaded.aside,
        bulk: (inputs: readonly SignatureInput[]) => {
          const answer = threaded.bulk(inputs)
          if (answer !== undefined) answered++
          return answer
        }
      })
      while (answered === 0) expect(await opened(counting)).toEqual(expected)
      const last = opened(counting)
      await threaded[Symbol.asyncDispose]()
      expect(await last).toEqual(expected)
      expect(answered).toBe(2)
      expect(await opened(counting)).toEqual(expected)
    }
  })
})

/** The signatures that a record stands on, as far as they are asked about. */
function claimsOf({ bytesHex, nowMs }: ValidRecord | InvalidRecord): SignatureInput[] {
  const claims: SignatureInput[] = []
  try {
    openRecord(hexToBytes(bytesHex), { nowMs, verify: (claim) => claims.push(claim) > 0 })
  } catch {
    // What comes before the fault is what is asked.
  }
  return claims
}

describe('signatures.json', () => {
  const { valid, invalid } = read('signatures.json') as SignatureVectors
  const inputOf = ({ publicKeyHex, messageHex, signatureHex }: SignatureCase) => ({
    publicKey: hexToBytes(publicKeyHex),
    message: hexToBytes(messageHex),
    signature: hexToBytes(signatureHex)
  })
  const predicates = {
    'the default': verifySignature,
    'one that remembers keys': createVerifier({ keysMax: 3 }),
    'node:crypto': predicateOf(native),
    'noble’s arithmetic': predicateOf(portable),
    'node:crypto in threads': asideOf(native),
    'noble’s arithmetic, promised': asideOf(portable)
  }

  test.each(Object.entries(predicates))('%s accepts the valid half and nothing of the other', async (_, verify) => {
    const judged = async (cases: readonly SignatureCase[]): Promise<string[]> => {
      const verdicts = await Promise.all(cases.map(async (one) => verify(inputOf(one))))
      return cases.filter((_one, index) => verdicts[index]).map(({ name }) => name)
    }
    expect(await judged(valid)).toEqual(valid.map(({ name }) => name))
    expect(await judged(invalid)).toEqual([])
  })

  test.each([
    { name: 'noble by default', accepts: 287, verify: laxly(true) },
    { name: 'noble with zip215: false', accepts: 71, verify: laxly(false) },
    { name: 'the portable equation alone', accepts: 8, verify: equationAlone }
  ])('the cases tell predicates apart: $name accepts $accepts of the invalid half', ({ verify, accepts }) => {
    expect(invalid.map(inputOf).filter(verify)).toHaveLength(accepts)
  })
})

describe('identities.json', () => {
  const { valid, invalid } = read('identities.json') as ReturnType<typeof identityVectors>

  test.each(valid)('$phrase', ({ phrase, did, walletKeyHex }) => {
    const identity = identityFromPhrase(` ${phrase.toUpperCase().replaceAll(' ', '\n')} `)
    expect(identity.did).toBe(did)
    expect(identity.walletKey).toEqual(hexToBytes(walletKeyHex))
  })

  test.each(invalid)('$code: "$phrase"', ({ phrase, code }) => {
    expect(() => identityFromPhrase(phrase)).toThrow(expect.objectContaining({ code }))
  })
})

describe('keystores.json', () => {
  const { valid, invalid } = read('keystores.json') as KeystoreVectors
  const bytesOf = (file: string): Uint8Array => new TextEncoder().encode(file)

  test.each(valid)('opens: $name', async ({ file, passphrase, phrase }) => {
    expect(await openKeystore(bytesOf(file), passphrase)).toBe(phrase)
  })

  test.each(invalid)('$code: $name', async ({ file, passphrase, code }) => {
    await expect(openKeystore(bytesOf(file), passphrase)).rejects.toMatchObject({ code })
  })
})

/** What noble's own verifier says: the cofactored equation. */
function laxly(zip215: boolean): typeof verifySignature {
  return ({ signature, message, publicKey }) => {
    try {
      return ed25519.verify(signature, message, publicKey, { zip215 })
    } catch {
      return false
    }
  }
}

function equationAlone({ signature, message, publicKey }: SignatureInput): boolean {
  try {
    return portable.importKey(publicKey)?.(signature, message) ?? false
  } catch {
    // S ≥ L, which the strict part would have caught.
    return false
  }
}

function predicateOf({ importKey }: Pick<typeof native, 'importKey'>): typeof verifySignature {
  return (input) => hasStrictEncodings(input) && (importKey(input.publicKey)?.(input.signature, input.message) ?? false)
}

function asideOf({ importKey }: Pick<typeof native, 'importKey'>): Verifier['aside'] {
  return async (input) =>
    hasStrictEncodings(input) && ((await importKey(input.publicKey)?.aside(input.signature, input.message)) ?? false)
}
