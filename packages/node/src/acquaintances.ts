import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { type Did, keyFromDid } from '@souk/records'
import type { Sublevel } from '@souk/storage'
import type { OrderView } from './order.ts'

/**
 * Whose records need no work on this node, get the larger quota and go last when it is full: oneself, those whom one
 * chose to trust, and those with whom one has agreed on an order.
 */
export interface Acquaintances {
  /** @param author - 32-byte public key. */
  has(author: Uint8Array): boolean
  /** Takes the counterparty of an order in, unless all there is of it is the request of a stranger. */
  meet(order: Pick<OrderView, 'counterparty' | 'role' | 'phase'>): Promise<void>
}

export interface AcquaintancesComponents {
  /** By public key in hexadecimal: whom one has met. What peers bring is judged before all orders have been read. */
  readonly store: Pick<Sublevel<Uint8Array>, 'keys' | 'put'>
}

export interface AcquaintancesInit {
  /** Who is known whatever happened. */
  readonly dids: Iterable<Did>
  /** Told of everybody once, those of the start as well. */
  readonly onNew: (author: Uint8Array) => void
}

/** Knows from the start on whom it knew before. */
export async function openAcquaintances(
  { store }: AcquaintancesComponents,
  { dids, onNew }: AcquaintancesInit
): Promise<Acquaintances> {
  const known = new Set([...dids].map((did) => bytesToHex(keyFromDid(did))))
  for await (const key of store.keys()) known.add(key)
  for (const key of known) onNew(hexToBytes(key))
  return {
    has: (author) => known.has(bytesToHex(author)),
    async meet(order) {
      const author = keyFromDid(order.counterparty)
      const key = bytesToHex(author)
      if (!isAgreed(order) || known.has(key)) return
      known.add(key)
      onNew(author)
      await store.put(key, new Uint8Array())
    }
  }
}

/** Anybody can ask; whom one bought from, or whose order one has taken, is no stranger. */
function isAgreed({ role, phase }: Pick<OrderView, 'role' | 'phase'>): boolean {
  return role === 'buyer' || (phase !== 'REQUESTED' && phase !== 'VOID')
}
