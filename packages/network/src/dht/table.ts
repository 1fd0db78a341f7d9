import type { PeerId } from '@libp2p/interface'
import { nearestMax } from './limits.ts'

/** What is asked of kad-dht's table. */
export interface RoutingTable {
  /** All who are in it, each with its place: SHA-256 of its id. */
  readonly kb?: { toIterable(): Iterable<{ readonly peerId: PeerId; readonly kadId: Uint8Array }> }
  addEventListener(name: 'peer:add' | 'peer:remove', listener: () => void): void
}

/**
 * Who of kad-dht's table is nearest to a place. kad-dht goes through the tree for each question, 255 buckets of which most
 * are empty, and compares each peer with each that it has found; here they lie in a row until one comes or goes.
 */
export class Neighbourhood {
  readonly #table: RoutingTable
  #neighbours: readonly Neighbour[] | undefined

  constructor(table: RoutingTable) {
    this.#table = table
    const forget = (): void => {
      this.#neighbours = undefined
    }
    table.addEventListener('peer:add', forget)
    table.addEventListener('peer:remove', forget)
  }

  /**
   * Nearest first; {@link nearestMax} at most.
   *
   * @param place - 32 bytes.
   */
  nearestTo(place: Uint8Array, { exclude = [] }: { readonly exclude?: readonly PeerId[] | undefined } = {}): PeerId[] {
    this.#neighbours ??= Array.from(this.#table.kb?.toIterable() ?? [], ({ peerId, kadId }) => ({
      peer: peerId,
      place: kadId,
      prefix: prefixOf(kadId)
    }))
    const prefix = prefixOf(place)
    const nearest: PeerId[] = []
    const inOrder = this.#neighbours
      .map((neighbour) => ({ neighbour, distance: (neighbour.prefix ^ prefix) >>> 0 }))
      .sort((a, b) => a.distance - b.distance || compareFrom(a.neighbour.place, b.neighbour.place, place))
    for (const { neighbour } of inOrder) {
      if (nearest.length === nearestMax) break
      if (!exclude.some((other) => other.equals(neighbour.peer))) nearest.push(neighbour.peer)
    }
    return nearest
  }
}

interface Neighbour {
  readonly peer: PeerId
  readonly place: Uint8Array
  /** Of its place: almost always enough to tell who is nearer. */
  readonly prefix: number
}

function prefixOf(place: Uint8Array): number {
  return new DataView(place.buffer, place.byteOffset, place.byteLength).getUint32(0)
}

/** Negative when `a` is nearer to the target than `b`. */
function compareFrom(a: Uint8Array, b: Uint8Array, target: Uint8Array): number {
  const at = target.findIndex((_, index) => a[index] !== b[index])
  return at < 0 ? 0 : ((a[at] ?? 0) ^ (target[at] ?? 0)) - ((b[at] ?? 0) ^ (target[at] ?? 0))
}
