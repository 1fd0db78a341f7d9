import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { DevnetError } from './errors.ts'
import { logLinesMax, startTimeoutMs, stopTimeoutMs } from './limits.ts'
import type { Leash } from './leash.ts'

/** A program that runs beside this one. */
export interface Child {
  readonly pid: number
  /** What its first line of output said: `{"event": "ready", …}`. */
  readonly ready: Readonly<Record<string, unknown>>
  /** False once it has ended, whoever ended it. */
  readonly isRunning: boolean
  /** Resolves when it has ended, whoever ended it. */
  readonly ended: Promise<void>
  /** Asks it to end and waits; ends it by force after {@link stopTimeoutMs}. */
  stop(): Promise<void>
  /** Ends it as a power cut does, and waits. */
  kill(): Promise<void>
}

export interface ChildInit {
  /** For messages: `relay`, `Ana's node`. */
  readonly name: string
  /** Program and arguments. */
  readonly command: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly leash: Leash
  /** Gets each line that it writes to stderr. */
  readonly onLog?: (line: string) => void
}

/**
 * Starts a program and waits for its first line, one JSON object.
 *
 * @throws {@link DevnetError} `start-failed` with the last lines that it wrote.
 */
export async function startChild(init: ChildInit): Promise<Child> {
  const { name, command, leash } = init
  const [program = '', ...args] = command
  // A group of its own: Ctrl-C reaches this process alone, which then ends the others in order.
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: init.env ?? process.env
  })
  const log = keepLog(child, init.onLog)
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  try {
    const ready = await readyLine(child, ended)
    const pid = child.pid ?? 0
    leash.hold(pid)
    void ended.then(() => leash.release(pid))
    return {
      pid,
      ready,
      get isRunning() {
        return isRunning(child)
      },
      ended,
      stop: () => end(child, { ended, signal: 'SIGTERM' }),
      kill: () => end(child, { ended, signal: 'SIGKILL' })
    }
  } catch (cause) {
    child.kill('SIGKILL')
    const reason = (cause as Error).message
    throw new DevnetError('start-failed', `${name} did not start: ${reason}\n${log.join('\n')}`, { cause })
  }
}

async function readyLine(child: ChildProcess, ended: Promise<void>): Promise<Record<string, unknown>> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
  const first = once(lines, 'line', { signal: AbortSignal.timeout(startTimeoutMs) }) as Promise<[string]>
  const gone = ended.then(() => {
    throw new DevnetError('start-failed', `it ended with status ${child.exitCode ?? child.signalCode ?? 'unknown'}`)
  })
  // Whichever of the two comes second comes to nobody.
  first.catch(() => undefined)
  gone.catch(() => undefined)
  const [line] = await Promise.race([first, gone])
  return JSON.parse(line) as Record<string, unknown>
}

/** The last lines of stderr, for when something goes wrong; it is read to its end, or the program would stand still. */
function keepLog(child: ChildProcess, onLog: ChildInit['onLog']): readonly string[] {
  const lines: string[] = []
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
    lines.push(line)
    if (lines.length > logLinesMax) lines.shift()
    onLog?.(line)
  })
  return lines
}

async function end(
  child: ChildProcess,
  { ended, signal }: { ended: Promise<void>; signal: 'SIGTERM' | 'SIGKILL' }
): Promise<void> {
  if (!isRunning(child)) return
  child.kill(signal)
  const force = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(force)
}

function isRunning({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null
}
