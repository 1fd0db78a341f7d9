import { EventEmitter, on } from 'node:events'
import type { NodeEvent } from './node.ts'

/** Where the parts of a node say what happened. */
export interface EventBus {
  emit(event: NodeEvent): void
  /** Listens from this call on: what happens before the first read is kept for it. */
  follow(options: { readonly signal: AbortSignal }): AsyncIterable<NodeEvent>
  /** Ends what follows, after what it has not read yet. */
  close(): void
}

export function createEventBus(): EventBus {
  const emitter = new EventEmitter({ captureRejections: false })
  emitter.setMaxListeners(0)
  let closed = false
  return {
    emit: (event) => void emitter.emit('event', event),
    follow: ({ signal }) =>
      closed || signal.aborted
        ? untilAborted([], signal)
        : untilAborted(on(emitter, 'event', { signal, close: ['close'] }), signal),
    close() {
      closed = true
      emitter.emit('close')
    }
  }
}

/** @param events - What an emitter gave its listeners: the arguments of each call. */
async function* untilAborted(
  events: AsyncIterable<unknown[]> | readonly unknown[][],
  signal: AbortSignal
): AsyncIterable<NodeEvent> {
  try {
    for await (const [event] of events) yield event as NodeEvent
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
