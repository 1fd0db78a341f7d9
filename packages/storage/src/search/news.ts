import type { AnyRecord } from '@souk/records'
import type { RemovedRecord } from '../draft.ts'
import type { StoredRecord } from '../entry.ts'
import { mapKey } from '../keys.ts'
import { documentOf } from './document.ts'
import { feedMax, recentBytesMax, recentMax } from './limits.ts'
import type { SearchDocument } from './query.ts'
import type { IndexBatch } from './sqlite-index.ts'

/** What happened to one record. */
interface Change {
  readonly type: 'stored' | 'removed'
  readonly sequence: number
  readonly digest: Uint8Array
  readonly record: AnyRecord
}

/**
 * The last changes of a store, kept until the index has them: who follows closely reads neither the log nor a record
 * again. When they are too many they are forgotten, and the log has them.
 */
export class News {
  /** Each change after this number is here. */
  #after: number
  #last: number
  #changes: Change[] = []

  /** @param last - Of the last change that the store has had. */
  constructor(last: number) {
    this.#after = last
    this.#last = last
  }

  stored(records: readonly StoredRecord[]): void {
    this.#add(records.map(({ sequence, digest, record }) => ({ type: 'stored', sequence, digest, record })))
  }

  removed(records: readonly RemovedRecord[]): void {
    this.#add(records.map(({ sequence, digest, record }) => ({ type: 'removed', sequence, digest, record })))
  }

  /**
   * The next changes for an index that has everything up to a number; undefined when some of them are not here any more.
   */
  batchAfter(sequence: number): IndexBatch | undefined {
    this.#forget(sequence)
    if (sequence < this.#after) return undefined
    const page = this.#changes.slice(0, feedMax)
    const puts = new Map<string, SearchDocument>()
    const deletes: Uint8Array[] = []
    for (const change of page) {
      const name = mapKey(change.digest)
      const document = change.type === 'stored' ? documentOf(change) : undefined
      if (document !== undefined) {
        puts.set(name, document)
      } else if (change.type === 'removed') {
        puts.delete(name)
        deletes.push(change.digest)
      }
    }
    return { deletes, puts: [...puts.values()], upTo: page.at(-1)?.sequence ?? sequence }
  }

  #add(changes: readonly Change[]): void {
    this.#last = changes.reduce((last, { sequence }) => Math.max(last, sequence), this.#last)
    const bytes = [...this.#changes, ...changes].reduce((sum, { record }) => sum + record.bytes.length, 0)
    if (this.#changes.length + changes.length > recentMax || bytes > recentBytesMax) {
      this.#changes = []
      this.#after = this.#last
      return
    }
    this.#changes.push(...changes)
    // One batch tells first what it stored and then what it removed.
    this.#changes.sort((a, b) => a.sequence - b.sequence)
  }

  #forget(sequence: number): void {
    const first = this.#changes.findIndex((change) => change.sequence > sequence)
    this.#changes = first === -1 ? [] : this.#changes.slice(first)
    this.#after = Math.max(this.#after, sequence)
  }
}
