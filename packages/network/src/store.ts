/** One change of a batch. */
export type KeyValueOperation =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

/** Which keys, in which order. Never both `gt` and `gte`: Level obeys one of them only. */
export interface KeyRange {
  readonly gt?: string
  readonly gte?: string
  readonly lt?: string
  readonly reverse?: boolean
  /** -1 or absent: no bound. */
  readonly limit?: number
}

/**
 * The least that located sets and mailboxes need of a store: ordered string keys, byte values, atomic batches.
 * An abstract-level sublevel with `valueEncoding: 'view'` is one.
 */
export interface KeyValueStore {
  get(key: string): Promise<Uint8Array | undefined>
  batch(operations: KeyValueOperation[]): Promise<void>
  iterator(range: KeyRange): AsyncIterable<[string, Uint8Array]>
  keys(range: KeyRange): AsyncIterable<string>
}

/** The range of keys that begin with `prefix`, which must end in `/`. */
export function prefixRange(prefix: string): { gte: string; lt: string } {
  return { gte: prefix, lt: `${prefix.slice(0, -1)}0` }
}

/** A time as a key part: sorts by time. */
export function timeKey(timeMs: number): string {
  return timeMs.toString().padStart(15, '0')
}

/** Runs tasks one after the other, so that a read and the write that follows from it are one step. */
export function createQueue(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const next = last.then(task, task)
    last = next.catch(() => {})
    return next
  }
}
