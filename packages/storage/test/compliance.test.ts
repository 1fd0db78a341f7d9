import { MemoryLevel } from 'memory-level'
import { describe, test } from 'vitest'
import { runStoreTests } from '../src/compliance.ts'
import { createStorage } from '../src/index.ts'
import { temporaryDirectory } from './fixtures.ts'

runStoreTests({ describe, test }, 'Level on disk', async () => {
  const directory = await temporaryDirectory()
  return {
    open: (init) => createStorage({ ...init, directory: directory.path, search: 'off' }),
    dispose: async () => directory[Symbol.asyncDispose]()
  }
})

runStoreTests({ describe, test }, 'Level in memory', async () => {
  const level = new MemoryLevel()
  return { open: (init) => createStorage({ ...init, level, search: 'off' }), dispose: () => level.close() }
})
