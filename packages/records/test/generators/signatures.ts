/**
 * Cases for the signature predicate, after the definitions in "Taming the many EdDSAs" (Chalkias, Garillot,
 * Nikolaenko, 2020): small-order and mixed-order A and R, non-canonical encodings, S ≥ L, and equations that hold
 * only with the cofactor. Which half a case belongs to follows from how it was made, not from a verifier: with
 * A = aB + iT and R = rB + jT (T of order 8) and S = r + ha, the cofactorless equation holds exactly when
 * j + hi ≡ 0 (mod 8).
 */
import { ed25519 } from '@noble/curves/ed25519.js'
import { bytesToNumberLE, concatBytes, numberToBytesLE } from '@noble/curves/utils.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'

export interface SignatureCase {
  readonly name: string
  readonly publicKeyHex: string
  readonly messageHex: string
  readonly signatureHex: string
}

export interface SignatureVectors {
  readonly valid: readonly SignatureCase[]
  readonly invalid: readonly SignatureCase[]
}

interface JudgedCase extends SignatureCase {
  readonly holds: boolean
}

const { Point } = ed25519
const order = Point.CURVE().n
/** A point of order 8. */
const torsion = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a')
const secrets = { a: 0x1234_5678_9abc_def0_1234_5678_9abc_defn, r: 0xfedc_ba98_7654_3210_0123_4567_89ab_cdefn }

export function signatureVectors(): SignatureVectors {
  const cases = [...publishedCases(), ...torsionCases(), ...highSCases(), ...smallOrderCases(), ...farEncodingCases()]
  const bare = ({ name, publicKeyHex, messageHex, signatureHex }: JudgedCase): SignatureCase => ({
    name,
    publicKeyHex,
    messageHex,
    signatureHex
  })
  return { valid: cases.filter(({ holds }) => holds).map(bare), invalid: cases.filter(({ holds }) => !holds).map(bare) }
}

/** RFC 8032 section 7.1, tests 1 and 2, and each with one bit changed. */
function publishedCases(): JudgedCase[] {
  const published = [
    {
      name: 'RFC 8032 test 1',
      publicKeyHex: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
      messageHex: '',
      signatureHex:
        'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'
    },
    {
      name: 'RFC 8032 test 2',
      publicKeyHex: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
      messageHex: '72',
      signatureHex:
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'
    }
  ]
  const changed = published.map((test) => ({
    ...test,
    name: `${test.name}, another message`,
    messageHex: `${test.messageHex}00`,
    holds: false
  }))
  return [...published.map((test) => ({ ...test, holds: true })), ...changed]
}

/** Every pair of torsion parts of A and R: where one exists, a message for which the equation holds, and one not. */
function torsionCases(): JudgedCase[] {
  const found: JudgedCase[] = []
  for (let i = 0; i < 8; i++) {
    for (let j = 0; j < 8; j++) {
      const made = Array.from({ length: 64 }, (_, index) => signWithTorsion({ i, j, ...secrets }, `message ${index}`))
      const holding = made.find(({ holds }) => holds)
      const failing = made.find(({ holds }) => !holds)
      found.push(...[holding, failing].filter((one) => one !== undefined))
    }
  }
  return found
}

interface Parts {
  readonly a: bigint
  readonly r: bigint
  readonly i: number
  readonly j: number
}

function signWithTorsion({ a, r, i, j }: Parts, text: string): JudgedCase {
  const publicKey = pointOf(a, i).toBytes()
  const R = pointOf(r, j).toBytes()
  const message = new TextEncoder().encode(text)
  const h = challengeOf(R, publicKey, message)
  const holds = a !== 0n && r !== 0n && (BigInt(j) + h * BigInt(i)) % 8n === 0n
  const name = `A = ${a === 0n ? '' : 'aB + '}${i}T, R = ${r === 0n ? '' : 'rB + '}${j}T, ${text}`
  return caseOf(name, { publicKey, message, R, S: (r + h * a) % order, holds })
}

/** S + kL for each k that fits in 256 bits, and numbers at the edge. */
function highSCases(): JudgedCase[] {
  const good = signWithTorsion({ ...secrets, i: 0, j: 0 }, 'high S')
  const [publicKey, message] = [hexToBytes(good.publicKeyHex), hexToBytes(good.messageHex)]
  const signature = hexToBytes(good.signatureHex)
  const R = signature.subarray(0, 32)
  const S = bytesToNumberLE(signature.subarray(32))
  const raised = [1n, 2n, 7n, 8n, 14n].map((k) =>
    caseOf(`S + ${k}L`, { publicKey, message, R, S: S + k * order, holds: false })
  )
  const edges = { 'S = 0': 0n, 'S = L - 1': order - 1n, 'S = L': order, 'S = 2^256 - 1': 2n ** 256n - 1n }
  return [
    good,
    ...raised,
    ...Object.entries(edges).map(([name, s]) => caseOf(name, { publicKey, message, R, S: s, holds: false }))
  ]
}

/** Each encoding of a point of small order, canonical or not, as A, as R and as both; the equation often holds. */
function smallOrderCases(): JudgedCase[] {
  const message = new TextEncoder().encode('small order')
  const R = pointOf(secrets.r, 0).toBytes()
  const publicKey = pointOf(secrets.a, 0).toBytes()
  return smallOrderEncodings().flatMap((small) => {
    const hex = bytesToHex(small)
    const h = challengeOf(small, publicKey, message)
    return [
      caseOf(`A = ${hex}`, { publicKey: small, message, R, S: secrets.r, holds: false }),
      caseOf(`R = ${hex}`, { publicKey, message, R: small, S: (h * secrets.a) % order, holds: false }),
      ...smallOrderEncodings().map((other) =>
        caseOf(`A = ${hex}, R = ${bytesToHex(other)}`, { publicKey: small, message, R: other, S: 0n, holds: false })
      )
    ]
  })
}

/** The eight points, then their other encodings: y + p where it fits, and the sign bit set where x is 0. */
function smallOrderEncodings(): Uint8Array[] {
  const p = Point.Fp.ORDER
  const signBit = 1n << 255n
  const canonical = Array.from({ length: 8 }, (_, index) => pointOf(0n, index).toBytes())
  const others = [1n + signBit, p - 1n + signBit, p, p + signBit, p + 1n, p + 1n + signBit]
  return [...canonical, ...others.map((y) => numberToBytesLE(y, 32))]
}

/** Encodings y + p of points of large order, and one that is no point at all: nobody has a signature for them. */
function farEncodingCases(): JudgedCase[] {
  const message = new TextEncoder().encode('far')
  const R = pointOf(secrets.r, 0).toBytes()
  const p = Point.Fp.ORDER
  const far = Array.from({ length: 17 }, (_, index) => numberToBytesLE(p + BigInt(index + 2), 32))
  const offCurve = numberToBytesLE(2n, 32)
  return [...far, offCurve].flatMap((encoding) => [
    caseOf(`A = ${bytesToHex(encoding)}`, { publicKey: encoding, message, R, S: secrets.r, holds: false }),
    caseOf(`R = ${bytesToHex(encoding)}`, {
      publicKey: pointOf(secrets.a, 0).toBytes(),
      message,
      R: encoding,
      S: secrets.r,
      holds: false
    })
  ])
}

function pointOf(scalar: bigint, torsionParts: number): InstanceType<typeof Point> {
  const clean = scalar === 0n ? Point.ZERO : Point.BASE.multiply(scalar)
  return Array.from({ length: torsionParts }).reduce<InstanceType<typeof Point>>((sum) => sum.add(torsion), clean)
}

function challengeOf(R: Uint8Array, publicKey: Uint8Array, message: Uint8Array): bigint {
  return bytesToNumberLE(sha512(concatBytes(R, publicKey, message))) % order
}

interface CaseParts {
  readonly publicKey: Uint8Array
  readonly message: Uint8Array
  readonly R: Uint8Array
  readonly S: bigint
  readonly holds: boolean
}

function caseOf(name: string, { publicKey, message, R, S, holds }: CaseParts): JudgedCase {
  const signatureHex = bytesToHex(concatBytes(R, numberToBytesLE(S, 32)))
  return { name, publicKeyHex: bytesToHex(publicKey), messageHex: bytesToHex(message), signatureHex, holds }
}
