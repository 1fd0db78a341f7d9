import { setTimeout as wait } from 'node:timers/promises'
import { compare, type Report, scratch, timed } from './measure.ts'
import { cpuSecondsOf, firstLine, rssOf, spawnNode, spawnSouk, stop } from './process.ts'

/** Compiling, the first look around and the check of the store are over by then. */
const settleMs = 15_000
const idleMs = 30_000

/** How soon a node answers and what it takes while nobody uses it, against a Node process that does nothing. */
export async function benchDaemon(): Promise<Report> {
  await using folder = await scratch()
  const bare = spawnNode(['-e', 'setInterval(() => {}, 1e6); console.log(1)'])
  const bareStartMs = await timed(() => firstLine(bare))
  const bareRss = await rssOf(bare)
  await stop(bare)

  const start = ['start', '--home', folder.path, '--yes', '--json', '--port', '0']
  const first = spawnSouk(start)
  await firstLine(first)
  await stop(first)

  const daemon = spawnSouk(start)
  const readyMs = await timed(() => firstLine(daemon))
  await wait(settleMs)
  const before = await cpuSecondsOf(daemon)
  await wait(idleMs)
  const cpuPercent = (((await cpuSecondsOf(daemon)) - before) / (idleMs / 1000)) * 100
  const rss = await rssOf(daemon)
  await stop(daemon)
  return {
    'start until the API answers, against starting Node': compare('ms', { value: readyMs, baseline: bareStartMs }),
    'RSS of an idle node, against an idle Node': compare('MB', { value: rss / 1e6, baseline: bareRss / 1e6 }),
    'CPU of an idle node, against the target of 0.5 %': compare('% of a core', { value: cpuPercent, baseline: 0.5 })
  }
}
