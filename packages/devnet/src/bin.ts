/** `npm run demo`: the whole story in separate processes, then the market is left to whoever looks on. */
import { createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type DemoResult, playDemo } from './demo.ts'
import { invitation } from './invitation.ts'
import { secondSignalAfterMs } from './limits.ts'
import { createProgress, jsonOf, reportText } from './report.ts'

const help = `npm run demo [-- --once] [-- --json]

Starts a market on this machine: a relay, a chain with the escrow contract, and nodes of four people, each a process of
its own. Tells how something is listed, found, bought, delivered and rated, then leaves the market to you until Ctrl-C.

  --once  end when the story has
  --json  print one JSON object as the last line of stdout; the story goes to stderr

SOUK_DEMO_HOME names an empty folder for the homes; without it they are temporary.
Exit status: 0 every step held, 1 one did not, 2 wrong usage, 130 cancelled.
`

process.exitCode = await main()

async function main(): Promise<number> {
  const flags = readFlags()
  if (flags === undefined) return 2
  if (flags.help === true) {
    process.stdout.write(help)
    return 0
  }
  // With --json the last line of stdout is for a program; who reads along does so on stderr.
  const screen = flags.json === true ? process.stderr : process.stdout
  const folder = await openFolder(process.env['SOUK_DEMO_HOME'])
  if (folder === undefined) return 2
  const signal = followSignals()
  const { result, status } = await show({ directory: folder.path, screen, signal, once: flags.once === true })
  if (status !== 1) await folder.remove()
  if (flags.json === true) process.stdout.write(`${jsonOf(result)}\n`)
  return status
}

interface Showing {
  readonly directory: string
  readonly screen: NodeJS.WriteStream
  readonly signal: AbortSignal
  readonly once: boolean
}

async function show({ directory, screen, signal, once }: Showing): Promise<{ result: DemoResult; status: number }> {
  const logPath = join(directory, 'processes.log')
  const log = createWriteStream(logPath, { flags: 'a' })
  const onLog = (line: string, from: string): void => void log.write(`${from}: ${line}\n`)
  screen.write('A market on this machine, each part a process of its own.\n\n')
  const result = await playDemo({ directory, listener: createProgress(screen), onLog, signal })
  try {
    screen.write(reportText(result, screen))
    if (signal.aborted) return { result, status: 130 }
    if (result.error !== undefined) {
      screen.write(`${result.error.message}\n${logPath} has what the processes said.\n`)
      return { result, status: 1 }
    }
    if (!once && result.market !== undefined) {
      screen.write(await invitation(result.market))
      await new Promise((done) => signal.addEventListener('abort', done, { once: true }))
      screen.write('\nEverybody goes home …\n')
    }
    return { result, status: 0 }
  } finally {
    await result.market?.[Symbol.asyncDispose]()
    log.end()
  }
}

function readFlags(): { once?: boolean; json?: boolean; help?: boolean } | undefined {
  try {
    const flag = { type: 'boolean' } as const
    return parseArgs({ options: { once: flag, json: flag, help: { ...flag, short: 'h' } } }).values
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${help}`)
    return undefined
  }
}

/** Homes that somebody named stay; temporary ones go, unless something went wrong that they tell about. */
async function openFolder(named: string | undefined): Promise<{ path: string; remove(): Promise<void> } | undefined> {
  if (named === undefined || named === '') {
    const path = await mkdtemp(join(tmpdir(), 'souk-demo-'))
    return { path, remove: () => rm(path, { recursive: true, force: true }) }
  }
  const path = resolve(named)
  await mkdir(path, { recursive: true, mode: 0o700 })
  if ((await readdir(path)).length === 0) return { path, remove: () => Promise.resolve() }
  process.stderr.write(`${path} is not empty: the story is told in a new market; name an empty folder\n`)
  return undefined
}

/** The first signal ends the market in order. Another, when it is not the first come again through npm, ends at once. */
function followSignals(): AbortSignal {
  const controller = new AbortController()
  let firstAtMs: number | undefined
  const stop = (): void => {
    firstAtMs ??= performance.now()
    if (performance.now() - firstAtMs > secondSignalAfterMs) process.exit(130)
    controller.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  return controller.signal
}
