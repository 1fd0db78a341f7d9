import type { ItemSet } from '@souk/negentropy'
import type { Channel, RecordId } from '@souk/records'

/** Records of one channel of one market that expire on one day (UTC, counted from 1970). */
export interface PartitionId {
  readonly market: string
  readonly channel: Channel
  readonly day: number
}

/** A partition with what two peers compare first. */
export interface Partition extends PartitionId {
  readonly count: number
  /** 16 bytes: Negentropy V1's fingerprint over the whole partition. */
  readonly fingerprint: Uint8Array
}

/** Where this node stands in a peer's change log. */
export interface PeerCursor {
  /** Of the peer's store: another epoch means that its numbers start over. */
  readonly epoch: string
  readonly sequence: number
  /** Our own store's last change at that time. */
  readonly ours: number
}

/** The least that catch-up needs of a store. `@souk/storage` has it as `storage.sync`. */
export interface SyncSource {
  /** Drawn once for this store; goes with every sequence number that peers keep. */
  readonly epoch: string
  /** What is held of these channels, unexpired days only. */
  partitions(query: { market: string; channels: readonly Channel[] }): Partition[] | Promise<Partition[]>
  /** Items are (createdAtMs, 32-byte digest of the id). */
  items(partition: PartitionId): Promise<ItemSet>
  /** Those worth fetching: neither held, nor superseded, nor lately refused. */
  wanted(digests: readonly Uint8Array[]): Promise<Uint8Array[]>
  /** Records stored after a sequence number, oldest first, still held; and the number to ask on from. */
  changesSince(
    sequence: number,
    query: { market: string; channels: readonly Channel[]; limit?: number }
  ): Promise<{ changes: readonly { readonly digest: Uint8Array }[]; next: number; done: boolean }>
  cursor(peer: string): Promise<PeerCursor | undefined>
  saveCursor(peer: string, cursor: PeerCursor): Promise<void>
  forgetCursor(peer: string): Promise<void>
}

/** What catch-up reads of the records themselves. `@souk/storage` has it as `storage.records`. */
export interface RecordReader {
  /** The signed bytes of each id, as they travel; undefined for what is not held. */
  getBytes(ids: readonly RecordId[]): Promise<(Uint8Array | undefined)[]>
  /** Of the last change that is durable. */
  readonly lastSequence: number
}
