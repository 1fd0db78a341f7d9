/** Values made once and kept while they are among the last `max` asked for. */
export interface Recent<T> {
  readonly size: number
  /** The value of this name, made when it is not there. */
  get(name: string, make: () => T): T
}

/** @param max - Values kept, least recently asked for forgotten first. */
export function createRecent<T>(max: number): Recent<T> {
  const values = new Map<string, T>()
  return {
    get size() {
      return values.size
    },
    get(name, make) {
      const value = values.has(name) ? (values.get(name) as T) : make()
      values.delete(name)
      values.set(name, value)
      for (const oldest of values.keys()) {
        if (values.size <= max) break
        values.delete(oldest)
      }
      return value
    }
  }
}
