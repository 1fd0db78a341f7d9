import { createHash } from 'node:crypto'

/**
 * What happened, in order, as one hash: two runs of one seed have the same. Everything is in it that one node can tell
 * another and everything that a node made of it.
 */
export interface Trace {
  note(...facts: readonly (string | number)[]): void
  /** 16 hexadecimal digits over everything noted so far. */
  digest(): string
}

/** @param onNote - Sees each line: to find where two runs part. */
export function createTrace(onNote?: (line: string) => void): Trace {
  const hash = createHash('sha256')
  return {
    note: (...facts) => {
      const line = facts.join(' ')
      hash.update(`${line}\n`)
      onNote?.(line)
    },
    digest: () => hash.copy().digest('hex').slice(0, 16)
  }
}
