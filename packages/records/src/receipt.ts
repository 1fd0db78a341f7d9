import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes } from '@noble/hashes/utils.js'
import * as z from 'zod'
import { decodeCanonical, encodeCanonical, sameBytes } from './canonical.ts'
import { RecordError } from './errors.ts'
import type { Signer } from './identity.ts'
import { bytesOf, chain, count, evmAddress, link, money, timeMs } from './kinds/fields.ts'
import { type Verify, verifySignature } from './signature.ts'

/**
 * What both parties of an order sign, so that either can show a stranger that the trade was theirs.
 *
 * `agreement` is signed with the terms, before money moves: together with the escrow's final state it proves a trade
 * even when one party refuses to sign anything afterwards. `closing` is signed when both say that it went well.
 */
export const statementContent = z.looseObject({
  v: z.literal(1),
  type: z.enum(['agreement', 'closing']),
  /** The order's id, 32 bytes. */
  order: bytesOf(32),
  /** SHA-256 of the terms. */
  terms: bytesOf(32),
  buyer: bytesOf(32),
  seller: bytesOf(32),
  /** The listing, by the id of the revision that was bought. */
  listing: link,
  price: money,
  settlement: z.enum(['escrow', 'direct', 'none']),
  /** Where the escrow keeps its verdict; present exactly when `settlement` is `escrow`. */
  escrow: z.looseObject({ chain, contract: evmAddress, id: bytesOf(32) }).optional(),
  /** When it was signed first, by that party's clock. */
  at: timeMs
})

/** See {@link statementContent}. */
export type Statement = z.infer<typeof statementContent>

/** A statement with both signatures, as it travels inside a feedback. */
export const receipt = z.looseObject({
  statement: z.custom<Uint8Array>(
    (value) => value instanceof Uint8Array && value.length <= statementBytesMax,
    'is not a statement'
  ),
  buyerSig: bytesOf(64),
  sellerSig: bytesOf(64),
  /** The transaction that ended the escrow, to spare a reader the search. The escrow's own state is what counts. */
  settled: z
    .looseObject({
      tx: bytesOf(32),
      logIndex: count(1_000_000),
      /** The order on chain, all but its `termsHash`: whoever has it can compute the escrow's id, and see whose it is. */
      order: z.looseObject({}).optional()
    })
    .optional()
})

/** See {@link receipt}. */
export type Receipt = z.infer<typeof receipt>

/** A receipt whose signatures hold. */
export interface OpenedReceipt {
  readonly statement: Statement
  readonly settled:
    | {
        readonly tx: Uint8Array
        readonly logIndex: number
        readonly order?: Readonly<Record<string, unknown>> | undefined
      }
    | undefined
}

/** Two keys, two hashes, a link, a price and an escrow reference need about 500 bytes. */
const statementBytesMax = 1024

const escrowPrefix = new TextEncoder().encode('souk/escrow/1\n')
const signaturePrefix = new TextEncoder().encode('souk/receipt/1\n')

/**
 * What an escrow's order commits to: the two identities and the hash of their terms, so that nobody else can show the
 * money of these two as a trade of their own. SHA-256("souk/escrow/1\n" ‖ buyer ‖ seller ‖ terms), 32 bytes.
 */
export function escrowTermsHash({ buyer, seller, terms }: Pick<Statement, 'buyer' | 'seller' | 'terms'>): Uint8Array {
  return sha256(concatBytes(escrowPrefix, buyer, seller, terms))
}

/** The bytes that both sign for. */
export function encodeStatement(statement: Statement): Uint8Array {
  return encodeCanonical(statement)
}

/** One party's signature over a statement: 64 bytes. */
export function signStatement(statement: Uint8Array, signer: Signer): Uint8Array {
  return signer.sign(signedBytes(statement))
}

/** True when `publicKey` signed the statement. */
export function verifyStatement(statement: Uint8Array, by: { publicKey: Uint8Array; signature: Uint8Array }): boolean {
  return verifySignature({ message: signedBytes(statement), ...by })
}

/**
 * Reads a statement's bytes.
 *
 * @throws {@link RecordError} `receipt-missing` when they are not one, `receipt-mismatch` when it names one party twice.
 */
export function openStatement(bytes: Uint8Array): Statement {
  const result = statementContent.safeParse(decodeStatement(bytes))
  if (!result.success) {
    throw new RecordError('receipt-missing', `the statement is malformed: ${result.error.issues[0]?.message}`)
  }
  if (sameBytes(result.data.buyer, result.data.seller)) {
    throw new RecordError('receipt-mismatch', 'buyer and seller are one: nobody trades with himself')
  }
  if ((result.data.settlement === 'escrow') !== (result.data.escrow !== undefined)) {
    throw new RecordError('receipt-missing', 'a statement names an escrow exactly when it settles through one')
  }
  return result.data
}

/**
 * Checks a receipt's two signatures.
 *
 * @param options.verify - From {@link createVerifier} where many are opened.
 * @throws {@link RecordError} `receipt-missing`, `receipt-mismatch` or `receipt-bad-signature`.
 */
export function openReceipt(given: Receipt, options: { verify?: Verify } = {}): OpenedReceipt {
  const { verify = verifySignature } = options
  const statement = openStatement(given.statement)
  const message = signedBytes(given.statement)
  const buyerSigned = verify({ message, publicKey: statement.buyer, signature: given.buyerSig })
  const sellerSigned = verify({ message, publicKey: statement.seller, signature: given.sellerSig })
  if (!buyerSigned || !sellerSigned) {
    throw new RecordError(
      'receipt-bad-signature',
      `the ${buyerSigned ? 'seller' : 'buyer'} did not sign this statement`
    )
  }
  return { statement, settled: given.settled }
}

function decodeStatement(bytes: Uint8Array): unknown {
  try {
    return decodeCanonical(bytes, { bytesMax: statementBytesMax })
  } catch (cause) {
    throw new RecordError('receipt-missing', 'the statement is not canonical dag-cbor', { cause })
  }
}

function signedBytes(statement: Uint8Array): Uint8Array {
  const message = new Uint8Array(signaturePrefix.length + statement.length)
  message.set(signaturePrefix)
  message.set(statement, signaturePrefix.length)
  return message
}
