/** How much of something a peer may do: `burst` at once, and `perSecond` after that. */
export interface Budget {
  readonly perSecond: number
  readonly burst: number
}

/** A token bucket. Holds no timer: it fills by the clock of whoever asks. */
export class TokenBucket {
  readonly #budget: Budget
  #tokens: number
  #filledAtMs: number

  constructor(budget: Budget, nowMs: number) {
    this.#budget = budget
    this.#tokens = budget.burst
    this.#filledAtMs = nowMs
  }

  /** Takes `cost` if it is there; otherwise takes nothing and returns false. */
  take(cost: number, nowMs: number): boolean {
    this.#fill(nowMs)
    if (this.#tokens < cost) return false
    this.#tokens -= cost
    return true
  }

  /** Takes `cost` whether it is there or not: nothing more is granted until the debt is paid back. */
  spend(cost: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens = Math.max(-this.#budget.burst, this.#tokens - cost)
  }

  /** Puts back what was taken and should not have been. */
  give(cost: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#tokens = Math.min(this.#budget.burst, this.#tokens + cost)
  }

  /** How long until `cost` is there; Infinity when it exceeds the burst. */
  waitMs(cost: number, nowMs: number): number {
    this.#fill(nowMs)
    if (cost > this.#budget.burst) return Infinity
    return Math.max(0, Math.ceil(((cost - this.#tokens) / this.#budget.perSecond) * 1000))
  }

  #fill(nowMs: number): void {
    const { perSecond, burst } = this.#budget
    const elapsedMs = Math.max(0, nowMs - this.#filledAtMs)
    this.#tokens = Math.min(burst, this.#tokens + (elapsedMs / 1000) * perSecond)
    this.#filledAtMs = nowMs
  }
}
