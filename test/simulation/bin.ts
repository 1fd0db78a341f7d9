/**
 * `npm run simulate`: a market of simulated nodes, replayable from its seed. `--json` prints one object as the last
 * line; what goes on is told on stderr; the exit code is 1 when something is missing or wrong.
 */
import { inspect, parseArgs } from 'node:util'
import { createClock } from './clock.ts'
import type { LiarKind } from './liars.ts'
import type { Stack } from './peer.ts'
import { enterSimulation } from './process.ts'
import { createRandom } from './random.ts'
import type { SimulationOptions, Weakness } from './run.ts'

const { values: given } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    nodes: { type: 'string', default: '100' },
    listings: { type: 'string', default: '1000' },
    hours: { type: 'string', default: '1' },
    churn: { type: 'string', default: '0.2' },
    liars: { type: 'string', default: '0.1' },
    'liar-kinds': { type: 'string', default: 'stale,forged,oversize,withholding,flooding' },
    partition: { type: 'string', default: '0' },
    'partition-listings': { type: 'string', default: '0' },
    loss: { type: 'string', default: '0.01' },
    latency: { type: 'string', default: '50' },
    stack: { type: 'string', default: 'light' },
    // A round of catch-up comes every hour, give or take six minutes.
    settle: { type: 'string', default: '70' },
    heartbeat: { type: 'string', default: '1000' },
    without: { type: 'string', default: '' },
    json: { type: 'boolean', default: false }
  }
})

const options: SimulationOptions = {
  seed: Number(given.seed),
  nodes: Number(given.nodes),
  listings: Number(given.listings),
  hours: Number(given.hours),
  churn: Number(given.churn),
  liars: Number(given.liars),
  liarKinds: listOf<LiarKind>(given['liar-kinds']),
  partitionSeconds: Number(given.partition),
  partitionListings: Number(given['partition-listings']),
  loss: Number(given.loss),
  latencyMs: Number(given.latency),
  stack: given.stack as Stack,
  settleMinutes: Number(given.settle),
  heartbeatMs: Number(given.heartbeat),
  without: listOf<Weakness>(given.without)
}

/** A day in the middle of nowhere; the seed says at what time of it. */
const startMs = Date.UTC(2026, 0, 15)

const random = createRandom(options.seed)
const clock = createClock(startMs + random.below(86_400_000))
const real = enterSimulation(clock, random.fork('process'))
const say = (text: string): void => void process.stderr.write(`${text}\n`)

// Only now: what is imported lives by the clock that is there when it is.
const { simulate } = await import('./run.ts')
const report = await simulate({ clock, random, real, onProgress: say }, options).catch((error: unknown) => {
  say(`seed ${options.seed}: ${inspect(error)}`)
  process.exit(2)
})
say(`seed ${options.seed}: ${report.ok ? 'all is well' : report.examples.join('; ')}`)
if (given.json) process.stdout.write(`${JSON.stringify(report)}\n`)
else
  for (const [name, value] of Object.entries(report))
    process.stdout.write(`${name.padEnd(24)} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}\n`)
process.exit(report.ok ? 0 : 1)

function listOf<T extends string>(text: string): T[] {
  return text.split(',').filter((word) => word !== '') as T[]
}
