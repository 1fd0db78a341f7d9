/**
 * Mends what protocols lose when one of a peer's connections closes while another is there, or is about to be.
 *
 * libp2p reads its peer store before it tells protocols that a peer has gone; one that comes back meanwhile, as after a
 * crash, is announced first and forgotten afterwards, for as long as the new connection lasts: neither gossip nor
 * catch-up says anything to it. Gossip, besides, does not move to the other of two connections. Who introduces himself
 * again is announced again, and everything is set up anew that is missing.
 */
import type { Libp2p, PeerId } from '@libp2p/interface'
import type { Host, HostServices } from './host.ts'
import { reintroducedAfterMs, reintroductionMs } from './limits.ts'

/** Asks a peer to introduce itself again a moment after one of its connections has closed, when it has another. */
export function reintroduceAfterLoss(libp2p: Pick<Host, keyof Libp2p>): Disposable {
  const { identify } = libp2p.services as Partial<HostServices>
  const timers = new Map<string, NodeJS.Timeout>()
  const stopping = new AbortController()

  const reintroduce = (peer: PeerId): void => {
    timers.delete(peer.toString())
    const connection = libp2p.getConnections(peer).find(({ status, limits }) => status === 'open' && !limits)
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(reintroductionMs)])
    // Who does not answer has gone again, and is announced when it comes back.
    if (connection !== undefined) identify?.identify(connection, { signal }).catch(() => undefined)
  }

  libp2p.addEventListener(
    'connection:close',
    ({ detail: { remotePeer } }) => {
      if (identify === undefined) return
      clearTimeout(timers.get(remotePeer.toString()))
      timers.set(remotePeer.toString(), setTimeout(() => reintroduce(remotePeer), reintroducedAfterMs).unref())
    },
    { signal: stopping.signal }
  )

  return {
    [Symbol.dispose]() {
      stopping.abort()
      for (const timer of timers.values()) clearTimeout(timer)
    }
  }
}
