import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const pageBytes = 4096
const ticksPerSecond = 100

/** Runs Node, whose lines on standard output are for {@link firstLine}. */
export function spawnNode(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

/** Runs `souk` with the flags that `npm start` gives it. */
export function spawnSouk(args: readonly string[]): ChildProcess {
  const flags = process.execArgv.filter((flag) => flag !== '--expose-gc')
  const souk = join(import.meta.dirname, '../../packages/cli/src/bin.ts')
  return spawnNode([...flags, '--max-semi-space-size=2', souk, ...args])
}

export async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the process has no output')
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the process ended with ${code}`)))
  ended.catch(() => {})
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), ended])) as [string]
  return line
}

/** Bytes in memory, as the kernel counts them. */
export async function rssOf({ pid }: ChildProcess): Promise<number> {
  const [, pages] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')
  return Number(pages) * pageBytes
}

/** In user code and in the kernel, all threads together. */
export async function cpuSecondsOf({ pid }: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

export async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  await ended
}
