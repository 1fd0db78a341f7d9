/**
 * Keeping feedback alive: DHT values lapse after 48 hours, keepers leave and join. Who published a record puts it
 * again daily; keepers of one subject compare their sets, and the nearest of them put the values again.
 */
import type { AbortOptions, Libp2p, Logger, PeerId } from '@libp2p/interface'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { encodeCanonical, decodeCanonical, recordDigest, type RecordId, reopenRecord } from '@souk/records'
import { blockOf } from '../guard/address.ts'
import type { Pace } from '../pace.ts'
import { createQueue, type KeyValueStore, prefixRange } from '../store.ts'
import { isServer, type ClosestPeers } from './closest.ts'
import {
  feedbackBytesMax,
  keepersMax,
  missedMax,
  recordsPerRunMax,
  republishAfterMs,
  republishersPerSubject,
  subjectsPerRunMax
} from './limits.ts'
import { type KeeperClient, readKeepers } from './reader.ts'
import type { Shelf } from './shelf.ts'
import type { FeedbackRecord } from './value.ts'

export interface Republisher {
  /** Puts a record on the list of what this node publishes: due at once, unless it is there already. */
  remember(record: FeedbackRecord): Promise<void>
  isRemembered(id: RecordId): Promise<boolean>
  /** Somebody has taken a record: it is due again after {@link republishAfterMs}. */
  taken(record: FeedbackRecord): Promise<void>
  /** All on that list. */
  published(): Promise<FeedbackRecord[]>
  /** Puts what is due, what was tried longest ago first; ends when nobody takes {@link missedMax} in a row. */
  putDue(options: AbortOptions): Promise<void>
  /** {@link putDue}, and compares what this node keeps with other keepers. */
  run(options: AbortOptions): Promise<void>
  /** Resolves when no run is under way. */
  idle(): Promise<void>
}

interface Components {
  readonly store: KeyValueStore
  readonly shelf: Shelf
  readonly client: KeeperClient
  readonly closest: ClosestPeers
  readonly dht: Parameters<typeof isServer>[0]
  readonly libp2p: Pick<Libp2p, 'peerId' | 'getConnections'>
  readonly log: Logger
}

interface Init {
  readonly now: () => number
  readonly pace: Pace
  /** Puts a record. Resolves true, after {@link Republisher.taken}, when somebody took it. */
  readonly put: (record: FeedbackRecord, options: AbortOptions) => Promise<boolean>
  readonly putTo: (record: FeedbackRecord, options: AbortOptions) => Promise<unknown>
}

export function createRepublisher(components: Components, init: Init): Republisher {
  const { store, shelf, closest, dht, libp2p, log } = components
  const inOrder = createQueue()
  const client = inTurns(components.client, init.pace)
  /** When each subject was last compared with its other keepers; after a restart all are due. */
  const compared = new Map<string, number>()
  /** When what nobody has taken yet was last tried. */
  const tried = new Map<RecordId, number>()

  const isRemembered = async (id: RecordId): Promise<boolean> => (await store.get(publishedKey(id))) !== undefined

  /** @param atMs - When it was last taken; 0 for never. */
  async function note(record: FeedbackRecord, atMs: number): Promise<void> {
    const value = encodeCanonical({ at: atMs, record: record.bytes })
    await store.batch([{ type: 'put', key: publishedKey(record.id), value }])
  }

  async function entries(): Promise<PublishedEntry[]> {
    const all: PublishedEntry[] = []
    for await (const [, value] of store.iterator(prefixRange('p/'))) all.push(decodeEntry(value))
    return all
  }

  async function putDue(options: AbortOptions): Promise<void> {
    let missed = 0
    for (const { record, atMs } of await inTurn()) {
      if (record.expiresAtMs <= init.now()) await store.batch([{ type: 'del', key: publishedKey(record.id) }])
      else if (init.now() - atMs >= republishAfterMs) {
        await init.pace(options)
        tried.set(record.id, init.now())
        missed = (await init.put(record, options)) ? 0 : missed + 1
        if (missed === missedMax) return
      }
    }
  }

  /** What nobody took when it was last tried comes after all others, so that it holds up none. */
  async function inTurn(): Promise<PublishedEntry[]> {
    const lastMs = ({ record, atMs }: PublishedEntry): number => Math.max(atMs, tried.get(record.id) ?? 0)
    return (await entries()).toSorted((a, b) => lastMs(a) - lastMs(b))
  }

  async function compareDue(options: AbortOptions): Promise<void> {
    if (!isServer(dht)) return
    const due = shelf.subjects().filter((subject) => isDue(compared.get(bytesToHex(subject)), init.now()))
    for (const subject of due.slice(0, subjectsPerRunMax)) {
      await init.pace(options)
      await compareSubject(subject, options)
      compared.set(bytesToHex(subject), init.now())
    }
    const held = new Set(shelf.subjects().map(bytesToHex))
    for (const subject of compared.keys()) if (!held.has(subject)) compared.delete(subject)
  }

  async function compareSubject(subject: Uint8Array, options: AbortOptions): Promise<void> {
    const keepers = (await closest.of(subject, options)).slice(0, keepersMax)
    for (const peer of keepers) {
      if (peer.equals(libp2p.peerId)) continue
      await reconcile({ shelf, client, libp2p }, { peer, subject }, options).catch((error: unknown) => {
        options.signal?.throwIfAborted()
        log('could not compare sets with %p - %e', peer, error)
      })
    }
    if (keepers.slice(0, republishersPerSubject).some((peer) => peer.equals(libp2p.peerId))) {
      for (const record of await someRecords(shelf, subject)) {
        await init.pace(options)
        await init.putTo(record, options)
      }
    }
  }

  return {
    async remember(record) {
      if (!(await isRemembered(record.id))) await note(record, 0)
    },
    isRemembered,
    taken(record) {
      tried.delete(record.id)
      return note(record, init.now())
    },
    published: async () => (await entries()).map(({ record }) => record),
    putDue: (options) => inOrder(() => putDue(options)),
    run: (options) =>
      inOrder(async () => {
        await shelf.sweep()
        await putDue(options)
        await compareDue(options)
      }),
    idle: () => inOrder(async () => {})
  }
}

interface PublishedEntry {
  readonly record: FeedbackRecord
  readonly atMs: number
}

function publishedKey(id: RecordId): string {
  return `p/${bytesToHex(recordDigest(id))}`
}

function decodeEntry(value: Uint8Array): PublishedEntry {
  const { at, record } = decodeCanonical(value, { bytesMax: feedbackBytesMax + 64 }) as {
    at: number
    record: Uint8Array
  }
  return { atMs: at, record: reopenRecord(new Uint8Array(record)) as FeedbackRecord }
}

function isDue(lastMs: number | undefined, nowMs: number): boolean {
  return lastMs === undefined || nowMs - lastMs >= republishAfterMs
}

/** Sums belong to the turn of their subject; what else a keeper is asked, and sent, has turns of its own. */
function inTurns(client: KeeperClient, pace: Pace): KeeperClient {
  return {
    sum: (peer, subject, options) => client.sum(peer, subject, options),
    async add(peer, record, options = {}) {
      await pace(options)
      return client.add(peer, record, options)
    },
    async list(peer, subject, options = {}) {
      await pace(options)
      return client.list(peer, subject, options)
    },
    async get(peer, wanted, options = {}) {
      await pace(options)
      return client.get(peer, wanted, options)
    }
  }
}

/** Two keepers end with the union of what they have, as far as their bounds allow. Equal sets cost one question. */
async function reconcile(
  { shelf, client, libp2p }: Pick<Components, 'shelf' | 'client' | 'libp2p'>,
  { peer, subject }: { peer: PeerId; subject: Uint8Array },
  options: AbortOptions
): Promise<void> {
  const theirs = await client.sum(peer, subject, options)
  const ours = shelf.summary(subject)
  if (theirs.count === ours.count && theirs.sum === ours.sum) return
  const held = new Set((await shelfDigests(shelf, subject)).map(bytesToHex))
  const reading = await readKeepers(client, { peers: [peer], subject, known: held, enough: 1 }, options)
  const [connection] = libp2p.getConnections(peer)
  const block = connection === undefined ? 'unconnected' : blockOf(connection.remoteAddr)
  // A bound of this shelf may refuse some; the other keeper keeps them.
  for (const record of reading.records.values()) await shelf.add(record, { block }).catch(() => {})
  const listed = new Set(reading.listed)
  const toSend = Array.from(held).filter((digest) => !listed.has(digest))
  for (const digest of toSend.slice(0, recordsPerRunMax)) {
    const bytes = await shelf.get(subject, hexToBytes(digest))
    if (bytes !== undefined) await client.add(peer, bytes, options)
  }
}

async function shelfDigests(shelf: Shelf, subject: Uint8Array): Promise<readonly Uint8Array[]> {
  return (await shelf.page(subject, { after: undefined, limit: shelf.summary(subject).count })).digests
}

/** Up to {@link recordsPerRunMax} records; of a larger set a random stretch, so that all get their turn. */
async function someRecords(shelf: Shelf, subject: Uint8Array): Promise<FeedbackRecord[]> {
  const digests = await shelfDigests(shelf, subject)
  const from = digests.length > recordsPerRunMax ? Math.floor(Math.random() * digests.length) : 0
  const chosen = [...digests.slice(from), ...digests.slice(0, from)].slice(0, recordsPerRunMax)
  const bytes = await Promise.all(chosen.map((digest) => shelf.get(subject, digest)))
  return bytes.filter((each) => each !== undefined).map((each) => reopenRecord(each) as FeedbackRecord)
}
