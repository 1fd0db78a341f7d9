import { TokenBucket } from './bucket.ts'
import { entranceBudget, type EntranceLimits, entranceWaitingMax } from './limits.ts'

/** At what pace; see `GuardInit`. */
export interface EntranceInit {
  readonly now: () => number
  readonly entrance?: Partial<EntranceLimits>
}

/**
 * Lets newcomers in at the pace at which handshakes can be served, one of each block of addresses in turn: fifty at once
 * are half a second of work, and everybody who is in would wait for the end of it.
 */
export class Entrance {
  readonly #now: () => number
  readonly #turns: TokenBucket
  readonly #waitingMax: number
  /** By block; whose turn it is next comes first. */
  readonly #queues = new Map<string, (() => boolean)[]>()
  #waiting = 0
  #timer: NodeJS.Timeout | undefined

  constructor({ now, entrance = {} }: EntranceInit) {
    this.#now = now
    this.#turns = new TokenBucket({ ...entranceBudget, ...entrance }, now())
    this.#waitingMax = entrance.waitingMax ?? entranceWaitingMax
  }

  /**
   * @param enter - Called when it is somebody's turn, at once where nobody waits; false for one who has left meanwhile,
   *   which takes no turn.
   * @returns False when too many wait already.
   */
  queue(block: string, enter: () => boolean): boolean {
    if (this.#waiting >= this.#waitingMax) return false
    const queue = this.#queues.get(block)
    if (queue === undefined) this.#queues.set(block, [enter])
    else queue.push(enter)
    this.#waiting++
    if (this.#timer === undefined) this.#serve()
    return true
  }

  #serve(): void {
    this.#timer = undefined
    while (this.#waiting > 0) {
      const waitMs = this.#turns.waitMs(1, this.#now())
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#serve(), waitMs)
        return
      }
      if (this.#enterNext()) this.#turns.take(1, this.#now())
    }
  }

  #enterNext(): boolean {
    const [next] = this.#queues
    if (next === undefined) return false
    const [block, queue] = next
    const enter = queue.shift()
    this.#queues.delete(block)
    if (queue.length > 0) this.#queues.set(block, queue)
    this.#waiting--
    return enter?.() === true
  }
}
