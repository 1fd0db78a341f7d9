import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

/** A program of an arena: it writes one JSON object a line and is told what to do by lines. */
export interface Program extends AsyncDisposable {
  readonly pid: number
  readonly isRunning: boolean
  /** The next line that it writes. */
  next(): Promise<Readonly<Record<string, unknown>>>
  tell(words: string): void
}

const pageBytes = 4096

/** Starts a program; its stderr goes to ours. */
export function startProgram(command: readonly string[]): Program {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    pid: child.pid ?? 0,
    get isRunning() {
      return isRunning(child)
    },
    async next() {
      const { value, done } = await lines.next()
      if (done === true) {
        await ended
        throw new Error(`${args.at(-1)} ended with ${child.exitCode ?? child.signalCode}`)
      }
      return JSON.parse(value) as Record<string, unknown>
    },
    tell: (words) => void child.stdin.write(`${words}\n`),
    async [Symbol.asyncDispose]() {
      if (isRunning(child)) child.kill('SIGKILL')
      await ended
    }
  }
}

/** How a module of this folder is run: as `npm run souk` runs, straight from its source. */
export function commandOf(module: URL, init: object = {}): string[] {
  const flags = ['--conditions=@souk/source', '--disable-warning=ExperimentalWarning']
  return [process.execPath, ...flags, module.pathname, JSON.stringify(init)]
}

/**
 * User and system time that the threads of a process have taken, to the nanosecond: proc(5)'s `stat` counts in ticks of
 * 10 ms, as much as some attacks cost.
 */
export async function cpuMsOf(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`)
  const stats = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')))
  return stats.reduce((sum, stat) => sum + Number(stat.split(' ', 1)[0]), 0) / 1e6
}

/** How long the main thread of a process has been ready to run and had no core; 0 where the kernel does not count it. */
export async function waitedMsOf(pid: number): Promise<number> {
  const [, waitedNs = 0] = (await readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8')).split(' ')
  return Number(waitedNs) / 1e6
}

export async function rssBytesOf(pid: number): Promise<number> {
  const [, pages] = (await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')
  return Number(pages) * pageBytes
}

/** The most that a process has had in memory since {@link forgetPeakRss}. */
export async function peakRssBytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

/** Sets a process's peak back to what it has now (proc(5), `clear_refs`). */
export async function forgetPeakRss(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}
