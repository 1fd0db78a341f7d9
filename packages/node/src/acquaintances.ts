import { bytesToHex } from '@noble/hashes/utils.js'
import { type Did, keyFromDid } from '@souk/records'
import type { OrderView } from './order.ts'

/**
 * Whose records need no work on this node, get the larger quota and go last when it is full: oneself, those whom one
 * chose to trust, and those with whom one has agreed on an order.
 */
export interface Acquaintances {
  /** @param author - 32-byte public key. */
  has(author: Uint8Array): boolean
  /** Takes the counterparty of an order in, unless all there is of it is the request of a stranger. */
  meet(order: Pick<OrderView, 'counterparty' | 'role' | 'phase'>): void
}

/** @param init.onNew - Told of everybody once, those of the start as well. */
export function createAcquaintances(
  dids: Iterable<Did>,
  init: { readonly onNew: (author: Uint8Array) => void }
): Acquaintances {
  const keys = new Set<string>()
  const add = (did: Did): void => {
    const author = keyFromDid(did)
    const key = bytesToHex(author)
    if (keys.has(key)) return
    keys.add(key)
    init.onNew(author)
  }
  for (const did of dids) add(did)
  return {
    has: (author) => keys.has(bytesToHex(author)),
    meet(order) {
      if (isAgreed(order)) add(order.counterparty)
    }
  }
}

/** Anybody can ask; whom one bought from, or whose order one has taken, is no stranger. */
function isAgreed({ role, phase }: Pick<OrderView, 'role' | 'phase'>): boolean {
  return role === 'buyer' || (phase !== 'REQUESTED' && phase !== 'VOID')
}
