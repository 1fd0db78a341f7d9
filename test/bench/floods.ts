import { type AttackInit, createRelayArena, type Figures } from '../floods/arena.ts'
import { attackCost } from './attack-cost.ts'
import { compare, type Report } from './measure.ts'

/** What the honest wait at most while somebody attacks, and the victim grows and takes at most, by what is sent. */
const bounds = {
  honestP99Ms: 20,
  invalid: { rssMiB: 32, cutMs: 1000 },
  bulky: { rssMiB: 32, cutMs: 2000 },
  valid: { rssMiB: 64, cutMs: 30_000 }
} as const

const few = { identities: 10, limitMs: 3000 } as const
const many = { identities: 400, addresses: 40, spread: 'far', limitMs: 3000 } as const
const fifty = { identities: 50, addresses: 50, spread: 'far', limitMs: 10_000 } as const

const runs: readonly (readonly [attack: string, kind: 'invalid' | 'bulky' | 'valid', init?: AttackInit])[] = [
  ['none', 'invalid', { limitMs: 3000 }],
  ['malformed', 'invalid'],
  ['forged', 'invalid'],
  ['forged by websocket', 'invalid'],
  ['forged', 'invalid', fifty],
  ['valid spam', 'valid'],
  ['valid spam, within what one may', 'valid', fifty],
  ['spam without work', 'invalid'],
  ['spam without work', 'invalid', fifty],
  ['repetitions', 'bulky'],
  ['messages of unknown topics', 'bulky'],
  ['frames of 3.9 MB', 'bulky'],
  ['frames beyond the codec’s bound', 'bulky'],
  ['garbage', 'bulky'],
  ['garbage in frames', 'bulky'],
  ['graft', 'bulky'],
  ['prune', 'bulky'],
  ['ihave', 'bulky'],
  ['iwant', 'bulky'],
  ['idontwant', 'bulky'],
  ['subscriptions', 'bulky'],
  ['bytes on /ipfs/ping/1.0.0', 'bulky'],
  ['bytes on /souk/sync/1', 'bulky'],
  ['bytes on /libp2p/circuit/relay/0.2.0/hop', 'bulky'],
  ['bytes before a protocol', 'bulky'],
  ['an endless length on /souk/kad/1.0.0', 'bulky'],
  ['an endless length before a protocol', 'bulky'],
  ['an endless length before a handshake, by websocket', 'bulky'],
  ['muxer pings', 'bulky'],
  ['muxer windows', 'bulky'],
  ['muxer streams', 'bulky'],
  ['streams opened and left', 'bulky', { limitMs: 3000 }],
  ['pings never read', 'bulky', { limitMs: 3000 }],
  ['gossip never read', 'bulky', { limitMs: 3000 }],
  ['idle sockets', 'bulky', few],
  ['idle sockets', 'bulky', many],
  ['idle sockets by websocket', 'bulky', many],
  ['half an HTTP request', 'bulky', many],
  ['half a multistream', 'bulky', many],
  ['half a noise handshake', 'bulky', many],
  ['connections', 'bulky', { identities: 8, addresses: 8, limitMs: 3000 }],
  ['identities that forge', 'bulky', { identities: 4, limitMs: 3000 }],
  ['identities that stay', 'bulky', { identities: 50, addresses: 10, limitMs: 3000 }]
]

/**
 * What one who attacks does to a relay, a new one for each attack, and to the honest who use it meanwhile.
 *
 * @param only - Part of the names of the attacks to run; all by default.
 */
export async function benchFloods(only = ''): Promise<Report> {
  const report: Report = {}
  process.stderr.write(`${columns.map(([name, width]) => name.padStart(width)).join(' ')}\n`)
  for (const [attack, kind, init] of runs.filter(([name]) => name.includes(only))) {
    await using arena = await createRelayArena({ isMeasured: true })
    const seen = await arena.attack(attack, { dialsMin: 20, quietMs: 1000, ...init })
    const figures = { ...seen, ...(await attackCost(arena, attack, { quietMs: 1000, ...init })) }
    process.stderr.write(`${columns.map(([, width, cell]) => cell(figures).padStart(width)).join(' ')}\n`)
    Object.assign(report, measured(figures, kind))
  }
  return report
}

function measured(figures: Figures, kind: 'invalid' | 'bulky' | 'valid'): Report {
  const { attack, identities, honestP99Ms, cutAfterMs, rssGrowthMiB, victimCpuMs, attackerCpuMs } = figures
  const name = identities === 1 ? attack : `${attack}, ${identities} identities`
  const against = (what: string, unit: string, value: number | undefined, baseline: number): Report =>
    value === undefined ? {} : { [`${name}: ${what}`]: compare(unit, { value, baseline }) }
  return {
    ...against('what the honest wait, p99, against 20 ms', 'ms', honestP99Ms, bounds.honestP99Ms),
    ...against(`RSS, against ${bounds[kind].rssMiB} MiB`, 'MiB', rssGrowthMiB, bounds[kind].rssMiB),
    ...against(`cut off, against ${bounds[kind].cutMs} ms`, 'ms', cutAfterMs, bounds[kind].cutMs),
    ...against('CPU of the victim, against the attacker’s', 'ms', victimCpuMs, attackerCpuMs)
  }
}

const round = (value: number | undefined): string => (value === undefined ? '–' : value.toFixed(value < 10 ? 1 : 0))

const columns: readonly (readonly [name: string, width: number, cell: (figures: Figures) => string])[] = [
  ['attack', 52, ({ attack }) => attack],
  ['ids', 4, ({ identities }) => `${identities}`],
  ['sent', 8, ({ sent }) => `${sent}`],
  ['taken', 6, ({ messagesTakenBeforeCut }) => round(messagesTakenBeforeCut)],
  ['in', 5, ({ admitted }) => `${admitted}`],
  ['cut', 5, ({ cut }) => `${cut}`],
  ['after ms', 9, ({ cutAfterMs }) => round(cutAfterMs)],
  ['RSS MiB', 8, ({ rssGrowthMiB }) => round(rssGrowthMiB)],
  ['p50 ms', 7, ({ honestP50Ms }) => round(honestP50Ms)],
  ['p99 ms', 7, ({ honestP99Ms }) => round(honestP99Ms)],
  ['before', 7, ({ quietP99Ms }) => round(quietP99Ms)],
  ['pings', 6, ({ honestPings }) => `${honestPings}`],
  ['no core', 8, ({ victimWaitedMs }) => round(victimWaitedMs)],
  ['delivery', 9, ({ deliveryP50Ms }) => round(deliveryP50Ms)],
  ['dials', 6, ({ honestDialShare }) => `${(honestDialShare * 100).toFixed(0)} %`],
  ['CPU ms', 7, ({ victimCpuMs }) => round(victimCpuMs)],
  ['its', 7, ({ attackerCpuMs }) => round(attackerCpuMs)]
]
