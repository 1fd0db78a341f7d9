import { DevnetError } from './errors.ts'

/** One thing that happened, and whether it happened as it should. */
export interface Step {
  readonly name: string
  /** Who did it. */
  readonly who: string
  readonly ok: boolean
  readonly ms: number
  /** What was seen: a figure, a reason. */
  readonly detail: string
}

/** Tells what happens as it happens, and keeps it. */
export interface Story {
  readonly steps: readonly Step[]
  /**
   * Does one thing. Throwing means that it did not hold, and ends the story.
   *
   * @param title - Who does it, and what must hold.
   */
  tell<T>(title: Title, act: () => Promise<Seen<T>>): Promise<T>
}

export type Title = Pick<Step, 'name' | 'who'>

/** What an act came to: for whoever reads along, and for the acts that follow. */
export interface Seen<T> {
  readonly detail: string
  readonly value: T
}

export interface Listener {
  onBegin(title: Title): void
  onEnd(step: Step): void
}

export function createStory(listener: Listener, { signal }: { signal: AbortSignal }): Story {
  const now = (): number => performance.now()
  const steps: Step[] = []
  const keep = (step: Step): void => {
    steps.push(step)
    listener.onEnd(step)
  }
  return {
    steps,
    async tell(title, act) {
      signal.throwIfAborted()
      listener.onBegin(title)
      const begunAtMs = now()
      const took = (): number => Math.round(now() - begunAtMs)
      try {
        const { detail, value } = await act()
        keep({ ...title, ok: true, ms: took(), detail })
        return value
      } catch (error) {
        keep({ ...title, ok: false, ms: took(), detail: (error as Error).message })
        throw error
      }
    }
  }
}

export function seen(detail: string): Seen<undefined>
export function seen<T>(detail: string, value: T): Seen<T>
export function seen<T>(detail: string, value?: T): Seen<T | undefined> {
  return { detail, value }
}

/** @throws {@link DevnetError} `not-as-expected`. */
export function hold(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new DevnetError('not-as-expected', otherwise)
}
