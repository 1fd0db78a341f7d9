/** Random numbers that a seed determines: sfc32 (Chris Doty-Humphrey, PractRand), 32 bits of good quality a step. */
export interface Random {
  /** 0 up to, not including, 1; 32 bits of it are random. */
  next(): number
  /** A whole number from 0 up to, not including, `below`. */
  below(below: number): number
  pick<T>(list: readonly T[]): T
  shuffled<T>(list: readonly T[]): T[]
  /** True this often. @param probability - 0 to 1. */
  chance(probability: number): boolean
  /** Exponentially distributed: waits between events that know nothing of each other. */
  exponential(mean: number): number
  bytes(length: number): Uint8Array
  /** Overwrites all bytes of a view and returns it. */
  overwrite<T extends ArrayBufferView>(view: T): T
  /** A generator of its own: what one part draws does not move what another one gets. */
  fork(name: string): Random
}

export function createRandom(seed: number | string): Random {
  return new SeededRandom(String(seed))
}

class SeededRandom implements Random {
  readonly #seed: string
  readonly #state: Uint32Array

  constructor(seed: string) {
    this.#seed = seed
    this.#state = Uint32Array.of(hash(seed, 0x9e3779b9), hash(seed, 0x85ebca6b), hash(seed, 0xc2b2ae35), 1)
    for (let round = 0; round < 12; round++) this.#step()
  }

  next(): number {
    return this.#step() / 2 ** 32
  }

  below(below: number): number {
    return Math.floor(this.next() * below)
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from')
    return list[this.below(list.length)] as T
  }

  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list]
    for (let left = result.length; left > 1; left--) {
      const at = this.below(left)
      const last = result[left - 1] as T
      result[left - 1] = result[at] as T
      result[at] = last
    }
    return result
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next())
  }

  bytes(length: number): Uint8Array {
    return this.overwrite(new Uint8Array(length))
  }

  overwrite<T extends ArrayBufferView>(view: T): T {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    for (let at = 0; at < bytes.length; at++) bytes[at] = this.#step() >>> 24
    return view
  }

  fork(name: string): Random {
    return new SeededRandom(`${this.#seed}/${name}`)
  }

  #step(): number {
    const state = this.#state as unknown as [number, number, number, number]
    const b = state[1]
    const c = state[2]
    const counter = state[3]
    const result = (state[0] + b + counter) >>> 0
    state[3] = counter + 1
    state[0] = b ^ (b >>> 9)
    state[1] = c + (c << 3)
    state[2] = ((c << 21) | (c >>> 11)) + result
    return result
  }
}

/** FNV-1a, begun elsewhere for each word of the state. */
function hash(text: string, start: number): number {
  let value = start
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193)
  return value >>> 0
}
