import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { addressGroups } from './address.ts'

/**
 * Whose connection ends when there are too many: an inbound one of the block of addresses that has most of them, and
 * of those the youngest. Whoever takes all places from few blocks then displaces himself; who comes from a block of
 * their own gets in. libp2p would refuse the newcomer, which keeps in whoever was first.
 *
 * @param mayGo - False for those that are never ended.
 */
export function leastMissed(
  connections: readonly Connection[],
  mayGo: (connection: Connection) => boolean
): Connection | undefined {
  const inbound = connections.filter((one) => one.direction === 'inbound' && one.status === 'open' && mayGo(one))
  const blocks = Map.groupBy(inbound, ({ remoteAddr }) => blockOf(remoteAddr))
  const [largest = []] = [...blocks.values()].toSorted((a, b) => b.length - a.length)
  return largest.toSorted((a, b) => b.timeline.open - a.timeline.open)[0]
}

/** Those that come over a relay are one block: the relay's. */
function blockOf(address: Multiaddr): string {
  return addressGroups(address)?.block ?? address.toString().split('/p2p-circuit')[0] ?? ''
}
