import assert from 'node:assert/strict'
import type { PeerId, PeerInfo, RoutingOptions } from '@libp2p/interface'
import type { KadDHT, QueryEvent } from '@libp2p/kad-dht'
import { bytesToHex } from '@noble/hashes/utils.js'
import { sha256 } from '../sha256.ts'
import { namedPerAnswerMax, nearestMax, questionsAtOnceMax, walkOnMax, walkOnMs } from './limits.ts'

/**
 * Lets each walk end as Kademlia's does: when those nearest to the key, of all who were named, have been asked. kad-dht asks
 * nobody who is further than whoever names them: who knows one relay only, and it is nearest to the key, found that one
 * and nobody else, and put feedback there alone.
 *
 * @param dht - Changed in place.
 */
export function walkToTheEnd(dht: KadDHT, self: PeerId): void {
  const { queryManager, routingTable } = internalsOf(dht)
  const run = queryManager.run.bind(queryManager)
  queryManager.run = async function* (key, ask, options = {}) {
    const walk = new Walk(sha256(key), self)
    const asking: Ask = async function* (context) {
      walk.asks(context.peer.id)
      for await (const event of ask(context)) {
        if (event.name === 'PEER_RESPONSE') walk.hears(event.from, event.closer)
        yield event
      }
    }
    yield* run(key, asking, options)
    const signal = options.signal ?? AbortSignal.timeout(walkOnMs)
    for (let next = walk.next(); next.length > 0 && !signal.aborted; next = walk.next()) {
      const path = { index: 0, queued: 0, running: next.length, total: next.length }
      const answers = await Promise.all(
        next.map(({ peer, place }) => collect(asking({ key, peer, peerKadId: place, path, numPaths: 1, signal })))
      )
      for (const event of answers.flat()) {
        if (event.name === 'PEER_RESPONSE') routingTable.queueRoutingTableUpdate(event.from)
        yield event
      }
    }
  }
}

/** One who was named on a walk. */
interface Named {
  readonly peer: PeerInfo
  /** Where it is in the DHT: SHA-256 of its id. */
  readonly place: Uint8Array
  /** XOR distance from the key, in hexadecimal. */
  readonly distance: string
}

/** Who was named, asked and heard on the way to a key. */
class Walk {
  readonly #target: Uint8Array
  readonly #self: PeerId
  readonly #named = new Map<string, Named>()
  readonly #asked = new Set<string>()
  readonly #heard = new Set<string>()
  #more = walkOnMax

  constructor(target: Uint8Array, self: PeerId) {
    this.#target = target
    this.#self = self
  }

  asks(peer: PeerId): void {
    this.#asked.add(peer.toString())
  }

  hears(from: PeerId, closer: readonly PeerInfo[]): void {
    this.#heard.add(from.toString())
    for (const peer of [{ id: from, multiaddrs: [] }, ...closer.slice(0, namedPerAnswerMax)]) {
      const name = peer.id.toString()
      if (!this.#named.has(name) && !peer.id.equals(this.#self)) this.#named.set(name, this.#place(peer))
    }
  }

  /** Of the nearest who answer or may answer, those who have not been asked; none when the walk is at its end. */
  next(): Named[] {
    const nearest = Array.from(this.#named)
      .filter(([name]) => this.#heard.has(name) || !this.#asked.has(name))
      .toSorted(([, a], [, b]) => (a.distance < b.distance ? -1 : 1))
      .slice(0, nearestMax)
    const next = nearest
      .filter(([name]) => !this.#asked.has(name))
      .slice(0, Math.min(questionsAtOnceMax, this.#more))
      .map(([, named]) => named)
    this.#more -= next.length
    return next
  }

  #place(peer: PeerInfo): Named {
    const place = sha256(peer.id.toMultihash().bytes)
    return { peer, place, distance: bytesToHex(place.map((byte, index) => byte ^ (this.#target[index] ?? 0))) }
  }
}

/** What came until it failed: one peer's answer, however wrong, ends nobody else's walk, as in kad-dht's own part of it. */
async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  try {
    for await (const event of events) all.push(event)
  } catch {
    return all
  }
  return all
}

/** How kad-dht asks one peer. */
type Ask = (context: AskContext) => AsyncIterable<QueryEvent>

interface AskContext {
  readonly key: Uint8Array
  readonly peer: PeerInfo
  readonly peerKadId: Uint8Array
  readonly path: { readonly index: number; readonly queued: number; readonly running: number; readonly total: number }
  readonly numPaths: number
  readonly signal?: AbortSignal
}

/** What of kad-dht its interface leaves out: every walk goes through the first. */
interface Internals {
  readonly queryManager: { run: (key: Uint8Array, ask: Ask, options?: RoutingOptions) => AsyncGenerator<QueryEvent> }
  readonly routingTable: { queueRoutingTableUpdate: (peer: PeerId) => void }
}

function internalsOf(dht: KadDHT): Internals {
  const internals = dht as KadDHT & Internals
  for (const method of [internals.queryManager?.run, internals.routingTable?.queueRoutingTableUpdate]) {
    assert.equal(typeof method, 'function', 'kad-dht walks in another way than this was made for')
  }
  return internals
}
