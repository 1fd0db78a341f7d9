/** What the escrow contract says about one order, gathered from facts in any order. */

/** The contract's statuses, along its graph. */
export const chainStatuses = [
  'none',
  'funded',
  'accepted',
  'dispatched',
  'holding',
  'disputed',
  'released',
  'refunded',
  'settled',
  'ruled',
  'defaulted'
] as const
export type ChainStatus = (typeof chainStatuses)[number]

/** One event of the contract, as the reader's own watcher saw it. Plain data. */
export interface ChainFact {
  /** EIP-712 id of the order, 64 hex digits after `0x`. */
  readonly escrowId: string
  readonly kind: 'funded' | 'accepted' | 'dispatched' | 'extended' | 'part-paid' | 'holding' | 'disputed' | 'closed'
  /** How it closed; only where `kind` is `closed`. */
  readonly status?: ChainStatus
  /** What each has got in all, in the token's smallest unit. */
  readonly toSeller?: bigint
  readonly toBuyer?: bigint
  /** When the clock that runs from here ends, by the chain's time. */
  readonly deadlineMs?: number
  /** Hash of the transaction, hex with `0x`. */
  readonly tx: string
  readonly logIndex: number
  readonly blockTimeMs: number
  /** True once the reader's configuration counts it as irrevocable. */
  readonly final: boolean
}

/** Where the escrow stands. */
export interface ChainState {
  readonly status: ChainStatus
  /** False while the fact that brought the status may still be undone: nobody ships on it. */
  readonly final: boolean
  /** The end of the clock that runs, by the chain's time. */
  readonly deadlineMs: number | undefined
  readonly toSeller: bigint
  readonly toBuyer: bigint
  /** When the status was reached, by the chain's time. */
  readonly sinceMs: number
  /** The furthest live status before the last one: tells a refund before acceptance from one after it. */
  readonly before: ChainStatus
  /** The deadline that ran in `before`. */
  readonly beforeDeadlineMs: number | undefined
  /** The transaction that brought the status. */
  readonly tx: string | undefined
  readonly logIndex: number | undefined
}

/** Facts about one escrow, without repetition, in an order that depends on the set alone. */
export function factsAbout(facts: readonly ChainFact[], escrowId: string): readonly ChainFact[] {
  const own = facts.filter((fact) => bare(fact.escrowId) === bare(escrowId)).toSorted(compareFacts)
  const byPlace = new Map(own.map((fact) => [`${fact.tx} ${fact.logIndex}`, fact]))
  return [...byPlace.values()].toSorted(compareFacts)
}

/** @param facts - From {@link factsAbout}. */
export function chainStateOf(facts: readonly ChainFact[]): ChainState | undefined {
  const last = furthest(facts)
  if (last === undefined) return undefined
  const before = furthest(facts.filter((fact) => rank(fact) < rank(last)))
  const paid = facts.filter((fact) => fact.toSeller !== undefined)
  return {
    status: statusAfter(last) ?? 'none',
    final: last.final,
    deadlineMs: isFinalStatus(statusAfter(last)) ? undefined : deadlineSince(facts, last),
    toSeller: most(paid.map((fact) => fact.toSeller ?? 0n)),
    toBuyer: most(paid.map((fact) => fact.toBuyer ?? 0n)),
    sinceMs: last.blockTimeMs,
    before: (before && statusAfter(before)) ?? 'none',
    beforeDeadlineMs: before && deadlineSince(facts, before),
    tx: last.tx,
    logIndex: last.logIndex
  }
}

/** True when nothing can change any more: the money has gone where it goes. */
export function isFinalStatus(status: ChainStatus | undefined): boolean {
  return status !== undefined && chainStatuses.indexOf(status) >= chainStatuses.indexOf('released')
}

function furthest(facts: readonly ChainFact[]): ChainFact | undefined {
  return facts
    .filter((fact) => statusAfter(fact) !== undefined)
    .reduce<ChainFact | undefined>(
      (best, fact) => (best === undefined || rank(fact) > rank(best) ? fact : best),
      undefined
    )
}

/** The status that a fact brings; an extension or a part payment brings none. */
function statusAfter(fact: ChainFact): ChainStatus | undefined {
  if (fact.kind === 'closed') return fact.status
  return fact.kind === 'extended' || fact.kind === 'part-paid' ? undefined : fact.kind
}

function rank(fact: ChainFact): number {
  return chainStatuses.indexOf(statusAfter(fact) ?? 'none')
}

function deadlineSince(facts: readonly ChainFact[], since: ChainFact): number | undefined {
  const extended = facts.filter((fact) => fact.kind === 'extended' && fact.blockTimeMs >= since.blockTimeMs)
  const deadlines = [since, ...extended].flatMap((fact) => fact.deadlineMs ?? [])
  return deadlines.length === 0 ? undefined : Math.max(...deadlines)
}

function most(amounts: readonly bigint[]): bigint {
  return amounts.reduce((best, amount) => (amount > best ? amount : best), 0n)
}

/** By block time, then place; of two reports of one log the final one comes last, and so counts. */
function compareFacts(a: ChainFact, b: ChainFact): number {
  const byTime = a.blockTimeMs - b.blockTimeMs || a.logIndex - b.logIndex || Number(a.final) - Number(b.final)
  if (byTime !== 0) return byTime
  const [left, right] = [sortKey(a), sortKey(b)]
  return left < right ? -1 : Number(left > right)
}

function sortKey({ tx, kind, status, deadlineMs, toSeller, toBuyer }: ChainFact): string {
  return [tx, kind, status, deadlineMs, toSeller, toBuyer].join(' ')
}

function bare(hex: string): string {
  return hex.toLowerCase().replace(/^0x/, '')
}
