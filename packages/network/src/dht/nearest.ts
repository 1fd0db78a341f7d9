import type { AbortOptions, Libp2p, PeerId, PeerInfo, PeerStore } from '@libp2p/interface'
import { sha256 } from '../sha256.ts'
import { knownPeersMax, knownPeersMs } from './limits.ts'
import { Neighbourhood, type RoutingTable } from './table.ts'

export interface NearestOptions extends AbortOptions {
  readonly exclude?: PeerId[]
}

/** What the answer to every question to the DHT has in it. */
export type FindNearest = (key: Uint8Array, options?: NearestOptions) => Promise<PeerInfo[]>

/**
 * Who is nearest to a key, of those in the table. kad-dht takes any key for the id of a peer first, an error with its stack
 * where it is none, and reads twenty peers from the database for each question; here addresses stay in memory until
 * they change, for {@link knownPeersMs} at most.
 *
 * @param otherwise - kad-dht's own, for keys that may be the id of a peer: that one is named too, be it near or not.
 */
export function createNearest(
  { table, peerStore, events }: { table: RoutingTable; peerStore: Pick<PeerStore, 'getInfo'>; events: Events },
  { otherwise, clock }: { otherwise: FindNearest; clock: () => number }
): FindNearest {
  const neighbourhood = new Neighbourhood(table)
  const known = new Map<string, { readonly info: PeerInfo; readonly untilMs: number }>()
  events.addEventListener('peer:update', ({ detail: { peer } }) => known.delete(peer.id.toString()))

  const infoOf = async (peer: PeerId, options: AbortOptions): Promise<PeerInfo | undefined> => {
    const name = peer.toString()
    const held = known.get(name)
    if (held !== undefined && held.untilMs > clock()) return held.info
    known.delete(name)
    const info = await readInfo(peerStore, peer, options)
    if (info !== undefined) known.set(name, { info, untilMs: clock() + knownPeersMs })
    const [oldest] = known.keys()
    if (known.size > knownPeersMax && oldest !== undefined) known.delete(oldest)
    return info
  }

  return async (key, options = {}) => {
    if (isPeerId(key)) return otherwise(key, options)
    const infos: PeerInfo[] = []
    for (const peer of neighbourhood.nearestTo(sha256(key), options)) {
      const info = await infoOf(peer, options)
      if (info !== undefined) infos.push(info)
    }
    return infos
  }
}

type Events = Pick<Libp2p, 'addEventListener'>

/** The multihash of a public key, or one that holds it. */
export function isPeerId(key: Uint8Array): boolean {
  return (key[0] === 0x12 || key[0] === 0) && key[1] === key.length - 2
}

async function readInfo(
  peerStore: Pick<PeerStore, 'getInfo'>,
  peer: PeerId,
  options: AbortOptions
): Promise<PeerInfo | undefined> {
  try {
    return await peerStore.getInfo(peer, options)
  } catch (error) {
    if ((error as Error).name !== 'NotFoundError') throw error
    return undefined
  }
}
