/**
 * A repeatable source of numbers from 0 to below 1 (the "mulberry32" generator: a Weyl sequence through two rounds
 * of multiply and shift, 32 bits of state). Written out in docs/protocol/reputation.md, so that another
 * implementation walks the same walks. Not for secrets.
 */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
