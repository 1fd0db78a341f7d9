import { setFlagsFromString } from 'node:v8'
import { heapGrowthPercent } from './limits.ts'

/**
 * Has V8 collect garbage each time the heap has grown by {@link heapGrowthPercent} over what is alive, for a process
 * that runs for weeks. Left alone it lets a heap of 40 MB become 150 while sockets come and go (docs/decisions/0186).
 */
export function boundHeapGrowth(): void {
  setFlagsFromString(`--heap-growing-percent=${heapGrowthPercent}`)
}
