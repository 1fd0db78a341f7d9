import type { ItemSet } from '@souk/negentropy'
import type { Channel } from '@souk/records'
import type { Disk } from './disk.ts'
import { StorageError } from './errors.ts'
import { mapKey } from './keys.ts'
import { dayMs, pageMax, refusedMax, wantedMax } from './limits.ts'
import { type Change, readChanges, type Sequences } from './log.ts'
import type { Partition, PartitionId } from './partition.ts'
import type { PartitionBook } from './partition-book.ts'
import type { Tables } from './tables.ts'

/** Where this node stands in a peer's change log. */
export interface PeerCursor {
  /** Of the peer's store: another epoch means that its numbers start over. */
  readonly epoch: string
  readonly sequence: number
  /** This store's last change at that time. */
  readonly ours: number
}

/** What is asked of a change log by a peer that has a cursor. */
export interface ChangesQuery {
  readonly market: string
  readonly channels: readonly Channel[]
  /** Rows looked at, at most 1,000. */
  readonly limit?: number
}

/** What catch-up reads: the sums of partitions, their ids, and the change log for peers with a cursor. */
export interface SyncSource {
  /** Drawn once for this store; goes with every sequence number that peers keep. */
  readonly epoch: string
  /** What is held of these channels, unexpired days only, with the fingerprints that peers compare first. */
  partitions(query: { market: string; channels: readonly Channel[] }): Partition[]
  /** Items are (createdAtMs, 32-byte digest of the id). Follows later changes while it is in use. */
  items(partition: PartitionId): Promise<ItemSet>
  /**
   * Those of a peer's ids worth fetching: neither held, nor superseded, nor refused within the hour for want of room.
   *
   * @throws {@link StorageError} `limit` above 32,768 digests.
   */
  wanted(digests: readonly Uint8Array[]): Promise<Uint8Array[]>
  /**
   * Records stored after a sequence number, oldest first, still held.
   *
   * @returns `next`, to ask on from: everything up to it was looked at; and whether that was all.
   */
  changesSince(sequence: number, query: ChangesQuery): Promise<{ changes: Change[]; next: number; done: boolean }>
  cursor(peer: string): Promise<PeerCursor | undefined>
  saveCursor(peer: string, cursor: PeerCursor): Promise<void>
  forgetCursor(peer: string): Promise<void>
}

/** Digests that were refused, with when they may be asked for again. */
export interface RefusedDigests {
  /** @param author - By whom it is, where that was proven. */
  add(digest: Uint8Array, forMs: number, author?: Uint8Array): void
  has(digest: Uint8Array): boolean
  /** Has no word of this author refused any more. Returns how many were. */
  forgive(author: Uint8Array): number
}

export function createRefusedDigests(now: () => number): RefusedDigests {
  const refused = new Map<string, { readonly untilMs: number; readonly author: string | undefined }>()
  return {
    add(digest, forMs, author) {
      const [oldest] = refused.keys()
      if (refused.size >= refusedMax && oldest !== undefined) refused.delete(oldest)
      refused.set(mapKey(digest), { untilMs: now() + forMs, author: author && mapKey(author) })
    },
    has: (digest) => (refused.get(mapKey(digest))?.untilMs ?? 0) > now(),
    forgive(author) {
      const name = mapKey(author)
      const theirs = [...refused].filter((entry) => entry[1].author === name)
      for (const [digest] of theirs) refused.delete(digest)
      return theirs.length
    }
  }
}

/** What {@link createSyncSource} works on. */
export interface SyncSourceInit {
  readonly tables: Tables
  readonly disk: Disk
  readonly epoch: string
  readonly partitions: PartitionBook
  readonly sequences: Sequences
  readonly refused: RefusedDigests
  readonly now: () => number
}

export function createSyncSource({
  tables,
  disk,
  epoch,
  partitions,
  sequences,
  refused,
  now
}: SyncSourceInit): SyncSource {
  return {
    epoch,
    partitions({ market, channels }) {
      const today = Math.floor(now() / dayMs)
      return partitions
        .list()
        .filter((one) => one.market === market && channels.includes(one.channel) && one.day >= today)
    },
    items: (partition) => partitions.items(partition),
    wanted: (digests) => wantedOf(digests, { tables, refused }),
    async changesSince(sequence, { market, channels, limit = pageMax }) {
      const upTo = sequences.last
      const page = await readChanges(tables, sequence, limit)
      const changes = page.filter(
        (change) => change.type === 'stored' && change.market === market && channels.includes(change.channel)
      )
      const done = page.length < Math.min(limit, pageMax)
      return { changes, next: page.at(-1)?.sequence ?? Math.max(sequence, upTo), done }
    },
    async cursor(peer) {
      return (await tables.cursors.get(peer)) as PeerCursor | undefined
    },
    saveCursor: (peer, cursor) => disk.commit([{ type: 'put', sublevel: tables.cursors, key: peer, value: cursor }]),
    forgetCursor: (peer) => disk.commit([{ type: 'del', sublevel: tables.cursors, key: peer }])
  }
}

async function wantedOf(
  digests: readonly Uint8Array[],
  { tables, refused }: Pick<SyncSourceInit, 'tables' | 'refused'>
): Promise<Uint8Array[]> {
  if (digests.length > wantedMax) {
    throw new StorageError('limit', `${digests.length} digests in one question are more than ${wantedMax}; cut them`)
  }
  const keys = [...digests]
  const [held, stale] = await Promise.all([tables.records.hasMany(keys), tables.stale.hasMany(keys)])
  return keys.filter((digest, index) => held[index] !== true && stale[index] !== true && !refused.has(digest))
}
