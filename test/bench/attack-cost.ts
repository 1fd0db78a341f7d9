import type { Arena, AttackInit, Cost } from '../floods/arena.ts'
import { median } from './measure.ts'

/** A full collection of the victim's heap falls into one run of some, and takes as long as many an attack. */
const runs = { ofLarge: 3, ofSmall: 9 }
/** What costs the attacker less is small: a few milliseconds either way, which is what a run is wrong by, are much of it. */
const smallMs = 300

/** What an attack costs both sides while the honest rest: the median of some runs, each from addresses of its own. */
export async function attackCost(arena: Arena, name: string, init: AttackInit): Promise<Cost> {
  const costs: Cost[] = []
  while (costs.length < runsFor(costs)) costs.push(await arena.cost(name, init))
  return {
    victimCpuMs: median(costs.map(({ victimCpuMs }) => victimCpuMs)),
    attackerCpuMs: median(costs.map(({ attackerCpuMs }) => attackerCpuMs))
  }
}

/** More for what is small in its first runs. */
function runsFor(costs: readonly Cost[]): number {
  const first = costs.slice(0, runs.ofLarge).map(({ attackerCpuMs }) => attackerCpuMs)
  return first.length === runs.ofLarge && median(first) < smallMs ? runs.ofSmall : runs.ofLarge
}
