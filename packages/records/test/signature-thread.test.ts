import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hexToBytes } from '@noble/hashes/utils.js'
import { createVerifier, signerFromKey } from '@souk/records'
import { describe, expect, test } from 'vitest'
import { claimsBeforeThread, claimsPerThreadMin, threadQuietMs } from '../src/limits.ts'
import type { Claim, SignatureThread } from '../src/platform.ts'
import { hasStrictEncodings } from '../src/signature.ts'
import { createSignatureThread } from '../src/signature-thread-node.ts'
import type { SignatureCase, SignatureVectors } from './generators/signatures.ts'

const signers = [1, 2, 3].map((seed) => signerFromKey(new Uint8Array(32).fill(seed)))

/** Signed messages of all lengths, every third of them with a bit turned over in what was signed. */
const claims = Array.from({ length: claimsBeforeThread }, (_, index): Claim & { holds: boolean } => {
  const signer = signers[index % 3]!
  const message = new Uint8Array(index * 5).fill(index)
  const holds = index % 3 !== 1
  const signature = signer.sign(holds ? message : new Uint8Array([...message, 1]))
  return { publicKey: signer.publicKey, signature, message, holds }
})
const expected = claims.map(({ holds }) => holds)

const vectors = JSON.parse(
  readFileSync(new URL('vectors/signatures.json', import.meta.url), 'utf8')
) as SignatureVectors

/** Offers bulk after bulk until one is taken: the thread has started. */
async function startedBy(thread: SignatureThread): Promise<Uint8Array | undefined> {
  for (;;) {
    const answer = thread.verify(claims)
    if (answer !== undefined) return answer
    await setImmediate()
  }
}

describe('the thread', () => {
  test('answers each claim of a batch in its place', async () => {
    await using thread = createSignatureThread()
    expect([...((await startedBy(thread)) ?? [])].map(Boolean)).toEqual(expected)
  })

  test('has the one predicate: it accepts the valid vectors and none of the others', async () => {
    await using thread = createSignatureThread()
    await startedBy(thread)
    const judged = async (cases: readonly SignatureCase[]): Promise<string[]> => {
      const strict = cases.map(claimOf).filter(({ claim }) => hasStrictEncodings(claim))
      const holds = await thread.verify(strict.map(({ claim }) => claim))
      return strict.filter((_one, index) => holds?.[index] === 1).map(({ name }) => name)
    }
    expect(await judged(vectors.valid)).toEqual(vectors.valid.map(({ name }) => name))
    expect(await judged(vectors.invalid)).toEqual([])
  })

  test('is not started for a few, nor by a bulk that comes in handfuls', () => {
    const thread = createSignatureThread()
    const handful = claims.slice(0, claimsPerThreadMin - 1)
    for (let asked = 0; asked < 2 * claimsBeforeThread; asked += handful.length) {
      expect(thread.verify(handful)).toBeUndefined()
    }
    expect(process.getActiveResourcesInfo()).not.toContain('MessagePort')
  })

  test('leaves nobody waiting when it is ended in the middle, and is not started again', async () => {
    const thread = createSignatureThread()
    await startedBy(thread)
    const answers = Array.from({ length: 20 }, () => thread.verify(claims))
    await thread[Symbol.asyncDispose]()
    const given = await Promise.all(answers.map(async (answer) => answer))
    expect(given.at(-1)).toBeUndefined()
    for (const answer of given) expect([undefined, expected]).toContainEqual(answer && [...answer].map(Boolean))
    expect(thread.verify(claims)).toBeUndefined()
  })
})

describe('a verifier', () => {
  test('answers a bulk alike before its thread runs, while it runs, and when it is gone', async () => {
    const verifier = createVerifier()
    const bulk = async (): Promise<boolean[]> => Promise.all(claims.map(verifier.aside))
    for (let round = 0; round < 10; round++) expect(await bulk()).toEqual(expected)
    const last = bulk()
    await verifier[Symbol.asyncDispose]()
    expect(await last).toEqual(expected)
    expect(await bulk()).toEqual(expected)
  })

  test('judges the bytes that were there when it was asked', async () => {
    await using verifier = createVerifier()
    const mine = claims.map(({ publicKey, signature, message }) => ({
      publicKey: new Uint8Array(publicKey),
      signature: new Uint8Array(signature),
      message: new Uint8Array(message)
    }))
    const asked = Promise.all(mine.map(verifier.aside))
    for (const { signature, message, publicKey } of mine)
      for (const bytes of [signature, message, publicKey]) bytes.fill(0)
    expect(await asked).toEqual(expected)
  })
})

describe('a program that verifies a bulk', () => {
  const program = fileURLToPath(new URL('verify-bulk.ts', import.meta.url))

  test('ends when it has its answers, although its thread would stay for a while', async () => {
    const child = spawn(process.execPath, ['--conditions=@souk/source', program], {
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const [[output]] = await Promise.all([once(child.stdout, 'data'), once(child, 'spawn')])
    const answeredAtMs = performance.now()
    expect(JSON.parse(String(output))).toEqual({ valid: 2000, threads: true })
    await once(child, 'exit')
    expect(performance.now() - answeredAtMs).toBeLessThan(threadQuietMs / 2)
  })

  test('gets them where no thread may be started', async () => {
    const flags = ['--conditions=@souk/source', '--permission', '--allow-fs-read=*']
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, program])
    expect(JSON.parse(stdout)).toEqual({ valid: 2000, threads: false })
  })
})

function claimOf({ name, publicKeyHex, messageHex, signatureHex }: SignatureCase): { name: string; claim: Claim } {
  const [publicKey, message, signature] = [publicKeyHex, messageHex, signatureHex].map(hexToBytes)
  return { name, claim: { publicKey: publicKey!, message: message!, signature: signature! } }
}
