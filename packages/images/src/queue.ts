import { ImagesError } from './errors.ts'

/** A bounded line before a bounded number of places. */
export interface Queue {
  /**
   * Runs `job` when a place is free. A caller whose signal aborts while it waits leaves the line.
   *
   * @throws {@link ImagesError} `busy` when the line is full; the signal's reason when aborted.
   */
  run<T>(job: () => Promise<T>, signal?: AbortSignal): Promise<T>
}

export interface QueueInit {
  places: number
  waitingMax: number
}

export function createQueue({ places, waitingMax }: QueueInit): Queue {
  let free = places
  const waiting = new Set<() => void>()

  function leave(): void {
    const [next] = waiting
    if (next === undefined) free++
    else next()
  }

  async function enter(signal: AbortSignal | undefined): Promise<void> {
    if (free > 0) {
      free--
      return
    }
    if (waiting.size >= waitingMax) throw new ImagesError('busy', `${waitingMax} jobs are waiting already; try later`)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const take = (): void => {
      waiting.delete(take)
      signal?.removeEventListener('abort', giveUp)
      resolve()
    }
    const giveUp = (): void => {
      waiting.delete(take)
      reject(signal?.reason)
    }
    waiting.add(take)
    signal?.addEventListener('abort', giveUp, { once: true })
    await promise
  }

  return {
    async run(job, signal) {
      signal?.throwIfAborted()
      await enter(signal)
      try {
        return await job()
      } finally {
        leave()
      }
    }
  }
}
