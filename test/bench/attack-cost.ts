import type { Arena, AttackInit, Cost } from '../floods/arena.ts'
import { median } from './measure.ts'

/** A full collection of the victim's heap falls into one run of some, and takes as long as many an attack. */
const runs = 3

/** What an attack costs both sides while the honest rest: the median of a few runs, each from addresses of its own. */
export async function attackCost(arena: Arena, name: string, init: AttackInit): Promise<Cost> {
  const costs: Cost[] = []
  while (costs.length < runs) costs.push(await arena.cost(name, init))
  return {
    victimCpuMs: median(costs.map(({ victimCpuMs }) => victimCpuMs)),
    attackerCpuMs: median(costs.map(({ attackerCpuMs }) => attackerCpuMs))
  }
}
