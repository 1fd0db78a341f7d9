/**
 * A set that can say of a name that it was certainly never added (Bloom, 1970). With eight bits a name and four
 * probes it is wrong, in that it says "perhaps", of 2.4 % of other names when it is full.
 */
export class Filter {
  readonly #words: Uint32Array
  readonly #mask: number
  /** With more, more and more names look as if they had been added. */
  readonly namesMax: number
  #added = 0

  constructor(namesMax: number) {
    const bits = 2 ** Math.ceil(Math.log2(Math.max(32, namesMax * bitsPerName)))
    this.#words = new Uint32Array(bits / 32)
    this.#mask = bits - 1
    this.namesMax = namesMax
  }

  /** Counts a name as often as it was added. */
  get added(): number {
    return this.#added
  }

  add(name: string): void {
    this.#added++
    const [first, step] = hashesOf(name)
    for (let probe = 0; probe < probes; probe++) {
      const bit = (first + probe * step) & this.#mask
      this.#words[bit >>> 5] = (this.#words[bit >>> 5] ?? 0) | (1 << (bit & 31))
    }
  }

  /** False only for what was never added. */
  mayHold(name: string): boolean {
    const [first, step] = hashesOf(name)
    for (let probe = 0; probe < probes; probe++) {
      const bit = (first + probe * step) & this.#mask
      if (((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false
    }
    return true
  }
}

const bitsPerName = 8
const probes = 4

/** Where the first probe looks, and how far on each of the others. Whoever makes them collide has us read, as ever. */
function hashesOf(name: string): [first: number, step: number] {
  let [first, step] = [0x811c9dc5, 0x9747b28c]
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index)
    first = Math.imul(first ^ code, 0x01000193)
    step = Math.imul(step ^ code, 0x5bd1e995)
  }
  return [mixed(first), mixed(step) | 1]
}

/** The finalizer of MurmurHash3: each bit of what goes in changes half of those that come out. */
function mixed(hash: number): number {
  let value = hash ^ (hash >>> 16)
  value = Math.imul(value, 0x85ebca6b)
  value ^= value >>> 13
  value = Math.imul(value, 0xc2b2ae35)
  return value ^ (value >>> 16)
}
