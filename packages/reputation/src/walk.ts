import { stepsMax, stopChance } from './limits.ts'
import { drawTrusted, type TrustTable } from './trust.ts'

/** Walks through trust: for each, the people it came by, its root first. */
export interface Walks {
  readonly count: number
  /** How many walks came by each person. */
  readonly visits: ReadonlyMap<number, number>
  /** The path most often walked to a person, the first such; empty when no walk came by. */
  pathTo(person: number): number[]
}

/** Places in the record of one walk: its root and its steps. */
const stride = stepsMax + 1

/**
 * Walks from the roots in turn. Before each step a walk ends with chance 0.35; a step goes to somebody trusted, in
 * proportion, but never to one it came by, nor to `avoid`: what is said about a person must not change who is heard
 * about them. At most six steps.
 *
 * @param roots - Where to start; none gives walks that visit nobody.
 * @param random - Drawn once before each step, and once for the step if there is anybody to go to.
 */
export function walk(
  roots: readonly number[],
  options: { count: number; avoid: number; random: () => number; tableOf: (person: number) => TrustTable }
): Walks {
  const steps = new Int32Array(options.count * stride).fill(-1)
  if (roots.length > 0) {
    for (let i = 0; i < options.count; i++) steps.set(oneWalk(roots[i % roots.length] as number, options), i * stride)
  }
  return { count: options.count, visits: countVisits(steps), pathTo: (person) => commonestPath(steps, person) }
}

function oneWalk(
  root: number,
  { avoid, random, tableOf }: { avoid: number; random: () => number; tableOf: (person: number) => TrustTable }
): number[] {
  const path = [root]
  const excluded = [avoid, root]
  while (path.length < stride && random() >= stopChance) {
    const next = drawTrusted(tableOf(path.at(-1) as number), excluded, random)
    if (next < 0) break
    path.push(next)
    excluded.push(next)
  }
  return path
}

function countVisits(steps: Int32Array): Map<number, number> {
  const visits = new Map<number, number>()
  for (const person of steps) if (person >= 0) visits.set(person, (visits.get(person) ?? 0) + 1)
  return visits
}

function commonestPath(steps: Int32Array, person: number): number[] {
  const counts = new Map<string, number>()
  for (let at = steps.indexOf(person); at >= 0; at = steps.indexOf(person, at + 1)) {
    const path = steps.subarray(at - (at % stride), at + 1).join()
    counts.set(path, (counts.get(path) ?? 0) + 1)
  }
  const [commonest] = [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best), ['', 0])
  return commonest === '' ? [] : commonest.split(',').map(Number)
}
