import { type Arena, type AttackInit, createNodeArena, createRelayArena, type Figures } from '../floods/arena.ts'
import { nodeAttacks, relayAttacks } from '../floods/services.ts'
import { stockRelay } from '../floods/stock.ts'
import { attackCost } from './attack-cost.ts'
import { compare, type Report } from './measure.ts'

const honestP99MsMax = 20
const rssMiBMax = 64

/** Those that one peer's budget ends soon: what fifty of them do is the question. */
const byFifty = [
  'negentropy bombs',
  'negentropy bombs after a fair beginning',
  'partitions without end',
  'letters to one',
  'praise of many subjects',
  'bad DHT puts'
]
const fifty: AttackInit = { identities: 50, addresses: 50, limitMs: 5000 }

/**
 * What a relay's own services, and a node's, are asked without end, or for nothing, and what that does to them and to the
 * honest.
 *
 * @param only - Part of the names of the attacks to run; all by default.
 */
export async function benchAbuse(only = ''): Promise<Report> {
  process.stderr.write(`${columns.map(([name, width]) => name.padStart(width)).join(' ')}\n`)
  const chosen = (runs: readonly Run[]): Run[] => runs.filter(([name]) => name.includes(only))
  const onRelay: Run[] = [...alone(relayAttacks), ...byFifty.map((name): Run => [name, fifty])]
  return {
    ...(await benchOn(() => createRelayArena({ fill: stockRelay, isMeasured: true }), chosen(onRelay))),
    ...(await benchOn(() => createNodeArena({ isMeasured: true }), chosen(alone(nodeAttacks))))
  }
}

type Run = readonly [attack: string, init: AttackInit]

function alone(attacks: Readonly<Record<string, unknown>>): Run[] {
  return Object.keys(attacks).map((name) => [name, { limitMs: 3000 }])
}

async function benchOn(make: () => Promise<Arena>, runs: readonly Run[]): Promise<Report> {
  const report: Report = {}
  if (runs.length === 0) return report
  await using arena = await make()
  for (const [name, init] of runs) {
    const seen = await arena.attack(name, { dialsMin: 20, quietMs: 2000, ...init })
    const figures = { ...seen, ...(await attackCost(arena, name, { quietMs: 2000, ...init })) }
    process.stderr.write(`${columns.map(([, width, cell]) => cell(figures).padStart(width)).join(' ')}\n`)
    Object.assign(report, measured(figures))
  }
  return report
}

function measured({ attack, identities, honestP99Ms, rssGrowthMiB, victimCpuMs, attackerCpuMs }: Figures): Report {
  const name = identities === 1 ? attack : `${attack}, ${identities} identities`
  return {
    [`${name}: CPU of the victim against that of the attacker`]: compare('ms', {
      value: Math.max(0, victimCpuMs),
      baseline: attackerCpuMs
    }),
    [`${name}: growth against what it may be`]: compare('MiB', { value: rssGrowthMiB, baseline: rssMiBMax }),
    ...(honestP99Ms !== undefined && {
      [`${name}: honest p99 against what it may be`]: compare('ms', { value: honestP99Ms, baseline: honestP99MsMax })
    })
  }
}

const columns: readonly (readonly [name: string, width: number, cell: (figures: Figures) => string])[] = [
  ['attack', 36, ({ attack }) => attack],
  ['ids', 4, ({ identities }) => String(identities)],
  ['answered', 9, ({ sent }) => String(sent)],
  ['let in', 7, ({ admitted }) => String(admitted)],
  ['cut', 4, ({ cut }) => String(cut)],
  ['after ms', 9, ({ cutAfterMs }) => cutAfterMs?.toFixed(0) ?? '-'],
  ['CPU ms', 7, ({ victimCpuMs }) => victimCpuMs.toFixed(0)],
  ['against', 8, ({ attackerCpuMs }) => attackerCpuMs.toFixed(0)],
  ['RSS MiB', 8, ({ rssGrowthMiB }) => rssGrowthMiB.toFixed(1)],
  ['p50 ms', 7, ({ honestP50Ms }) => honestP50Ms?.toFixed(1) ?? '-'],
  ['p99 ms', 7, ({ honestP99Ms }) => honestP99Ms?.toFixed(1) ?? '-'],
  ['before', 7, ({ quietP99Ms }) => quietP99Ms?.toFixed(1) ?? '-'],
  ['dials', 6, ({ honestDialShare }) => `${(honestDialShare * 100).toFixed(0)} %`]
]
