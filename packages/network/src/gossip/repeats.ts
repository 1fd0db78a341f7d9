import { repeatsMax } from './limits.ts'

/**
 * Tells whether one peer has brought a message before, among its last ones. gossipsub drops repetitions at nobody's cost, and
 * does not ask whose they are: of its neighbours each brings a message once.
 *
 * @param keyOf - Two messages with one key are the same.
 */
export function createRepeats<M>(keyOf: (message: M) => string): (message: M) => boolean {
  const last = new Set<string>()
  return (message) => {
    const key = keyOf(message)
    if (last.has(key)) return true
    last.add(key)
    const [oldest] = last
    if (last.size > repeatsMax && oldest !== undefined) last.delete(oldest)
    return false
  }
}
