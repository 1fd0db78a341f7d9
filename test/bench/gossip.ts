import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Report } from './measure.ts'

const sizes = [2, 10, 30]
/** MiB of young generation that `npm start` gives a node (decision 0285). */
const youngMib = 2

/** Gossip between 2, 10 and 30 nodes; see `gossip-market.ts`. */
export async function benchGossip(): Promise<Report> {
  const report: Report = {}
  for (const nodes of sizes) Object.assign(report, await inProcess(nodes))
  return report
}

/**
 * A process that plays many nodes has a young generation for each of them, as they would have by themselves; V8 takes
 * powers of two. With one for all, each collection looks through what all of them are just at.
 */
async function inProcess(nodes: number): Promise<Report> {
  const mib = 2 ** Math.floor(Math.log2(youngMib * nodes))
  const others = process.execArgv.filter((flag) => !flag.startsWith('--max-semi-space-size'))
  const market = fork(join(import.meta.dirname, 'gossip-market.ts'), [String(nodes)], {
    execArgv: [...others, `--max-semi-space-size=${mib}`]
  })
  const ended = once(market, 'exit').then(([code]) => Promise.reject(new Error(`the market ended with ${code}`)))
  ended.catch(() => {})
  const [report] = (await Promise.race([once(market, 'message'), ended])) as [Report]
  market.kill('SIGKILL')
  return report
}
