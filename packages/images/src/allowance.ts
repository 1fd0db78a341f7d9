import { peersMax } from './limits.ts'

/** Token buckets by name, counted in bytes. */
export interface Allowance {
  /** Takes `bytes` from the bucket if they are in it. */
  take(name: string, bytes: number): boolean
}

export interface AllowanceInit {
  burstBytes: number
  bytesPerSecond: number
  /** Monotonic or wall clock, milliseconds. */
  now: () => number
}

export function createAllowance({ burstBytes, bytesPerSecond, now }: AllowanceInit): Allowance {
  // In order of last use: a bucket that falls off the end was unused for longest, and most likely full again.
  const buckets = new Map<string, { bytes: number; atMs: number }>()

  return {
    take(name, bytes) {
      const atMs = now()
      const bucket = buckets.get(name)
      const refilled = bucket === undefined ? burstBytes : bucket.bytes + ((atMs - bucket.atMs) / 1000) * bytesPerSecond
      const available = Math.min(burstBytes, refilled)
      const isAllowed = available >= bytes
      buckets.delete(name)
      buckets.set(name, { bytes: isAllowed ? available - bytes : available, atMs })
      const [oldest] = buckets.keys()
      if (buckets.size > peersMax && oldest !== undefined) buckets.delete(oldest)
      return isAllowed
    }
  }
}
