import { EventEmitter, on } from 'node:events'
import type { NodeEvent } from './node.ts'

/** Where the parts of a node say what happened. */
export interface EventBus {
  emit(event: NodeEvent): void
  follow(options: { readonly signal: AbortSignal }): AsyncIterable<NodeEvent>
}

export function createEventBus(): EventBus {
  const emitter = new EventEmitter({ captureRejections: false })
  emitter.setMaxListeners(0)
  return {
    emit: (event) => void emitter.emit('event', event),
    async *follow({ signal }) {
      try {
        for await (const [event] of on(emitter, 'event', { signal })) yield event as NodeEvent
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }
}
