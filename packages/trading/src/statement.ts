/** What both parties sign. Computed from the terms on either side, never sent. docs/protocol/orders.md section 4. */
import { encodeStatement, type Statement } from '@souk/records'
import { termsHash, type Terms } from './terms.ts'

/** @param options.escrowId - 32 bytes, the EIP-712 id of the escrow's order; needed exactly when settled by escrow. */
export function agreementOf(terms: Terms, termsBytes: Uint8Array, options: { escrowId?: Uint8Array }): Uint8Array {
  return statement('agreement', { terms, termsBytes, at: terms.createdAtMs, escrowId: options.escrowId })
}

/** @param options.atMs - When the buyer confirmed, by his clock. */
export function closingOf(
  terms: Terms,
  termsBytes: Uint8Array,
  options: { escrowId?: Uint8Array | undefined; atMs: number }
): Uint8Array {
  return statement('closing', { terms, termsBytes, at: options.atMs, escrowId: options.escrowId })
}

interface StatementParts {
  readonly terms: Terms
  readonly termsBytes: Uint8Array
  readonly at: number
  readonly escrowId: Uint8Array | undefined
}

function statement(type: Statement['type'], { terms, termsBytes, at, escrowId }: StatementParts): Uint8Array {
  const hash = termsHash(termsBytes)
  const { buyer, seller, listing, settlement } = terms
  return encodeStatement({
    v: 1,
    type,
    order: hash,
    terms: hash,
    buyer,
    seller,
    listing,
    price: terms.total,
    settlement: settlement.kind,
    ...(settlement.kind === 'escrow' && escrowId !== undefined
      ? { escrow: { chain: settlement.chain, contract: settlement.contract, id: escrowId } }
      : {}),
    at
  })
}
