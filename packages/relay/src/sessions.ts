import { setTimeout as sleep } from 'node:timers/promises'
import type { Network } from '@souk/network'
import { drainLookMs } from './limits.ts'

/** Protocols whose streams are somebody's work under way. Gossip, identify and the like stay open for ever. */
const workPrefixes: readonly string[] = [
  '/souk/sync/',
  '/souk/located-set/',
  '/souk/mailbox/',
  '/libp2p/circuit/relay/'
]

/** Streams on which work is under way: catch-ups, relayed connections, mail. */
export function openSessions({ libp2p }: Pick<Network, 'libp2p'>): number {
  const streams = libp2p.getConnections().flatMap((connection) => connection.streams)
  return streams.filter(({ protocol }) => workPrefixes.some((prefix) => protocol.startsWith(prefix))).length
}

/** Resolves when no session is open any more, or when the signal fires. */
export async function sessionsEnd(network: Pick<Network, 'libp2p'>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && openSessions(network) > 0) {
    await sleep(drainLookMs, undefined, { signal }).catch(() => undefined)
  }
}
