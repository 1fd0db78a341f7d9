import type { EventLog, NumberedEvent, Position } from './events.ts'
import { followerBytesMax } from './limits.ts'

/** What keeps a client's events coming. */
export interface FollowInit {
  readonly after: Position | undefined
  readonly heartbeatMs: number
  /** Rejects once the client's token is no longer good. */
  readonly recheck: () => Promise<unknown>
}

/**
 * Events as server-sent events (WHATWG HTML section 9.2), for curl and the CLI. Pages use the WebSocket: one such
 * stream a tab starves the sixth tab.
 *
 * @throws ApiError `too-many-requests` when too many follow.
 */
export function createEventStream(log: EventLog, init: FollowInit): ReadableStream<Uint8Array> {
  log.requireRoom()
  const encoder = new TextEncoder()
  let stop = (): void => undefined
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        let isOver = false
        const end = (): void => {
          if (isOver) return
          isOver = true
          stop()
          controller.close()
        }
        // Beyond the bound, the reader is gone or asleep: it comes back with the number of what it read last.
        const write = (text: string): void => {
          if ((controller.desiredSize ?? 0) <= 0) end()
          else controller.enqueue(encoder.encode(text))
        }
        write(':\n\n')
        const heartbeat = startHeartbeat({ ...init, beat: () => write(':\n\n'), end })
        const unfollow = log.follow(init.after, { event: (event) => write(textOf(event)), end })
        stop = () => {
          clearInterval(heartbeat)
          unfollow()
        }
        if (isOver) stop()
      },
      cancel: () => stop()
    },
    new ByteLengthQueuingStrategy({ highWaterMark: followerBytesMax })
  )
}

/** Beats until its timer is cleared, and ends what it keeps alive when the token is no longer good. */
export function startHeartbeat(
  init: Pick<FollowInit, 'heartbeatMs' | 'recheck'> & { beat: () => void; end: () => void }
): NodeJS.Timeout {
  const timer = setInterval(() => {
    init.beat()
    init.recheck().catch(() => {
      clearInterval(timer)
      init.end()
    })
  }, init.heartbeatMs)
  return timer
}

function textOf({ seq, run, event }: NumberedEvent): string {
  return `id: ${run}:${seq}\ndata: ${JSON.stringify(event)}\n\n`
}
