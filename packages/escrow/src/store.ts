/**
 * One write of a batch. With `sublevel` it goes there instead, in the same atomic batch: a sibling of the store is
 * allowed (abstract-level 3).
 */
export type StoreOperation =
  | { type: 'put'; key: unknown; value: unknown; sublevel?: unknown; keyEncoding?: unknown; valueEncoding?: unknown }
  | { type: 'del'; key: unknown; sublevel?: unknown; keyEncoding?: unknown }

/**
 * Where journal and watcher remember: string keys, JSON values. An abstract-level database or sublevel opened with
 * `{ valueEncoding: 'json' }` is one. It must belong to this package alone.
 */
export interface EscrowStore {
  get(key: string): Promise<unknown>
  batch(operations: StoreOperation[], options: { sync: boolean }): Promise<void>
  iterator(range: { gte: string; lt: string; reverse?: boolean }): AsyncIterable<[string, unknown]>
}

/** All entries whose key starts with `prefix`, in key order. Values are our own writings. */
export async function readAll<Value>(store: EscrowStore, prefix: string): Promise<Value[]> {
  const values: Value[] = []
  for await (const [, value] of store.iterator({ gte: prefix, lt: `${prefix}\uFFFF` })) values.push(value as Value)
  return values
}
