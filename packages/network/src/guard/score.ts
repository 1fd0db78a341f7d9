import { TokenBucket, type Budget } from './bucket.ts'
import { costDefault, costs, reasonsMax, type Sanctions, scoreMin } from './limits.ts'

/** One kind of offence of one peer. */
export interface Reason {
  readonly code: string
  readonly times: number
  readonly lastAtMs: number
}

/** What a peer has done and may still do. */
export class Standing {
  readonly #sanctions: Sanctions
  readonly #reasons = new Map<string, Reason>()
  readonly #buckets = new Map<string, TokenBucket>()
  #score = 0
  #scoredAtMs = 0
  #heldUntilMs = 0

  constructor(sanctions: Sanctions) {
    this.#sanctions = sanctions
  }

  /** From 0 (nothing known against it) down to -100, by now. */
  score(nowMs: number): number {
    if (this.#score === 0) return 0
    const halves = Math.max(0, nowMs - this.#scoredAtMs) / this.#sanctions.scoreHalfLifeMs
    const score = this.#score * 2 ** -halves
    return score > -0.01 ? 0 : score
  }

  /** Until when it is refused, undefined when it is not. */
  refusedUntilMs(nowMs: number): number | undefined {
    const score = this.score(nowMs)
    const { disconnectScore, scoreHalfLifeMs } = this.#sanctions
    const recoveredAtMs = score > disconnectScore ? 0 : nowMs + Math.log2(score / disconnectScore) * scoreHalfLifeMs
    const until = Math.max(recoveredAtMs, this.#heldUntilMs)
    return until > nowMs ? until : undefined
  }

  /** @returns True when this offence is the one that gets the peer disconnected. */
  punish(code: string, nowMs: number, cost = costOf(code)): boolean {
    const refusedBefore = this.refusedUntilMs(nowMs) !== undefined
    this.#score = Math.max(scoreMin, this.score(nowMs) - cost)
    this.#scoredAtMs = nowMs
    this.#heldUntilMs = Math.max(this.#heldUntilMs, nowMs + holdMsOf(this.#score, this.#sanctions))
    this.#note(code, nowMs)
    return !refusedBefore && this.refusedUntilMs(nowMs) !== undefined
  }

  allow(name: string, budget: Budget, cost: number, nowMs: number): boolean {
    return this.#bucket(name, budget, nowMs).take(cost, nowMs)
  }

  charge(name: string, budget: Budget, cost: number, nowMs: number): void {
    this.#bucket(name, budget, nowMs).spend(cost, nowMs)
  }

  giveBack(name: string, budget: Budget, cost: number, nowMs: number): void {
    this.#bucket(name, budget, nowMs).give(cost, nowMs)
  }

  /** Latest first. */
  get reasons(): Reason[] {
    return [...this.#reasons.values()].toSorted((a, b) => b.lastAtMs - a.lastAtMs)
  }

  #bucket(name: string, budget: Budget, nowMs: number): TokenBucket {
    let bucket = this.#buckets.get(name)
    if (bucket === undefined) this.#buckets.set(name, (bucket = new TokenBucket(budget, nowMs)))
    return bucket
  }

  #note(code: string, nowMs: number): void {
    const times = (this.#reasons.get(code)?.times ?? 0) + 1
    this.#reasons.delete(code)
    this.#reasons.set(code, { code, times, lastAtMs: nowMs })
    const [oldest] = this.#reasons.keys()
    if (this.#reasons.size > reasonsMax && oldest !== undefined) this.#reasons.delete(oldest)
  }
}

function holdMsOf(score: number, { banMs, banScore, disconnectMs, disconnectScore }: Sanctions): number {
  if (score <= banScore) return banMs
  return score <= disconnectScore ? disconnectMs : 0
}

/** Codes come as `bad-signature` or, from a protocol of its own, as `/souk/located-set/1:malformed`. */
function costOf(code: string): number {
  return costs[code.slice(code.lastIndexOf(':') + 1)] ?? costDefault
}
