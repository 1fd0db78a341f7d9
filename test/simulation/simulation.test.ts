import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { LiarKind } from './liars.ts'
import type { SimulationReport, Weakness } from './run.ts'

type Flags = Readonly<Record<string, string | number>>

/** A simulation puts its own clock into its process, so each has one to itself. */
function simulate(flags: Flags): Promise<SimulationReport> {
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
  const node = ['--conditions=@souk/source', '--disable-warning=ExperimentalWarning']
  const bin = join(import.meta.dirname, 'bin.ts')
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [...node, bin, ...args, '--json'], (error, stdout, stderr) => {
      const last = stdout.trim().split('\n').at(-1) ?? ''
      if (last.startsWith('{')) resolve(JSON.parse(last) as SimulationReport)
      else reject(new Error(`npm run simulate -- ${args.join(' ')}\n${stderr}`, { cause: error }))
    })
  })
}

/** What a failure prints is enough to have it again. */
function replayOf(flags: Flags): string {
  return `npm run simulate -- ${Object.entries(flags)
    .map(([name, value]) => `--${name} ${value}`)
    .join(' ')}`
}

const market = { seed: 1, nodes: 25, listings: 120, hours: 0.1, churn: 1, liars: 0.2 }
const calm = { nodes: 24, listings: 60, hours: 0.02, churn: 0, liars: 0, loss: 0 }
const minutes = 5 * 60_000

test(
  'a market with churn, liars and a short partition: every honest node has every honest listing',
  async () => {
    const flags = { ...market, partition: 10, 'partition-listings': 10 }
    const report = await simulate(flags)
    expect({ ...report, replay: replayOf(flags) }).toMatchObject({
      ok: true,
      missing: 0,
      superseded: 0,
      invalid: 0,
      unpunished: 0
    })
    expect(report.wanted).toBeGreaterThan(300)
    expect(report.departures).toBeGreaterThan(0)
  },
  minutes
)

test(
  'one seed is one run, to the last byte, on either stack; another seed is another',
  async () => {
    const small = { nodes: 8, listings: 12, hours: 0.02, churn: 2, liars: 0.3 }
    for (const stack of ['light', 'libp2p']) {
      const reports = await Promise.all([1, 1, 2].map((seed) => simulate({ ...small, stack, seed })))
      const traces = reports.map(({ trace }) => trace)
      expect(reports).toMatchObject([{ missing: 0 }, { missing: 0 }, { missing: 0 }])
      const replay = replayOf({ ...small, stack, seed: 1 })
      expect({ trace: traces[0], replay }).toEqual({ trace: traces[1], replay })
      expect(traces[0]).not.toBe(traces[2])
    }
  },
  minutes
)

const partitions: readonly (readonly [string, Flags])[] = [
  ['ten seconds', { partition: 10 }],
  ['ten minutes', { partition: 600 }],
  // With gossipsub's heartbeat every 30 s: decision 0314.
  ['a day', { nodes: 12, partition: 86_400, heartbeat: 30_000 }]
]

test.each(partitions)(
  'a partition of %s heals within a round of catch-up',
  async (_name, partition) => {
    const flags = { ...calm, ...partition, 'partition-listings': 30 }
    const { ok, healing } = await simulate(flags)
    expect({ ok, replay: replayOf(flags) }).toMatchObject({ ok: true })
    expect(healing?.seconds).not.toBeNull()
    expect(healing?.seconds).toBeLessThan(66 * 60)
  },
  minutes
)

test(
  'a partition of a minute in which each side publishes 500 is healed within ten seconds',
  async () => {
    const flags = { seed: 5, nodes: 40, listings: 0, hours: 0.02, churn: 0, liars: 0 }
    const apart = { ...flags, partition: 60, 'partition-listings': 500 }
    const { ok, healing } = await simulate(apart)
    expect({ ok, replay: replayOf(apart) }).toMatchObject({ ok: true })
    expect(healing?.seconds).toBeLessThanOrEqual(10)
  },
  minutes
)

/** Each lie does harm to nodes that leave out what stands against it, and the check says so. */
const lies: readonly [LiarKind, Weakness, (report: SimulationReport) => number][] = [
  ['forged', 'verification', ({ invalid }) => invalid],
  ['stale', 'selection', ({ superseded }) => superseded],
  ['withholding', 'catch-up', ({ missing }) => missing],
  ['oversize', 'guard', ({ unpunished }) => unpunished],
  ['flooding', 'guard', ({ unpunished }) => unpunished]
]

test.each(lies)(
  'a liar that is %s is found out when nodes do without %s',
  async (kind, without, harm) => {
    const flags = { ...market, nodes: 12, listings: 80, 'liar-kinds': kind }
    const [sound, weak] = await Promise.all([simulate(flags), simulate({ ...flags, without, settle: 2 })])
    expect({ ...sound, replay: replayOf(flags) }).toMatchObject({ ok: true })
    expect(weak.ok).toBe(false)
    expect(harm(weak)).toBeGreaterThan(0)
  },
  minutes
)
