import type { PeerId } from '@libp2p/interface'
import type { Guard } from './guard.ts'

/**
 * To be asked before a value is checked that a stranger put, into the DHT or a located set: three signatures, for
 * something that took a fifth of that to make. It is the same work in either place, and comes from one budget.
 */
export function mayPutValue(guard: Pick<Guard, 'allow' | 'allowAddress'>, peer: PeerId): boolean {
  return guard.allow(peer, 'value', 1) && guard.allowAddress(peer, 'value', 1)
}
