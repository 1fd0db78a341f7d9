import { setImmediate } from 'node:timers/promises'
import { createWorkSearch, type Work } from '@souk/records'
import { longWorkMs, triesPerTurn } from './limits.ts'

/** Finds proofs of work on the main thread, a millisecond at a time, so that everything else goes on. */
export interface Prover {
  /** Waits its turn: two searches at once would both take twice as long. */
  find(preimage: Uint8Array, bits: number): Promise<Work>
}

/** @param init.onLong - Told when one search has taken {@link longWorkMs}: somebody is waiting and wonders. */
export function createProver(init: {
  readonly signal?: AbortSignal | undefined
  readonly onLong?: ((bits: number) => void) | undefined
}): Prover {
  let last: Promise<unknown> = Promise.resolve()

  const search = async (preimage: Uint8Array, bits: number): Promise<Work> => {
    const found = createWorkSearch(preimage, bits)
    const startedAtMs = performance.now()
    let isTold = false
    for (;;) {
      const work = found.next(triesPerTurn)
      if (work !== undefined) return work
      await setImmediate(undefined, init.signal && { signal: init.signal })
      if (isTold || performance.now() - startedAtMs < longWorkMs) continue
      isTold = true
      init.onLong?.(bits)
    }
  }

  return {
    find(preimage, bits) {
      const work = last.then(() => search(preimage, bits))
      last = work.catch(() => undefined)
      return work
    }
  }
}
