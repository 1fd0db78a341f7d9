/**
 * One verification predicate for every platform (RFC 8032 section 5.1.7, cofactorless, strict):
 *
 *   S < L; A and R are canonical encodings of points that are not of small order; encode(S·B − h·A) equals R byte for
 *   byte, with h = SHA-512(R ‖ A ‖ M) mod L.
 *
 * Implementations differ in exactly these cases ("Taming the many EdDSAs", Chalkias, Garillot, Nikolaenko, 2020),
 * and one record valid here and invalid there splits the network. The checks on encodings are shared; the equation
 * is computed by node:crypto where there is one, else by noble.
 */
import { createSignatureThread, importKey } from '#platform'
import { hexToBytes } from '@noble/hashes/utils.js'
import { sameBytes } from './canonical.ts'
import { verifierKeysMax } from './limits.ts'
import type { Equation, SignatureThread } from './platform.ts'
import { createRecent } from './recent.ts'

/** Verifies one signature. Never throws; wrong lengths are `false`. */
export type Verify = (input: SignatureInput) => boolean

/** A {@link Verify} with a memory, for whoever verifies many signatures of the same authors. */
export interface Verifier {
  (input: SignatureInput): boolean
  /**
   * The same answer, computed beside the main thread where the platform has threads for it. What is asked in one turn of
   * the event loop is handed over together. Never rejects.
   */
  readonly aside: (input: SignatureInput) => Promise<boolean>
  /**
   * The same of many, in one message to the thread and one back: for each 1 where it holds. They are copied before this
   * returns. Nothing, at once or later, where there is no thread for so many, or one of them is not even well-formed:
   * then they are to be asked about one by one. Never rejects.
   */
  readonly bulk: (inputs: readonly SignatureInput[]) => Promise<Uint8Array | undefined> | undefined
}

/** Verifies with the fastest implementation of this platform. Never throws; wrong lengths are `false`. */
export function verifySignature(input: SignatureInput): boolean {
  return hasStrictEncodings(input) && (importKey(input.publicKey)?.(input.signature, input.message) ?? false)
}

/**
 * {@link verifySignature} that remembers the last keys: importing one is a fifth of a verification under Node and a
 * tenth in a browser. A bulk that is verified aside starts a thread, which ends itself when there has been nothing to do
 * for a while; disposing of the verifier ends it at once.
 *
 * @param init.keysMax - Keys remembered, least recently used forgotten first.
 */
export function createVerifier(init: { keysMax?: number } = {}): Verifier & AsyncDisposable {
  const equations = createRecent<Equation | undefined>(init.keysMax ?? verifierKeysMax)
  const equationOf = (input: SignatureInput): Equation | undefined => {
    if (!hasStrictEncodings(input)) return undefined
    return equations.get(String.fromCharCode(...input.publicKey), () => importKey(input.publicKey))
  }
  const onPool = (input: SignatureInput): Promise<boolean> =>
    equationOf(input)?.aside(input.signature, input.message) ?? Promise.resolve(false)
  const thread = createSignatureThread()
  return Object.assign((input: SignatureInput) => equationOf(input)?.(input.signature, input.message) ?? false, {
    aside: createGathering(copyOf, (inputs) => verifyAside(inputs, { thread, onPool })),
    bulk: (inputs: readonly SignatureInput[]) => (inputs.every(hasStrictEncodings) ? thread.verify(inputs) : undefined),
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose]()
  })
}

/** By the thread, if it takes them, else one by one on the pool. */
async function verifyAside(
  inputs: readonly SignatureInput[],
  by: { thread: SignatureThread; onPool: (input: SignatureInput) => Promise<boolean> }
): Promise<readonly boolean[]> {
  const strict = inputs.map(hasStrictEncodings)
  const holds = await by.thread.verify(inputs.filter((_input, index) => strict[index]))
  if (holds === undefined) return Promise.all(inputs.map(by.onPool))
  let at = 0
  return strict.map((isStrict) => isStrict && holds[at++] === 1)
}

/** The bytes as they are now: by the time they are verified their owner may have written over them. */
function copyOf({ signature, message, publicKey }: SignatureInput): SignatureInput {
  return {
    signature: new Uint8Array(signature),
    message: new Uint8Array(message),
    publicKey: new Uint8Array(publicKey)
  }
}

/** Joins single questions of one turn of the event loop into one, about what they are when they are asked. */
function createGathering<Q>(
  copy: (question: Q) => Q,
  answerAll: (questions: readonly Q[]) => Promise<readonly boolean[]>
): (question: Q) => Promise<boolean> {
  let waiting: Q[] = []
  let answers: Promise<readonly boolean[]> | undefined
  const start = async (): Promise<readonly boolean[]> => {
    await Promise.resolve()
    const questions = waiting
    waiting = []
    answers = undefined
    return answerAll(questions)
  }
  return async (question) => {
    const index = waiting.push(copy(question)) - 1
    answers ??= start()
    return (await answers)[index] ?? false
  }
}

/** A signature and what it is to be checked against. */
export interface SignatureInput {
  /** 64 bytes: R ‖ S. */
  readonly signature: Uint8Array
  readonly message: Uint8Array
  /** 32 bytes: the encoded point A. */
  readonly publicKey: Uint8Array
}

/** The part of the predicate that needs no curve arithmetic. */
export function hasStrictEncodings({ signature, publicKey }: SignatureInput): boolean {
  if (signature.length !== 64 || publicKey.length !== 32) return false
  const r = signature.subarray(0, 32)
  return isBelow(signature.subarray(32), orderL) && isStrictPoint(publicKey) && isStrictPoint(r)
}

/** True when the y coordinate is reduced and the point is not one of the eight of small order. */
function isStrictPoint(point: Uint8Array): boolean {
  const y = new Uint8Array(point)
  y[31] = (y[31] ?? 0) & 0x7f
  return isBelow(y, fieldP) && !smallOrderY.some((small) => sameBytes(small, y))
}

/** Little-endian comparison of 32-byte numbers. */
function isBelow(value: Uint8Array, bound: Uint8Array): boolean {
  for (let index = 31; index >= 0; index--) {
    const difference = (value[index] ?? 0) - (bound[index] ?? 0)
    if (difference !== 0) return difference < 0
  }
  return false
}

/** L = 2^252 + 27742317777372353535851937790883648493, the order of the base point, little-endian. */
const orderL = hexToBytes('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')

/** p = 2^255 − 19, little-endian. */
const fieldP = hexToBytes('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')

/** The y coordinates of the eight points whose order divides 8 (each serves for both signs of x). */
const smallOrderY = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'
].map(hexToBytes)
