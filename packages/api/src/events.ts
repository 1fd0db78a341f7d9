import type { NodeEvent } from '@souk/node'
import { eventsKept } from './limits.ts'

/** An event with its place in this daemon's life; numbers start anew with each start, and so does `run`. */
export interface NumberedEvent {
  /** Counts from 1. */
  readonly seq: number
  /** Names the daemon's life: a number of another one means nothing. */
  readonly run: string
  readonly event: NodeEvent | { readonly type: 'gap' }
}

/** The last events, and whoever listens. */
export interface EventLog {
  /**
   * Calls `listener` with what came after `after`, then with all that comes. Begins with a `gap` when some of it is
   * no longer kept: the client then reloads what it shows.
   *
   * @returns Stops it.
   */
  follow(after: { seq: number; run: string } | undefined, listener: (event: NumberedEvent) => void): () => void
}

/** Reads a node's events into a ring until `signal` aborts. */
export function createEventLog(
  components: { events: AsyncIterable<NodeEvent> },
  init: { run: string; onError: (error: unknown) => void }
): EventLog {
  const kept: NumberedEvent[] = []
  const listeners = new Set<(event: NumberedEvent) => void>()
  let seq = 0

  const pump = async (): Promise<void> => {
    for await (const event of components.events) {
      const numbered = { seq: ++seq, run: init.run, event }
      kept.push(numbered)
      if (kept.length > eventsKept) kept.shift()
      for (const listener of listeners) listener(numbered)
    }
  }
  pump().catch(init.onError)

  return {
    follow(after, listener) {
      for (const event of missed(after)) listener(event)
      listeners.add(listener)
      return () => void listeners.delete(listener)
    }
  }

  function missed(after: { seq: number; run: string } | undefined): NumberedEvent[] {
    if (after === undefined) return []
    const oldest = kept[0]?.seq ?? seq + 1
    if (after.run !== init.run || after.seq > seq || after.seq < oldest - 1) {
      return [{ seq, run: init.run, event: { type: 'gap' } }]
    }
    return kept.filter((event) => event.seq > after.seq)
  }
}

/** Reads `?after=run:seq`. Anything else is a client that has seen nothing that counts: it gets a `gap`. */
export function parseAfter(text: string | null | undefined): { seq: number; run: string } | undefined {
  if (text === null || text === undefined || text === '') return undefined
  const match = /^([\w-]{1,40}):(\d{1,15})$/.exec(text)
  return match === null ? { seq: -1, run: '' } : { run: match[1] ?? '', seq: Number(match[2]) }
}
