import type { StorageLimits } from '../limits.ts'
import type { Storage } from '../storage.ts'
import { nowMs } from './samples.ts'

/** The two functions that vitest, node:test and others have alike. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => void
  readonly test: (name: string, body: () => Promise<void>) => void
}

/** What the suite uses of a store. */
export type OpenedStore = Pick<
  Storage,
  'records' | 'sync' | 'orders' | 'outbox' | 'inbox' | 'sublevel' | 'sweep' | 'close'
>

/** A place where a store lives. Opening it again, after the store was closed, finds what was written. */
export interface StoreUnderTest {
  open(init: { now: () => number; limits?: Partial<StorageLimits> }): Promise<OpenedStore>
  dispose(): Promise<void>
}

export type StoreFactory = () => Promise<StoreUnderTest>

/** A store within one test: opened, opened again, with a clock that stands until it is set. */
export interface Bench {
  readonly store: OpenedStore
  readonly clock: { nowMs: number }
  /** Closes the store and opens it again, within other limits where some are given. */
  readonly reopen: (others?: Partial<StorageLimits>) => Promise<OpenedStore>
}

/** Runs a test body on a store of its own. */
export async function withStore(
  factory: StoreFactory,
  body: (bench: Bench) => Promise<void>,
  limits: Partial<StorageLimits> = {}
): Promise<void> {
  const place = await factory()
  const clock = { nowMs }
  const open = (within: Partial<StorageLimits>): Promise<OpenedStore> =>
    place.open({ now: () => clock.nowMs, limits: within })
  let store = await open(limits)
  const reopen = async (others: Partial<StorageLimits> = limits): Promise<OpenedStore> => {
    await store.close()
    store = await open(others)
    return store
  }
  try {
    await body({ store, clock, reopen })
  } finally {
    await store.close()
    await place.dispose()
  }
}
