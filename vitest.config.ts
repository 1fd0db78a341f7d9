import { defineConfig } from 'vitest/config'

const source = { ssr: { resolve: { conditions: ['@souk/source', 'node', 'import', 'default'] } } }

export default defineConfig({
  test: {
    projects: [
      {
        ...source,
        test: {
          // Pure packages share one module graph: no state at module level, so nothing leaks between files.
          name: 'pure',
          include: ['packages/{records,negentropy,trading,reputation}/test/**/*.test.ts', 'test/*.test.ts'],
          isolate: false,
          sequence: { groupOrder: 0 },
          // A property of 4,000 messages takes two seconds, and five times that on a busy machine.
          testTimeout: 60_000
        }
      },
      {
        ...source,
        test: {
          // Sockets, disks, chains and browsers: each file in a process of its own.
          name: 'real',
          include: [
            'packages/{storage,escrow,images,network,node,relay,api,cli,devnet}/test/**/*.test.ts',
            'test/{system,simulation,faults,floods,nat}/**/*.test.ts'
          ],
          sequence: { groupOrder: 1 },
          pool: 'forks',
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 60_000
        }
      }
    ]
  }
})
