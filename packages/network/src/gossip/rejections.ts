import { costDefault, costs } from '../guard/limits.ts'
import { rejectionsMax } from './limits.ts'

/** What was found wrong with messages, for whoever brings them again. */
export interface Rejections<M> {
  /** @param code - Why it was rejected. */
  note(message: M, code: string): void
  /** Undefined for what was not rejected, or long ago. */
  codeOf(message: M): string | undefined
}

/**
 * gossipsub takes a message that was rejected for seen, and drops it at nobody's cost when it comes again: fifty peers with the
 * same thousand forged records had three of them looked at each, and sent seventy. Nobody who checks what he passes on has
 * any part in it, so each who sends it pays as the first did.
 *
 * What may be a matter of clocks, and costs little, is not remembered.
 *
 * @param keyOf - Two messages with one key are the same, bytes, signature and topic.
 */
export function createRejections<M>(keyOf: (message: M) => string): Rejections<M> {
  const codes = new Map<string, string>()
  return {
    note(message, code) {
      if ((costs[code] ?? costDefault) < costDefault) return
      codes.set(keyOf(message), code)
      const [oldest] = codes.keys()
      if (codes.size > rejectionsMax && oldest !== undefined) codes.delete(oldest)
    },
    codeOf: (message) => codes.get(keyOf(message))
  }
}
