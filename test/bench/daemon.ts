import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { compare, type Report, scratch, timed } from './measure.ts'

const root = join(import.meta.dirname, '../..')
/** Compiling, the first look around and the check of the store are over by then. */
const settleMs = 15_000
const idleMs = 30_000
const pageBytes = 4096
const ticksPerSecond = 100

/** How soon a node answers and what it takes while nobody uses it, against a Node process that does nothing. */
export async function benchDaemon(): Promise<Report> {
  await using folder = await scratch()
  const bare = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6); console.log(1)'], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const bareStartMs = await timed(() => firstLine(bare))
  const bareRss = await rssOf(bare)
  await stop(bare)

  const args = [
    ...process.execArgv.filter((flag) => flag !== '--expose-gc'),
    '--max-semi-space-size=2',
    join(root, 'packages/cli/src/bin.ts')
  ]
  const start = [...args, 'start', '--home', folder.path, '--yes', '--json', '--port', '0']
  const first = spawn(process.execPath, start, { stdio: ['ignore', 'pipe', 'inherit'] })
  await firstLine(first)
  await stop(first)

  const daemon = spawn(process.execPath, start, { stdio: ['ignore', 'pipe', 'inherit'] })
  const readyMs = await timed(() => firstLine(daemon))
  await new Promise((resolve) => setTimeout(resolve, settleMs))
  const before = await cpuSecondsOf(daemon)
  await new Promise((resolve) => setTimeout(resolve, idleMs))
  const cpuPercent = (((await cpuSecondsOf(daemon)) - before) / (idleMs / 1000)) * 100
  const rss = await rssOf(daemon)
  await stop(daemon)
  return {
    'start until the API answers, against starting Node': compare('ms', { value: readyMs, baseline: bareStartMs }),
    'RSS of an idle node, against an idle Node': compare('MB', { value: rss / 1e6, baseline: bareRss / 1e6 }),
    'CPU of an idle node, against the target of 0.5 %': compare('% of a core', { value: cpuPercent, baseline: 0.5 })
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the process has no output')
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
  return line
}

async function rssOf({ pid }: ChildProcess): Promise<number> {
  const [, pages] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')
  return Number(pages) * pageBytes
}

async function cpuSecondsOf({ pid }: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}
