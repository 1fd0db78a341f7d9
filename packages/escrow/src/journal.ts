import type { Hex } from './order.ts'
import { readAll, type EscrowStore } from './store.ts'

/** One signed transaction of an entry; several differ only in their fee, so at most one can be mined. */
export interface Attempt {
  hash: Hex
  /** Kept while it may have to be sent again; absent if the payer did not show it. */
  raw?: Hex
  /** Wei, decimal. */
  maxFeePerGas: string
  maxPriorityFeePerGas: string
  sentAtMs: number
}

/**
 * What is known of one intended transaction. Each step is on disk before the next begins:
 *
 * - `intent`: wanted; nothing is signed by a payer that holds its key.
 * - `hash`: signed with this nonce, and perhaps sent.
 * - `mined`: in the block named; may still be reorganised away.
 * - `final`: deep enough. Never looked at again.
 */
export interface JournalEntry {
  key: string
  state: 'intent' | 'hash' | 'mined' | 'final'
  from: Hex
  to: Hex
  data: Hex
  /** Wei, decimal. */
  value: string
  gasLimit: string
  nonce: number
  attempts: Attempt[]
  block?: { number: number; hash: Hex }
  /** The attempt that was mined; unknown if the effect was found on chain without it. */
  hash?: Hex
  gasUsed?: string
  reverted?: boolean
  createdAtMs: number
}

export interface Journal {
  get(key: string): Promise<JournalEntry | undefined>
  put(entry: JournalEntry): Promise<void>
  delete(key: string): Promise<void>
  /** Entries that are not `final`, of one payer. */
  unfinished(from: Hex): Promise<JournalEntry[]>
}

/**
 * Entries under `journal!<key>`; `open!<from>!<key>` marks the unfinished, so that a restart reads only those. Every
 * write is synced: the journal is what stands between a crash and paying twice.
 */
export function createJournal(store: EscrowStore): Journal {
  const get = async (key: string): Promise<JournalEntry | undefined> =>
    (await store.get(`journal!${key}`)) as JournalEntry | undefined
  return {
    get,
    put: (entry) => {
      const open = `open!${entry.from}!${entry.key}`
      const mark = entry.state === 'final' ? ({ type: 'del', key: open } as const) : put(open, entry.key)
      return store.batch([put(`journal!${entry.key}`, entry), mark], { sync: true })
    },
    delete: async (key) => {
      const entry = await get(key)
      if (!entry) return
      const operations = [`journal!${key}`, `open!${entry.from}!${key}`].map((key) => ({ type: 'del', key }) as const)
      await store.batch(operations, { sync: true })
    },
    unfinished: async (from) => {
      const keys = await readAll<string>(store, `open!${from}!`)
      const entries = await Promise.all(keys.map(get))
      return entries.filter((entry) => entry !== undefined)
    }
  }
}

function put(key: string, value: unknown): { type: 'put'; key: string; value: unknown } {
  return { type: 'put', key, value }
}
