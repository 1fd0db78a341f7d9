import type { NodeEvent } from '@souk/node'
import { ApiError } from './errors.ts'
import { eventsKept, followersMax } from './limits.ts'

/** An event with its place in this daemon's life; numbers start anew with each start, and so does `run`. */
export interface NumberedEvent {
  /** Counts from 1. */
  readonly seq: number
  /** Names the daemon's life: a number of another one means nothing. */
  readonly run: string
  readonly event: NodeEvent | { readonly type: 'gap' }
}

/** Somebody who listens. */
export interface Follower {
  /** Must not throw: who does is no longer called. */
  event(event: NumberedEvent): void
  /** The server stops. */
  end(): void
}

/** The last events, and whoever listens. */
export interface EventLog {
  /**
   * Tells `follower` what came after `after`, then all that comes. Begins with a `gap` when some of it is no longer
   * kept: the client then reloads what it shows.
   *
   * @returns Stops it.
   * @throws {@link ApiError} `too-many-requests` beyond {@link followersMax}.
   */
  follow(after: Position | undefined, follower: Follower): () => void
  /** @throws {@link ApiError} `too-many-requests` when nobody more may follow. */
  requireRoom(): void
  /** Ends every follower. */
  close(): void
}

/** How far a client has read. */
export interface Position {
  readonly seq: number
  readonly run: string
}

/** Reads a node's events into a ring until they end. */
export function createEventLog(
  components: { events: AsyncIterable<NodeEvent> },
  init: { run: string; onError: (error: unknown) => void }
): EventLog {
  const kept: NumberedEvent[] = []
  const followers = new Set<Follower>()
  let seq = 0

  const pump = async (): Promise<void> => {
    for await (const event of components.events) {
      const numbered = { seq: ++seq, run: init.run, event }
      kept.push(numbered)
      if (kept.length > eventsKept) kept.shift()
      for (const follower of followers) tell(follower, numbered)
    }
  }
  pump().catch(init.onError)

  const requireRoom = (): void => {
    if (followers.size < followersMax) return
    throw new ApiError('too-many-requests', `${followersMax} clients follow the events already`)
  }
  return {
    requireRoom,
    follow(after, follower) {
      requireRoom()
      followers.add(follower)
      for (const event of missed(after)) tell(follower, event)
      return () => void followers.delete(follower)
    },
    close() {
      for (const follower of followers) follower.end()
      followers.clear()
    }
  }

  /** One that fails must not take the others' events with it. */
  function tell(follower: Follower, event: NumberedEvent): void {
    try {
      follower.event(event)
    } catch (error) {
      followers.delete(follower)
      init.onError(error)
    }
  }

  function missed(after: Position | undefined): NumberedEvent[] {
    if (after === undefined) return []
    const oldest = kept[0]?.seq ?? seq + 1
    if (after.run !== init.run || after.seq > seq || after.seq < oldest - 1) {
      return [{ seq, run: init.run, event: { type: 'gap' } }]
    }
    return kept.filter((event) => event.seq > after.seq)
  }
}

/** Reads `?after=run:seq`. Anything else is a client that has seen nothing that counts: it gets a `gap`. */
export function parseAfter(text: string | null | undefined): Position | undefined {
  if (text === null || text === undefined || text === '') return undefined
  const match = /^([\w-]{1,40}):(\d{1,15})$/.exec(text)
  return match === null ? { seq: -1, run: '' } : { run: match[1] ?? '', seq: Number(match[2]) }
}
