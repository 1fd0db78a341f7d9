import { type Sanctions, sanctions as sanctionsDefault, standingsMax } from './limits.ts'
import { Standing } from './score.ts'

/** What is remembered of many, by name: no more of them than {@link standingsMax}. */
export class Standings {
  readonly #now: () => number
  readonly #sanctions: Sanctions
  readonly #standings = new Map<string, Standing>()
  /** The last in the map. */
  #newest: { readonly name: string; readonly standing: Standing } | undefined

  constructor(init: { readonly now: () => number; readonly sanctions?: Partial<Sanctions> | undefined }) {
    this.#now = init.now
    this.#sanctions = { ...sanctionsDefault, ...init.sanctions }
  }

  /** Of somebody who is here now; made when there is none. */
  of(name: string): Standing {
    // Each frame asks several times, and mostly the same.
    if (name === this.#newest?.name) return this.#newest.standing
    const standing = this.#standings.get(name) ?? new Standing(this.#sanctions)
    this.#standings.delete(name)
    this.#standings.set(name, standing)
    this.#newest = { name, standing }
    if (this.#standings.size > standingsMax) this.#forgetOne()
    return standing
  }

  find(name: string): Standing | undefined {
    return this.#standings.get(name)
  }

  forget(name: string): void {
    this.#newest = undefined
    this.#standings.delete(name)
  }

  refuses(name: string): boolean {
    return this.find(name)?.refusedUntilMs(this.#now()) !== undefined
  }

  [Symbol.iterator](): IterableIterator<[string, Standing]> {
    return this.#standings.entries()
  }

  /** The longest unseen goes, but a refused one only when all are: else new identities would buy an old one free. */
  #forgetOne(): void {
    const nowMs = this.#now()
    const [oldest] = this.#standings.keys()
    const harmless = this.#standings.entries().find(([, standing]) => standing.refusedUntilMs(nowMs) === undefined)
    const name = harmless?.[0] ?? oldest
    if (name !== undefined) this.forget(name)
  }
}
