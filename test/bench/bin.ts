/**
 * `npm run bench`: every figure beside its baseline from the same run. `--json` prints one JSON object as the last
 * line; words narrow it to the parts that they name: `npm run bench -- records storage`.
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

const parts: Record<string, () => Report | Promise<Report>> = {
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
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stderr.write(`measuring ${name} …\n`)
  Object.assign(report, await bench())
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
