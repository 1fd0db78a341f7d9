import { recordIdOfDigest } from '@souk/records'
import { isDiskFull } from '../disk.ts'
import { decodeStored } from '../entry.ts'
import { StorageError } from '../errors.ts'
import type { Unsubscribe } from '../events.ts'
import { type Change, readChanges } from '../log.ts'
import type { RecordStore } from '../records.ts'
import type { Tables } from '../tables.ts'
import { documentOf } from './document.ts'
import type { SearchEngine } from './engine.ts'
import { feedMax, restartsMax } from './limits.ts'
import { News } from './news.ts'
import { type IndexQuery, type SearchDocument, type SearchQuery, type SearchResult, toIndexQuery } from './query.ts'
import type { IndexBatch, IndexResult } from './sqlite-index.ts'

/** Finds listings. What it knows is a copy that follows the change log, a few milliseconds behind. */
export interface Search {
  /** @throws {@link StorageError} `bad-argument` or `search-failed`. */
  query(query: SearchQuery, options?: { signal?: AbortSignal }): Promise<SearchResult>
  /** Everything up to this number of the change log can be found. */
  readonly indexedSequence: number
  /** Resolves when everything up to `sequence` can be found. */
  caughtUp(sequence: number, signal?: AbortSignal): Promise<void>
}

/** What {@link startSearch} works on. */
export interface SearchInit {
  readonly engine: SearchEngine
  readonly records: RecordStore
  readonly tables: Tables
  readonly epoch: string
  readonly now: () => number
}

/** Starts feeding the engine; returns at once. */
export function startSearch(init: SearchInit): Search & { close(): Promise<void> } {
  return new FedSearch(init)
}

/** Of a store that was opened without search: it finds nothing and says why. */
export function searchOff(): Search & { close(): Promise<void> } {
  const refuse = (): Promise<never> =>
    Promise.reject(new StorageError('search-failed', 'this store was opened without search'))
  return { query: refuse, caughtUp: refuse, indexedSequence: 0, close: () => Promise.resolve() }
}

interface Waiter {
  readonly sequence: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

class FedSearch implements Search {
  readonly #init: SearchInit
  readonly #news: News
  readonly #waiters = new Set<Waiter>()
  readonly #unsubscribe: Unsubscribe[]
  readonly #fed: Promise<void>
  #sequence = 0
  #opening: Promise<void> | undefined
  #failures = 0
  #isClosed = false
  #hasNews = false
  #wake: (() => void) | undefined

  constructor(init: SearchInit) {
    this.#init = init
    const { records } = init
    this.#news = new News(records.lastSequence)
    this.#unsubscribe = [
      records.on('stored', (stored) => {
        this.#news.stored(stored)
        this.#onNews()
      }),
      records.on('removed', (removed) => {
        this.#news.removed(removed)
        this.#onNews()
      })
    ]
    this.#fed = this.#feed()
  }

  get indexedSequence(): number {
    return this.#sequence
  }

  async query(query: SearchQuery, { signal }: { signal?: AbortSignal } = {}): Promise<SearchResult> {
    const plain = toIndexQuery(query, this.#init.now())
    signal?.throwIfAborted()
    const { hits, ...result } = await this.#ask(plain)
    signal?.throwIfAborted()
    return { ...result, hits: hits.map(({ digest, ...hit }) => ({ id: recordIdOfDigest(digest), ...hit })) }
  }

  caughtUp(sequence: number, signal?: AbortSignal): Promise<void> {
    if (this.#sequence >= sequence) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const onAbort = (): void => settle(() => reject(signal?.reason as Error))
      const settle = (end: () => void): void => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', onAbort)
        end()
      }
      const waiter: Waiter = {
        sequence,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error))
      }
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', onAbort)
      if (signal?.aborted === true) onAbort()
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    this.#onNews()
    await this.#fed
    await this.#init.engine.close()
    this.#rejectWaiters(new StorageError('closed', 'the store was closed'))
  }

  /** A thread that died under a question is started again, and asked again: it may have died of somebody else's. */
  async #ask(query: IndexQuery): Promise<IndexResult> {
    const { engine } = this.#init
    for (let attempt = 0; ; attempt++) {
      const opening = this.#opened()
      try {
        await opening
        return await engine.query(query)
      } catch (error) {
        this.#throwIfClosed()
        this.#forget(opening)
        if (attempt === restartsMax) throw error
      }
    }
  }

  async #feed(): Promise<void> {
    while (!this.#isClosed) {
      const opening = this.#opened()
      let isOpen = false
      try {
        await opening
        isOpen = true
        await this.#feedSome()
        this.#failures = 0
      } catch (error) {
        // An engine whose disk is full still answers: started again with each piece of news, it would not.
        if (!isOpen || !isDiskFull(error)) this.#forget(opening)
        await this.#onFailure(error)
      }
    }
  }

  async #onFailure(error: unknown): Promise<void> {
    // A full disk is no damage: the index stays as it is until there is something new to index.
    if (isDiskFull(error)) return this.#untilNews()
    if (this.#isClosed || ++this.#failures <= restartsMax + 1) return
    // Not even a new index works: whoever waits learns of it, and the next news try again.
    this.#rejectWaiters(error)
    await this.#untilNews()
  }

  /** Shared by feeding and asking: one start at a time. After repeated failures the index is made anew. */
  #opened(): Promise<void> {
    this.#opening ??= this.#open()
    return this.#opening
  }

  /** The engine has to be opened again, unless somebody else has done so by now. */
  #forget(opening: Promise<void>): void {
    if (this.#opening === opening) this.#opening = undefined
  }

  async #open(): Promise<void> {
    const { engine, records, tables, epoch } = this.#init
    const trimmedTo = ((await tables.meta.get('trimmed')) as number | undefined) ?? 0
    const store = { epoch, lastSequence: records.lastSequence, trimmedTo }
    this.#sequence = await engine.open(store, { fresh: this.#failures > restartsMax })
    this.#tellWaiters()
  }

  async #feedSome(): Promise<void> {
    const batch = this.#news.batchAfter(this.#sequence) ?? (await this.#batchOfLog())
    if (batch.upTo === this.#sequence) return this.#untilNews()
    await this.#init.engine.apply(batch)
    this.#sequence = batch.upTo
    this.#tellWaiters()
  }

  async #batchOfLog(): Promise<IndexBatch> {
    const page = await readChanges(this.#init.tables, this.#sequence, feedMax)
    const listings = page.filter(({ channel }) => channel.startsWith('listings/'))
    const puts = await this.#documents(listings.filter(({ type }) => type === 'stored'))
    const deletes = listings.filter(({ type }) => type === 'removed').map(({ digest }) => digest)
    return { deletes, puts, upTo: page.at(-1)?.sequence ?? this.#sequence }
  }

  async #documents(changes: readonly Change[]): Promise<SearchDocument[]> {
    const values = await this.#init.tables.records.getMany(changes.map(({ digest }) => digest))
    return changes.flatMap(({ digest }, index) => {
      const stored = values[index] === undefined ? undefined : decodeStored(digest, values[index])
      const document = stored === undefined ? undefined : documentOf(stored)
      return document === undefined ? [] : [document]
    })
  }

  #onNews(): void {
    this.#hasNews = true
    this.#wake?.()
  }

  /** Resolves when something happened since the last time. */
  async #untilNews(): Promise<void> {
    if (!this.#hasNews && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#hasNews = false
  }

  #tellWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.sequence <= this.#sequence) waiter.resolve()
  }

  #rejectWaiters(error: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(error)
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw new StorageError('closed', 'the store was closed')
  }
}
