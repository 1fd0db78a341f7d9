import { rm } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { StorageError } from '../errors.ts'
import { heapMb, youngHeapMb } from './limits.ts'
import type { IndexQuery } from './query.ts'
import type { IndexBatch, IndexResult, MirroredStore } from './sqlite-index.ts'
import type { WorkerCall, WorkerReply } from './worker-protocol.ts'

/**
 * Where listings are indexed. The default is SQLite in a thread; whoever indexes a very large market puts a search
 * cluster here. It is a copy: an engine that has lost something says so by its sequence number, and is fed again.
 */
export interface SearchEngine {
  /**
   * Starts, or starts again after a failure.
   *
   * @returns Up to which sequence number of this store everything is indexed; 0 for nothing.
   */
  open(store: MirroredStore, options: { fresh: boolean }): Promise<number>
  /** Indexes changes and remembers how far it is, both or neither. */
  apply(batch: IndexBatch): Promise<void>
  query(query: IndexQuery): Promise<IndexResult>
  close(): Promise<void>
}

/** @param path - The index's file, or `:memory:`. */
export function createWorkerEngine(path: string): SearchEngine & { terminate(): Promise<void> } {
  return new WorkerEngine(path)
}

interface PendingCall {
  readonly resolve: (value: never) => void
  readonly reject: (error: StorageError) => void
}

class WorkerEngine implements SearchEngine {
  readonly #path: string
  readonly #pending = new Map<number, PendingCall>()
  #worker: Worker | undefined
  #lastId = 0

  constructor(path: string) {
    this.#path = path
  }

  async open(store: MirroredStore, { fresh }: { fresh: boolean }): Promise<number> {
    await this.#worker?.terminate()
    if (fresh) await this.#deleteFiles()
    const worker = new Worker(workerUrl(), {
      name: 'souk-search',
      workerData: { path: this.#path, store },
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: youngHeapMb },
      // What the main thread was started with (conditions, loaders, inspector) is not for this one.
      execArgv: []
    })
    this.#worker = worker
    worker.on('message', (reply: WorkerReply) => this.#settle(reply))
    worker.on('error', (error: Error) => this.#fail(worker, error.message))
    worker.on('exit', () => this.#fail(worker, 'the search thread ended'))
    return this.#expect<number>(0)
  }

  apply(batch: IndexBatch): Promise<void> {
    return this.#call((id) => ({ id, method: 'apply', argument: batch }))
  }

  query(query: IndexQuery): Promise<IndexResult> {
    return this.#call((id) => ({ id, method: 'query', argument: query }))
  }

  async close(): Promise<void> {
    const worker = this.#worker
    if (worker === undefined) return
    await this.#call((id) => ({ id, method: 'close' })).catch(() => undefined)
    this.#worker = undefined
    await worker.terminate()
  }

  /** Ends the thread as a crash would. */
  async terminate(): Promise<void> {
    await this.#worker?.terminate()
  }

  #call<T>(callOf: (id: number) => WorkerCall): Promise<T> {
    const worker = this.#worker
    if (worker === undefined) return Promise.reject(failed('the search thread is not running'))
    const id = ++this.#lastId
    const reply = this.#expect<T>(id)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    worker.postMessage(callOf(id))
    return reply
  }

  /** The thread keeps the process alive only while somebody waits for it. */
  #expect<T>(id: number): Promise<T> {
    this.#worker?.ref()
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
    })
  }

  #settle(reply: WorkerReply): void {
    const call = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (this.#pending.size === 0) this.#worker?.unref()
    if ('error' in reply) call?.reject(failed(reply.error))
    else call?.resolve(reply.value as never)
  }

  #fail(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return
    this.#worker = undefined
    for (const call of this.#pending.values()) call.reject(failed(reason))
    this.#pending.clear()
  }

  async #deleteFiles(): Promise<void> {
    if (this.#path === ':memory:') return
    for (const suffix of ['', '-wal', '-shm']) await rm(`${this.#path}${suffix}`, { force: true })
  }
}

/** The thread's own file, as source or as built. */
function workerUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? '../search-worker.ts' : '../search-worker.js', import.meta.url)
}

function failed(reason: string): StorageError {
  return new StorageError('search-failed', `search could not answer: ${reason}; it starts again by itself`)
}
