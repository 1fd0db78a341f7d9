/**
 * What every store must do, as a suite that runs under any test runner: Level on disk and in memory pass it, and
 * whatever comes in their place has to.
 *
 * @example
 * ```ts
 * import { describe, test } from 'vitest'
 * runStoreTests({ describe, test }, 'Level in memory', async () => {
 *   const level = new MemoryLevel()
 *   return { open: (init) => createStorage({ ...init, level }), dispose: () => level.close() }
 * })
 * ```
 *
 * @packageDocumentation
 */
import { orderTests } from './compliance/orders.ts'
import { recordTests } from './compliance/records.ts'
import { syncTests } from './compliance/sync.ts'
import type { StoreFactory, TestRunner } from './compliance/runner.ts'

export type { OpenedStore, StoreFactory, StoreUnderTest, TestRunner } from './compliance/runner.ts'

/** Registers the suite. Each test gets a store of its own from the factory. */
export function runStoreTests(runner: TestRunner, name: string, factory: StoreFactory): void {
  runner.describe(name, () => {
    recordTests(runner, factory)
    syncTests(runner, factory)
    orderTests(runner, factory)
  })
}
