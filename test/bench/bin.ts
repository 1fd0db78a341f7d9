/**
 * `npm run bench`: every figure beside its baseline from the same run. `--json` prints one JSON object as the last
 * line; words narrow it to the parts that they name: `npm run bench -- records storage`, and to some attacks of one:
 * `npm run bench -- 'abuse:good DHT puts' floods:muxer`.
 */
import { benchAbuse } from './abuse.ts'
import { benchCatchUp } from './catch-up.ts'
import { benchDaemon } from './daemon.ts'
import { benchDifferences } from './differences.ts'
import { benchFloods } from './floods.ts'
import { benchGossip } from './gossip.ts'
import { benchLive } from './live.ts'
import type { Report } from './measure.ts'
import { benchRecords } from './records.ts'
import { benchRelay } from './relay.ts'
import { benchStorage } from './storage.ts'

const parts: Record<string, (only?: string) => Report | Promise<Report>> = {
  records: benchRecords,
  storage: benchStorage,
  'catch-up': benchCatchUp,
  live: benchLive,
  differences: benchDifferences,
  gossip: benchGossip,
  relay: benchRelay,
  daemon: benchDaemon,
  abuse: benchAbuse,
  floods: benchFloods
}

const given = process.argv.slice(2)
const json = given.includes('--json')
const wanted = given.filter((word) => !word.startsWith('--'))
const report: Report = {}
for (const [name, bench] of Object.entries(parts)) {
  const words = wanted.filter((word) => word === name || word.startsWith(`${name}:`))
  if (wanted.length > 0 && words.length === 0) continue
  process.stderr.write(`measuring ${name} …\n`)
  for (const word of words.length === 0 ? [name] : words) {
    Object.assign(report, await bench(word.slice(name.length + 1)))
  }
}
if (json) {
  process.stdout.write(`${JSON.stringify(report)}\n`)
} else {
  for (const [name, { value, unit, baseline, ratio }] of Object.entries(report)) {
    process.stdout.write(`${ratio.toFixed(3).padStart(9)} ×  ${name}: ${value} ${unit} (baseline ${baseline})\n`)
  }
}
// Handles of libp2p and workers close a little after their owners: the figures are out, so there is nothing to wait for.
process.exit(0)
