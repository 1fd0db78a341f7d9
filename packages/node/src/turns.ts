/**
 * One at a time for each name, in the order of the calls: what reads, decides and writes about one thing must not be
 * overtaken by itself. Different names do not wait for each other, so that many at once share one write to the platter.
 * A task must not wait for a turn of its own name.
 */
export type Turns = <T>(name: string, task: () => Promise<T>) => Promise<T>

export function createTurns(): Turns {
  const last = new Map<string, Promise<unknown>>()
  return (name, task) => {
    const result = (last.get(name) ?? Promise.resolve()).then(task)
    const settled = result
      .catch(() => undefined)
      .finally(() => {
        if (last.get(name) === settled) last.delete(name)
      })
    last.set(name, settled)
    return result
  }
}
