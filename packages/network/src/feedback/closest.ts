/** Which peers keep the set of a subject: those nearest to SHA-256("souk/feedback/" ‖ public key) in the DHT. */
import type { AbortOptions, Libp2p, PeerId } from '@libp2p/interface'
import { EventTypes, type KadDHT } from '@libp2p/kad-dht'
import { bytesToHex, concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { sha256 } from '../sha256.ts'
import { candidatesMax, closestCacheMax, closestCacheMs, keepersMax, lookupTimeoutMs } from './limits.ts'

/** Finds the peers near a subject, nearest first. */
export interface ClosestPeers {
  /** This node is among them when it is a server of the DHT. */
  of(subject: Uint8Array, options?: AbortOptions): Promise<readonly PeerId[]>
}

/** XOR distance of a peer from a subject, in hexadecimal: smaller is nearer. */
export function distanceOf(peer: PeerId, subject: Uint8Array): string {
  const place = sha256(placeKey(subject))
  return bytesToHex(sha256(peer.toMultihash().bytes).map((byte, index) => byte ^ (place[index] ?? 0)))
}

/** True when this node serves others: a client of the DHT keeps nothing. */
export function isServer(dht: Pick<KadDHT, 'getMode'>): boolean {
  return dht.getMode() === 'server'
}

export function createClosestPeers(
  components: { libp2p: Pick<Libp2p, 'peerId' | 'getPeers'>; dht: Pick<KadDHT, 'getClosestPeers' | 'getMode'> },
  init: { now: () => number }
): ClosestPeers {
  const { libp2p, dht } = components
  const cache = new Map<string, { peers: readonly PeerId[]; untilMs: number }>()

  async function lookUp(subject: Uint8Array, options: AbortOptions): Promise<readonly PeerId[]> {
    // A query waits until the routing table has somebody in it: with no connection nobody will come.
    const found = libp2p.getPeers().length === 0 ? [] : await queryClosest(dht, subject, options)
    const others = found.length > 0 ? found : libp2p.getPeers()
    const all = isServer(dht) ? [...others, libp2p.peerId] : others
    return sortByDistance(all, subject).slice(0, candidatesMax)
  }

  return {
    async of(subject, options = {}) {
      const key = bytesToHex(subject)
      const known = cache.get(key)
      if (known !== undefined && known.untilMs > init.now()) return known.peers
      const peers = await lookUp(subject, options)
      // A node that has just joined, or a small network, sees a few: the next one may come at any moment.
      if (peers.length >= keepersMax) remember(cache, key, { peers, untilMs: init.now() + closestCacheMs })
      return peers
    }
  }
}

function remember<T>(cache: Map<string, T>, key: string, value: T): void {
  cache.delete(key)
  cache.set(key, value)
  const oldest = cache.keys().next().value
  if (cache.size > closestCacheMax && oldest !== undefined) cache.delete(oldest)
}

async function queryClosest(
  dht: Pick<KadDHT, 'getClosestPeers'>,
  subject: Uint8Array,
  options: AbortOptions
): Promise<PeerId[]> {
  const timeout = AbortSignal.timeout(lookupTimeoutMs)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  const found: PeerId[] = []
  try {
    for await (const event of dht.getClosestPeers(placeKey(subject), { signal })) {
      if (event.type === EventTypes.FINAL_PEER) found.push(event.peer.id)
    }
  } catch {
    options.signal?.throwIfAborted()
  }
  return found
}

function sortByDistance(peers: readonly PeerId[], subject: Uint8Array): PeerId[] {
  return peers
    .map((peer) => ({ peer, distance: distanceOf(peer, subject) }))
    .toSorted((a, b) => (a.distance < b.distance ? -1 : 1))
    .map(({ peer }) => peer)
}

/** The DHT hashes a key once more: the place is the SHA-256 of these bytes. */
export function placeKey(subject: Uint8Array): Uint8Array {
  return concatBytes(utf8ToBytes('souk/feedback/'), subject)
}
