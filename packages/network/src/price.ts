import { kindLimits, type Priced, type WorkClaim, workBitsAskedMax, workFloor } from '@souk/records'
import { fullBitsMax, fullFrom, fullStep, strangersPerSecondFree, strangersWindowMs } from './limits.ts'

/** How full the rooms of a store are that strangers' records go to: from 0, empty, to 1. */
export interface Fullness {
  /** What everybody shares: nothing but records of those who are trusted comes in once it is full. */
  readonly shared: number
  /** The part of it that strangers' receipt-bound records may take. */
  readonly receipts: number
}

/** What a node knows that decides how much work it asks for. */
export interface PriceInit {
  readonly now: () => number
  /** Whose records need no work. Nobody's by default. @param author - 32 bytes, not yet proven. */
  readonly trusts?: ((author: Uint8Array) => boolean) | undefined
  /** Always empty by default. */
  readonly fullness?: (() => Fullness) | undefined
  /** Strangers' records a second that gossip may bring before more is asked. Default: 10. */
  readonly freePerSecond?: number | undefined
  /** Asked on top of everything else, but for kinds bound to a receipt. Default: 0. */
  readonly extraBits?: number | undefined
  /** Never more than this; 0 asks for none. Default: 22. */
  readonly bitsMax?: number | undefined
}

/**
 * The work that this node asks of strangers, by its own state alone: what peers say about themselves or others does
 * not come into it.
 */
export interface Price {
  /** Bits asked for a record by this author now. */
  asks(claim: WorkClaim): number
  /** Bits asked of a stranger now. */
  asksStrangers(priced: Priced): number
  /** Bits asked of a stranger for the next record of a slot that is held: it takes no more room. */
  asksSuccessors(priced: Priced): number
  /** Bits that every honest author brings, whatever is asked: nobody passes on less. */
  asksAnybody(priced: Priced): number
  /** A stranger's record, worth its price, came by itself and was kept. */
  arrived(claim: Pick<WorkClaim, 'kind' | 'author'>): void
}

export function createPrice(init: PriceInit): Price {
  const { extraBits = 0, bitsMax = workBitsAskedMax, freePerSecond = strangersPerSecondFree } = init
  const rate = createRate(init.now)

  /** What presses on a kind bound to a receipt is the room of its own, and nothing else. */
  const pressure = (priced: Priced): number => {
    const { shared, receipts } = init.fullness?.() ?? { shared: 0, receipts: 0 }
    if (isBound(priced)) return fullBits(receipts)
    return extraBits + fullBits(shared) + rateBits(rate.perSecond() / freePerSecond)
  }
  const asksStrangers = (priced: Priced): number => Math.min(bitsMax, workFloor(priced) + pressure(priced))
  const isTrusted = (author: Uint8Array): boolean => init.trusts?.(author) === true

  return {
    asksStrangers,
    asks: ({ author, ...priced }) => (isTrusted(author) ? 0 : asksStrangers(priced)),
    asksAnybody: (priced) => Math.min(bitsMax, workFloor(priced)),
    asksSuccessors: (priced) => Math.min(bitsMax, workFloor(priced) + (isBound(priced) ? 0 : extraBits)),
    arrived({ kind, author }) {
      if (!isBound({ kind }) && !isTrusted(author)) rate.add()
    }
  }
}

function isBound({ kind }: Pick<Priced, 'kind'>): boolean {
  return kindLimits[kind].receiptBound
}

function fullBits(fullness: number): number {
  return Math.min(fullBitsMax, Math.max(0, Math.ceil((fullness - fullFrom) / fullStep)))
}

/** One bit for each doubling: who sends twice as many pays twice as much for each. */
function rateBits(timesFree: number): number {
  return Math.max(0, Math.floor(Math.log2(timesFree)))
}

interface Rate {
  add(): void
  perSecond(): number
}

/** A count that fades, so that a flood is forgotten minutes after it has ended. */
function createRate(now: () => number): Rate {
  let [count, atMs] = [0, now()]
  const fade = (): void => {
    const nowMs = now()
    count *= Math.exp(Math.min(0, atMs - nowMs) / strangersWindowMs)
    atMs = nowMs
  }
  return {
    add() {
      fade()
      count++
    },
    perSecond() {
      fade()
      return count / (strangersWindowMs / 1000)
    }
  }
}
