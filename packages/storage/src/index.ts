/**
 * What a node remembers, on Level: signed records with their slots, quotas and expiry, orders, outbox and inbox, and
 * what catch-up compares.
 *
 * @example
 * ```ts
 * await using storage = await createStorage({ directory: 'souk-data', now: Date.now })
 * const [outcome] = await storage.records.put(record, { own: true }) // 'stored': on disk, searchable in a moment
 * const newest = await storage.records.list({ kind: 'listing', category: 'el', limit: 20 })
 * ```
 *
 * @packageDocumentation
 */
export type { PutOutcome } from './admission.ts'
export type { CheckDepth, CheckReport, DamagedPartition } from './check.ts'
export type { DiskState } from './disk.ts'
export type { RemovalReason, RemovedRecord } from './draft.ts'
export type { StoredRecord, Trust } from './entry.ts'
export { StorageError } from './errors.ts'
export type { StorageErrorCode } from './errors.ts'
export type { Unsubscribe } from './events.ts'
export type { DeadLetter, Inbox, RejectedMessage } from './inbox.ts'
export { storageLimits } from './limits.ts'
export type { StorageLimits } from './limits.ts'
export type { Change } from './log.ts'
export type { Json, OrderEvent, OrderFact, OrderStep, OrderStore, OrderSummary } from './orders.ts'
export type { Outbox, OutboxEntry, OutboxHeader, OutboxMessage, OutboxState, Retry } from './outbox.ts'
export type { Partition, PartitionId } from './partition.ts'
export type { ListQuery, PutOptions, RecordEvents, RecordStore } from './records.ts'
export type { Slot } from './slot.ts'
export type { SearchEngine } from './search/engine.ts'
export type { IndexQuery, SearchDocument, SearchHit, SearchQuery, SearchResult } from './search/query.ts'
export type { Search } from './search/search.ts'
export type { IndexBatch, IndexHit, IndexResult, MirroredStore } from './search/sqlite-index.ts'
export { createStorage } from './storage.ts'
export type { Opening, Storage, StorageEvents, StorageInit } from './storage.ts'
export type { ChangesQuery, PeerCursor, SyncSource } from './sync.ts'
export type { LevelDatabase, StorageOp, Sublevel } from './tables.ts'
