import type { PutOutcome, RecordReader, RecordStore, SyncSource } from '@souk/network'
import { type AnyRecord, recordDigest } from '@souk/records'
import { type Storage, StorageError } from '@souk/storage'
import { deniedDigestsMax } from './limits.ts'
import type { List } from './lists.ts'

/** A relay's store as the network sees it: the operator's lists stand before it. */
export interface RelayRecords {
  readonly records: RecordStore & RecordReader
  readonly sync: SyncSource
}

/**
 * Keeps out what denied identities sign and gives allowed ones the quotas of trusted ones. While the disk is full,
 * records are turned away rather than failing: what is stored is still served.
 */
export function createRelayRecords(
  { records, sync }: Pick<Storage, 'records' | 'sync'>,
  { deny, allow }: { deny: List; allow: List }
): RelayRecords {
  const denied = createDigestSet(deniedDigestsMax)
  const trusted = (author: Uint8Array): boolean => allow.hasIdentity(author)

  const put = async (list: readonly AnyRecord[]): Promise<readonly PutOutcome[]> => {
    const wanted: AnyRecord[] = []
    for (const record of list) {
      if (deny.hasIdentity(record.author)) denied.add(recordDigest(record.id))
      else wanted.push(record)
    }
    const outcomes = await putUnlessFull(wanted)
    let at = 0
    return list.map((record) => (record === wanted[at] ? outcomes[at++] : undefined) ?? 'over-quota')
  }

  const putUnlessFull = async (list: readonly AnyRecord[]): Promise<readonly PutOutcome[]> => {
    try {
      return await records.put(list, { trusted })
    } catch (error) {
      if (error instanceof StorageError && error.code === 'read-only') return []
      throw error
    }
  }

  return {
    records: {
      put,
      holdsSlot: (slot) => records.holdsSlot(slot),
      putOff: (ids) => records.putOff(ids),
      getBytes: (ids) => records.getBytes(ids),
      get lastSequence() {
        return records.lastSequence
      }
    },
    sync: {
      epoch: sync.epoch,
      partitions: (query) => sync.partitions(query),
      items: (partition) => sync.items(partition),
      wanted: async (digests) => (await sync.wanted(digests)).filter((digest) => !denied.has(digest)),
      changesSince: (sequence, query) => sync.changesSince(sequence, query),
      cursor: (peer) => sync.cursor(peer),
      saveCursor: (peer, cursor) => sync.saveCursor(peer, cursor),
      forgetCursor: (peer) => sync.forgetCursor(peer)
    }
  }
}

/** Remembers the last `most` digests. */
function createDigestSet(most: number): { add(digest: Uint8Array): void; has(digest: Uint8Array): boolean } {
  const keys = new Set<string>()
  const keyOf = (digest: Uint8Array): string => Buffer.from(digest).toString('latin1')
  return {
    add(digest) {
      const [oldest] = keys
      if (keys.size >= most && oldest !== undefined) keys.delete(oldest)
      keys.add(keyOf(digest))
    },
    has: (digest) => keys.has(keyOf(digest))
  }
}
