/**
 * Dials that leave alone what the other side opens meanwhile.
 *
 * Over a relay both directions have one address. libp2p takes the second connection of an address for a copy and ends
 * it: two who dial each other at once each end their own, and none is left. And it does not count a relayed connection
 * when it is asked for one, so that each question to a peer behind a relay would cost the handshake of a copy.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { AbortOptions, Connection, Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, type Multiaddr } from '@multiformats/multiaddr'
import { isRelayed } from './guard/address.ts'
import { openingsMax, reopenAfterMs } from './limits.ts'

export type Dialler = Pick<Libp2p, 'getConnections' | 'dial'>

type Target = PeerId | Multiaddr | Multiaddr[]

/** The newest open connection of the peer, rather a direct one; else a new one. */
export async function reach(libp2p: Dialler, target: Target, options: AbortOptions): Promise<Connection> {
  return openTo(libp2p, target) ?? libp2p.dial(target, { ...options, force: true })
}

/**
 * As {@link reach}, for somebody who asks once and waits: one that breaks off while it opens is tried again a few times,
 * as when the relay has just lost sight of the other side. A relayed connection is none when a direct one is asked for.
 */
export async function reachPatiently(libp2p: Dialler, target: Multiaddr, options: AbortOptions): Promise<Connection> {
  const open = openTo(libp2p, target)
  if (open !== undefined && (open.limits === undefined || isRelayed(target))) return open
  for (let opening = 1; ; opening++) {
    try {
      return await libp2p.dial(target, { ...options, force: true })
    } catch (error) {
      if (opening === openingsMax || !hasBrokenOff(error)) throw error
      await sleep(reopenAfterMs * (0.5 + Math.random()), undefined, options.signal ? { signal: options.signal } : {})
    }
  }
}

function openTo(libp2p: Dialler, target: Target): Connection | undefined {
  const peer = peerOf(target)
  if (peer === undefined) return undefined
  const open = libp2p.getConnections(peer).filter(({ status }) => status === 'open')
  return open.findLast(({ limits }) => limits === undefined) ?? open.at(-1)
}

/** Undefined for an address that does not say whose it is. */
export function peerOf(target: Target): PeerId | undefined {
  const [first] = [target].flat()
  if (first === undefined || !('getComponents' in first)) return first
  const id = first.getComponents().findLast(({ code }) => code === CODE_P2P)?.value
  return id === undefined ? undefined : peerIdFromString(id)
}

/** The other side was there, or the relay before it. */
function hasBrokenOff(error: unknown): boolean {
  return brokenOff.has((error as Error).name)
}

const brokenOff: ReadonlySet<string> = new Set(['ConnectionClosedError', 'StreamResetError', 'UnexpectedEOFError'])
