import type { IndexQuery } from './query.ts'
import type { IndexBatch } from './sqlite-index.ts'

/** What the main thread asks. Calls are answered in order; reply 0 says that the index is open, and how far it is. */
export type WorkerCall =
  | { readonly id: number; readonly method: 'apply'; readonly argument: IndexBatch }
  | { readonly id: number; readonly method: 'query'; readonly argument: IndexQuery }
  | { readonly id: number; readonly method: 'close' }

export type WorkerReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string }
