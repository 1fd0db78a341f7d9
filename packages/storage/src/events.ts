/** Takes the listener off again; calling it twice does nothing. */
export type Unsubscribe = () => void

/** The part of an {@link Emitter} that a reader sees. */
export interface Events<Map> {
  /** Calls `listener` from now on. */
  on<Name extends keyof Map>(name: Name, listener: (event: Map[Name]) => void): Unsubscribe
}

/**
 * Listeners by the name of their event. One that throws harms neither the store nor the others: its error surfaces as
 * an uncaught one, as with `EventTarget`.
 */
export class Emitter<Map> implements Events<Map> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<(event: never) => void>>()

  on<Name extends keyof Map>(name: Name, listener: (event: Map[Name]) => void): Unsubscribe {
    const set = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, set.add(listener))
    return () => void set.delete(listener)
  }

  emit<Name extends keyof Map>(name: Name, event: Map[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) call(listener as (event: Map[Name]) => void, event)
  }
}

function call<Event>(listener: (event: Event) => void, event: Event): void {
  try {
    listener(event)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
