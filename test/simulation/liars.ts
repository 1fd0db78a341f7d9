/**
 * Nodes that lie. Each runs the real network code, over a store that is not true or with messages that no honest node
 * sends, so that a lie goes as far as the protocol lets it.
 */
import type { Network, NetworkComponents, Partition, PartitionId } from '@souk/network'
import { createItemVector, type Item, type ItemSet } from '@souk/negentropy'
import {
  type AnyRecord,
  type Channel,
  decodeCanonical,
  encodeCanonical,
  findWork,
  recordDigest,
  type RecordId,
  topicOf
} from '@souk/records'
import { digestName } from './market.ts'
import type { Peer } from './peer.ts'
import type { Random } from './random.ts'

/**
 * - `stale`: serves whatever it has ever seen, superseded and deleted records too.
 * - `forged`: serves records whose signature does not hold, or others than were asked for.
 * - `oversize`: serves and sends far more than any bound.
 * - `withholding`: lists all that it has, and records that do not exist, and serves none.
 * - `flooding`: gossips records of its own, valid and not, as fast as it can.
 */
export const liarKinds = ['stale', 'forged', 'oversize', 'withholding', 'flooding'] as const
export type LiarKind = (typeof liarKinds)[number]

/** What a liar gives its network in place of the truth. */
export function disguise(kind: LiarKind, components: NetworkComponents, random: Random): NetworkComponents {
  if (kind === 'flooding') return components
  const hoard = new Hoard(components, random, kind)
  return { ...components, records: hoard.records, sync: hoard.sync }
}

/** What a liar does unasked, from time to time. Returns how many others it reached with something that is an offence. */
export async function misbehave(kind: LiarKind, { peer, network, records, random }: Scene): Promise<number> {
  const { pubsub } = network.libp2p.services
  const carried = records.filter(({ channel }) => peer.channels.includes(channel))
  const { bytes: known, channel = random.pick(peer.channels) } = carried.length === 0 ? {} : random.pick(carried)
  const send = (bytes: Uint8Array): Promise<number> =>
    pubsub.publish(topicOf('main', channel), bytes).then(
      ({ recipients }) => recipients.length,
      () => 0
    )
  switch (kind) {
    case 'withholding':
      return 0
    case 'stale':
      if (known !== undefined) await send(known)
      return 0
    case 'forged':
      return known === undefined ? 0 : send(forge(known, random))
    case 'oversize':
      await pushFrame(network, random)
      return send(random.bytes(300_000))
    case 'flooding':
      return flood(() => send(known && random.chance(0.5) ? flip(known, random) : junk(random)))
  }
}

async function flood(sendOne: () => Promise<number>): Promise<number> {
  let reached = 0
  for (let sent = 0; sent < floodOnce; sent++) reached = Math.max(reached, await sendOne())
  return reached
}

/** What a liar has to work with. */
export interface Scene {
  readonly peer: Peer
  readonly network: Network
  /** Records of others. */
  readonly records: readonly Pick<AnyRecord, 'bytes' | 'channel'>[]
  readonly random: Random
}

const floodOnce = 100

const syncProtocol = '/souk/sync/1'

/** A frame of catch-up that says that it is 256 MiB long, and its first 64 KiB. */
async function pushFrame({ libp2p }: Network, random: Random): Promise<void> {
  const peers = libp2p.getPeers()
  if (peers.length === 0) return
  try {
    const stream = await libp2p.dialProtocol(random.pick(peers), syncProtocol)
    stream.send(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x01))
    stream.send(random.bytes(65_536))
  } catch {
    // The other side has had enough of it.
  }
}

function junk(random: Random): Uint8Array {
  return random.bytes(200 + random.below(2000))
}

/** What has one bit of another's record wrong, or puts a next revision into the author's mouth. */
function forge(bytes: Uint8Array, random: Random): Uint8Array {
  return random.chance(0.5) ? imitate(bytes, random) : flip(bytes, random)
}

function flip(bytes: Uint8Array, random: Random): Uint8Array {
  const forged = bytes.slice()
  const at = random.below(forged.length)
  forged[at] = (forged[at] ?? 0) ^ (1 << random.below(8))
  return forged
}

/** Right in everything, work included, but for the signature. */
function imitate(bytes: Uint8Array, random: Random): Uint8Array {
  const { body } = decodeCanonical(bytes, { bytesMax: bytes.length }) as { body: Uint8Array }
  const { pow: _, ...said } = decodeCanonical(body, { bytesMax: body.length }) as Record<string, unknown>
  const plain = { ...said, seq: (said['seq'] as number) + 1 }
  const { bits, nonce } = findWork(encodeCanonical(plain), imitationBits)
  return encodeCanonical({ body: encodeCanonical({ ...plain, pow: { bits, nonce } }), sig: random.bytes(64) })
}

/** What an idle node asks for a listing of an ordinary size. */
const imitationBits = 13

interface Hoarded {
  readonly bytes: Uint8Array
  readonly digest: Uint8Array
  readonly channel: Channel
  readonly day: number
  readonly createdAtMs: number
}

const dayMs = 86_400_000

/** Keeps every record that it has ever been given, and shows it as what is live. */
class Hoard {
  readonly #inner: NetworkComponents
  readonly #random: Random
  readonly #kind: LiarKind
  readonly #seen = new Map<string, Hoarded>()
  readonly #junk: Uint8Array
  /** The partitions, and how many records there were when they were summed up. */
  #summed: { readonly size: number; readonly items: ReadonlyMap<string, ItemSet> } = { size: 0, items: new Map() }

  constructor(inner: NetworkComponents, random: Random, kind: LiarKind) {
    this.#inner = inner
    this.#random = random
    this.#kind = kind
    this.#junk = random.bytes(kind === 'oversize' ? 100_000 : 0)
  }

  get records(): NetworkComponents['records'] {
    const { records } = this.#inner
    const put = async (list: readonly AnyRecord[], ...options: readonly never[]): ReturnType<typeof records.put> => {
      for (const record of list) this.#keep(record)
      return records.put(list, ...(options as unknown as []))
    }
    const getBytes = async (ids: readonly RecordId[]): Promise<(Uint8Array | undefined)[]> =>
      ids.map((id) => this.#serve(id))
    const inner = this.#inner
    return {
      put,
      getBytes,
      get lastSequence() {
        return inner.records.lastSequence
      }
    }
  }

  get sync(): NetworkComponents['sync'] {
    const { sync } = this.#inner
    return {
      epoch: sync.epoch,
      wanted: (digests) => Promise.resolve(digests.filter((digest) => !this.#seen.has(digestName(digest)))),
      cursor: (peer) => sync.cursor(peer),
      saveCursor: (peer, cursor) => sync.saveCursor(peer, cursor),
      forgetCursor: (peer) => sync.forgetCursor(peer),
      partitions: ({ channels }) => this.#partitions(channels),
      items: (partition) => Promise.resolve(this.#items().get(nameOf(partition)) ?? createItemVector([])),
      changesSince: (sequence, { channels }) => {
        const page = [...this.#seen.values()].slice(sequence, sequence + 1000)
        const changes = page.filter(({ channel }) => channels.includes(channel))
        return Promise.resolve({ changes, next: sequence + page.length, done: page.length < 1000 })
      }
    }
  }

  #keep({ id, bytes, channel, expiresAtMs, createdAtMs }: AnyRecord): void {
    const digest = recordDigest(id)
    const day = Math.floor(expiresAtMs / dayMs)
    this.#seen.set(digestName(digest), { bytes, digest, channel, day, createdAtMs })
    if (this.#kind !== 'withholding') return
    const invented = this.#random.bytes(32)
    this.#seen.set(digestName(invented), { bytes, digest: invented, channel, day, createdAtMs })
  }

  #serve(id: RecordId): Uint8Array | undefined {
    const held = this.#seen.get(digestName(recordDigest(id)))
    if (held === undefined || this.#kind === 'withholding') return undefined
    if (this.#kind === 'oversize') return this.#junk
    if (this.#kind !== 'forged') return held.bytes
    return this.#random.chance(0.5)
      ? forge(held.bytes, this.#random)
      : this.#random.pick([...this.#seen.values()]).bytes
  }

  #partitions(channels: readonly Channel[]): Partition[] {
    return [...this.#items()].flatMap(([name, items]) => {
      const [channel, day] = name.split(' ') as [Channel, string]
      if (!channels.includes(channel)) return []
      const fingerprint = items.fingerprint(0, items.size)
      return [{ market: 'main', channel, day: Number(day), count: items.size, fingerprint }]
    })
  }

  /** Of each partition, by its name. */
  #items(): ReadonlyMap<string, ItemSet> {
    if (this.#summed.size === this.#seen.size) return this.#summed.items
    const items = Map.groupBy(this.#seen.values(), nameOf)
    const sets = Array.from(items, ([name, list]) => [name, createItemVector(list.map(itemOf))] as const)
    this.#summed = { size: this.#seen.size, items: new Map(sets) }
    return this.#summed.items
  }
}

function nameOf({ channel, day }: Pick<PartitionId, 'channel' | 'day'>): string {
  return `${channel} ${day}`
}

function itemOf({ digest, createdAtMs }: Hoarded): Item {
  return { id: digest, timestampMs: createdAtMs }
}
