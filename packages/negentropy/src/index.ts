/**
 * Set reconciliation: two peers find out which ids only one of them has, in a few messages whose size follows the
 * difference and not the sets. Wire-compatible with Negentropy Protocol V1 (version byte 0x61), which is also Nostr
 * NIP-77; timestamps may be milliseconds. Pure, and runs in a browser.
 *
 * A side cuts its sorted items into ranges and sends a fingerprint of each; the other answers only the ranges that
 * differ, with finer fingerprints or, where few items are left, with the ids themselves.
 *
 * ```ts
 * const ours = createReconciler(createItemVector(items), { initiator: true })
 * let message: Uint8Array | undefined = ours.initiate()
 * while (message) {
 *   const { reply, have, need } = ours.reconcile(await ask(peer, message))
 *   offer(have)
 *   fetch(need)
 *   message = reply
 * }
 * ```
 *
 * @module
 */
export { NegentropyError, type NegentropyErrorCode } from './error.ts'
export type { ItemSet } from './item-set.ts'
export { createItemTree, type ItemTree } from './item-tree.ts'
export { createItemVector } from './item-vector.ts'
export type { Bound, Item } from './item.ts'
export {
  frameBytesFloor,
  frameBytesMaxDefault,
  idsMaxDefault,
  messageBytesMaxDefault,
  protocolVersion,
  rangesMaxDefault,
  resultsMaxDefault,
  roundsMaxDefault,
  timestampMsMax
} from './limits.ts'
export { createReconciler, type Reconciled, type Reconciler, type ReconcilerInit } from './reconciler.ts'
