import { randomUUID } from 'node:crypto'
import { createItemVector, type Item, type ItemSet } from '@souk/negentropy'
import { type AnyRecord, type Channel, compareForSlot, recordDigest, type RecordId } from '@souk/records'
import type { Partition, PartitionId, PeerCursor, RecordReader, SyncSource } from '../../src/catch-up/source.ts'
import type { PutOutcome, RecordStore } from '../../src/gate.ts'

const dayMs = 86_400_000

/** A store in memory that keeps one record a slot, as `@souk/storage` does on disk. */
export class TestStore implements RecordStore, RecordReader, SyncSource {
  readonly epoch = randomUUID()
  readonly records = new Map<RecordId, AnyRecord>()
  readonly #slots = new Map<string, AnyRecord>()
  readonly #waiting = new Set<() => void>()
  readonly #stale = new Set<string>()
  readonly #log: { digest: Uint8Array; id: RecordId }[] = []
  readonly #cursors = new Map<string, PeerCursor>()

  put(records: readonly AnyRecord[]): Promise<PutOutcome[]> {
    const outcomes = records.map((record) => this.#putOne(record))
    for (const check of this.#waiting) check()
    return Promise.resolve(outcomes)
  }

  holdsSlot(slot: Pick<AnyRecord, 'author' | 'kind' | 'key'>): Promise<boolean> {
    return Promise.resolve(this.#slots.has(nameOfSlot(slot)))
  }

  has(record: Pick<AnyRecord, 'id'>): boolean {
    return this.records.has(record.id)
  }

  /** Resolves once the store satisfies the condition. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = (): void => {
      if (condition()) resolve()
    }
    this.#waiting.add(check)
    await promise
    this.#waiting.delete(check)
  }

  get lastSequence(): number {
    return this.#log.length
  }

  getBytes(ids: readonly RecordId[]): Promise<(Uint8Array | undefined)[]> {
    return Promise.resolve(ids.map((id) => this.records.get(id)?.bytes))
  }

  partitions({ market, channels }: { market: string; channels: readonly Channel[] }): Partition[] {
    const found = new Map<string, PartitionId>()
    for (const record of this.records.values()) {
      if (record.market !== market || !channels.includes(record.channel)) continue
      const day = Math.floor(record.expiresAtMs / dayMs)
      found.set(`${record.channel} ${day}`, { market, channel: record.channel, day })
    }
    return [...found.values()].map((partition) => {
      const items = this.#itemsOf(partition)
      return { ...partition, count: items.size, fingerprint: items.fingerprint(0, items.size) }
    })
  }

  items(partition: PartitionId): Promise<ItemSet> {
    return Promise.resolve(this.#itemsOf(partition))
  }

  wanted(digests: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const held = new Set([...this.records.values()].map(keyOfRecord))
    return Promise.resolve(digests.filter((one) => !held.has(digestKey(one)) && !this.#stale.has(digestKey(one))))
  }

  changesSince(
    sequence: number,
    { channels, limit = 1000 }: { market: string; channels: readonly Channel[]; limit?: number }
  ): Promise<{ changes: { digest: Uint8Array }[]; next: number; done: boolean }> {
    const page = this.#log.slice(sequence, sequence + limit)
    const carried = page.filter(({ id }) => channels.includes(this.records.get(id)?.channel as Channel))
    return Promise.resolve({ changes: carried, next: sequence + page.length, done: page.length < limit })
  }

  cursor(peer: string): Promise<PeerCursor | undefined> {
    return Promise.resolve(this.#cursors.get(peer))
  }

  saveCursor(peer: string, cursor: PeerCursor): Promise<void> {
    this.#cursors.set(peer, cursor)
    return Promise.resolve()
  }

  forgetCursor(peer: string): Promise<void> {
    this.#cursors.delete(peer)
    return Promise.resolve()
  }

  #itemsOf({ market, channel, day }: PartitionId): ItemSet {
    const items: Item[] = []
    for (const record of this.records.values()) {
      const inside = record.market === market && record.channel === channel
      if (!inside || Math.floor(record.expiresAtMs / dayMs) !== day) continue
      items.push({ timestampMs: record.createdAtMs, id: recordDigest(record.id) })
    }
    return createItemVector(items)
  }

  #putOne(record: AnyRecord): PutOutcome {
    if (this.records.has(record.id)) return 'known'
    const slot = nameOfSlot(record)
    const standing = this.#slots.get(slot)
    if (standing !== undefined && compareForSlot(standing, record) < 0) {
      this.#stale.add(keyOfRecord(record))
      return 'stale'
    }
    if (standing !== undefined) {
      this.records.delete(standing.id)
      this.#stale.add(keyOfRecord(standing))
    }
    this.#slots.set(slot, record)
    this.records.set(record.id, record)
    this.#log.push({ digest: recordDigest(record.id), id: record.id })
    return 'stored'
  }
}

function nameOfSlot({ author, kind, key }: Pick<AnyRecord, 'author' | 'kind' | 'key'>): string {
  return `${Buffer.from(author).toString('hex')} ${kind} ${key}`
}

export function digestKey(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex')
}

export function keyOfRecord(record: Pick<AnyRecord, 'id'>): string {
  return digestKey(recordDigest(record.id))
}
