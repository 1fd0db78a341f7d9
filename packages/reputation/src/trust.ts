import { tradeWeight, verdictOf } from './feedback.ts'
import { statements, type Dealings } from './ledger.ts'
import { sellerTrustShare, trustLossPerBad, trustMax } from './limits.ts'

/**
 * How far a walk follows one person to another:
 * c = max(0, 4 · (1 − e^(−good / 4)) − 3 · bad + 0.1 · sold).
 * `good` and `bad` are what the first said as buyer; `sold` the good they said as seller, of settled escrows only.
 *
 * @returns 0 to about 4 (selling alone adds 0.15 a trade).
 */
export function trust(dealings: Dealings, today: number): number {
  let [good, bad, sold] = [0, 0, 0]
  for (const edge of statements(dealings)) {
    const verdict = verdictOf(edge.stars, tradeWeight(edge, today))
    if (edge.raterRole === 'buyer') {
      good += verdict.good
      bad += verdict.bad
    } else if (edge.evidence === 'escrow') sold += verdict.good
  }
  return Math.max(0, trustMax * (1 - Math.exp(-good / trustMax)) - trustLossPerBad * bad + sellerTrustShare * sold)
}

/** Where a walk can go from one person: everybody they trust, by id, with running sums of trust. */
export interface TrustTable {
  /** Numbers of the trusted, in the order of their ids. */
  readonly targets: Int32Array
  /** `running[i]` is the trust in `targets[0]` to `targets[i]` together. */
  readonly running: Float64Array
  /** Where in `targets` a number stands. */
  readonly places: ReadonlyMap<number, number>
}

/** @param numberOf - Gives each id the small number under which walks know it. */
export function createTrustTable(
  dealings: ReadonlyMap<string, Dealings>,
  { today, numberOf }: { today: number; numberOf: (id: string) => number }
): TrustTable {
  const trusted = [...dealings]
    .map(([id, said]) => ({ id, trust: trust(said, today) }))
    .filter((entry) => entry.trust > 0)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const running = new Float64Array(trusted.length)
  let sum = 0
  for (const [i, entry] of trusted.entries()) running[i] = sum += entry.trust
  const targets = Int32Array.from(trusted, (entry) => numberOf(entry.id))
  return { targets, running, places: new Map(Array.from(targets, (target, place) => [target, place])) }
}

/**
 * Draws one of a table's targets in proportion to trust, leaving some out.
 *
 * @param excluded - Numbers that must not come out; those not in the table do not matter.
 * @param random - Drawn once, or not at all when nobody is left.
 * @returns A number, or -1 when nobody is left.
 */
export function drawTrusted(table: TrustTable, excluded: readonly number[], random: () => number): number {
  const { targets, running } = table
  const gaps = placesOf(table, excluded)
  if (gaps.length === targets.length) return -1
  let left = running.at(-1) ?? 0
  for (const place of gaps) left -= trustAt(running, place)
  let mark = random() * left
  for (const place of gaps) if (before(running, place) <= mark) mark += trustAt(running, place)
  return targets[allowedPlace(firstAbove(running, mark), gaps, targets.length)] as number
}

/** Where the people stand who are in the table, in ascending order. Plain loops: this runs 20,000 times a score. */
function placesOf({ places }: TrustTable, people: readonly number[]): number[] {
  const found: number[] = []
  for (const person of people) {
    const place = places.get(person)
    if (place === undefined) continue
    let at = found.length
    for (; at > 0 && (found[at - 1] as number) > place; at--) found[at] = found[at - 1] as number
    found[at] = place
  }
  return found
}

/** The place itself; if rounding led to a gap or past the end, the next place that is none. */
function allowedPlace(place: number, gaps: readonly number[], length: number): number {
  for (let tried = 0; tried < length; tried++) {
    const candidate = (place + tried) % length
    if (!gaps.includes(candidate)) return candidate
  }
  return -1
}

function firstAbove(running: Float64Array, mark: number): number {
  let low = 0
  let high = running.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((running[middle] as number) > mark) high = middle
    else low = middle + 1
  }
  return low
}

function before(running: Float64Array, place: number): number {
  return place === 0 ? 0 : (running[place - 1] as number)
}

function trustAt(running: Float64Array, place: number): number {
  return (running[place] as number) - before(running, place)
}
