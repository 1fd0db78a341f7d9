import { stripVTControlCharacters } from 'node:util'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { afterAll } from 'vitest'

/** What a finished command left behind. */
export interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What `souk start --json` says first. */
export interface Ready {
  readonly event: 'ready'
  readonly url: string
  readonly socket: string | null
  readonly did: string
  readonly peerId: string
  readonly addresses: readonly string[]
}

/** A running daemon. */
export interface Running {
  readonly ready: Ready
  readonly pid: number
  /** @returns The exit status; `null` when the signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

const bin = join(import.meta.dirname, '..', 'src', 'bin.ts')
export const nodeArguments = ['--conditions=@souk/source', '--disable-warning=ExperimentalWarning', bin]

const folders: string[] = []
const children = new Set<ChildProcess>()

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** A folder that goes with the test. Below the shortest temporary folder, because a socket's path has 107 bytes. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'souk-cli-'))
  folders.push(folder)
  return folder
}

export function environment(home: string): NodeJS.ProcessEnv {
  const { SOUK_HOME: _, NO_COLOR: __, ...rest } = process.env
  return { ...rest, SOUK_HOME: home, XDG_CACHE_HOME: join(tmpdir(), 'souk-cli-test-cache') }
}

/** Runs one command to its end. */
export async function souk(home: string, args: readonly string[], input = ''): Promise<Ran> {
  const child = launch(process.execPath, [...nodeArguments, ...args], home)
  child.stdin?.end(input)
  return finished(child)
}

/** The same on a terminal (of util-linux's `script`); what is typed comes when what it answers has been shown. */
export async function soukOnTerminal(
  home: string,
  args: readonly string[],
  typed: readonly (readonly [shown: string, answer: (screen: string) => string])[] = [],
  env: NodeJS.ProcessEnv = {}
): Promise<{ status: number | null; screen: string }> {
  const quoted = [process.execPath, ...nodeArguments, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`)
  const child = launch('script', ['-qec', `stty cols 100 rows 40; exec ${quoted.join(' ')}`, '/dev/null'], home, env)
  let screen = ''
  // An open question has a filled mark: what is answered is drawn again, and must not be answered twice.
  let seenTo = 0
  const left = [...typed]
  child.stdout?.on('data', (chunk: Uint8Array) => {
    screen += new TextDecoder().decode(chunk)
    const plain = stripVTControlCharacters(screen)
    const next = left[0]
    const at = next === undefined ? -1 : plain.indexOf(next[0], seenTo)
    if (next === undefined || at === -1) return
    left.shift()
    seenTo = at + next[0].length
    child.stdin?.write(next[1](plain))
  })
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, screen }
}

/** Starts a daemon on loopback, found by nobody, and waits for its first line. */
export async function startDaemon(home: string, args: readonly string[] = []): Promise<Running> {
  const usual = ['start', '--json', '--port', '0', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0']
  const child = launch(process.execPath, [...nodeArguments, ...usual, ...args], home)
  const stderr: string[] = []
  child.stderr?.on('data', (chunk: Uint8Array) => stderr.push(new TextDecoder().decode(chunk)))
  const closed = once(child, 'close') as Promise<[number | null]>
  const line = await Promise.race([firstLine(child), closed.then(() => undefined)])
  if (line === undefined) throw new Error(`the daemon ended: ${stderr.join('')}`)
  return {
    ready: JSON.parse(line) as Ready,
    pid: child.pid ?? -1,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      const [status] = await closed
      return status
    }
  }
}

/** Starts something else of ours that writes lines until it is told to end. */
export function startLines(
  home: string,
  args: readonly string[]
): { lines: AsyncIterable<string>; child: ChildProcess; stderr: Readable } {
  const child = launch(process.execPath, [...nodeArguments, ...args], home)
  if (child.stdout === null || child.stderr === null) throw new Error('it has no output')
  return { lines: createInterface({ input: child.stdout }), child, stderr: child.stderr }
}

function launch(command: string, args: readonly string[], home: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(command, args, { env: { ...environment(home), ...env }, stdio: 'pipe' })
  children.add(child)
  child.once('close', () => children.delete(child))
  return child
}

async function finished(child: ChildProcess): Promise<Ran> {
  const read = async (stream: NodeJS.ReadableStream | null): Promise<string> => {
    const chunks: string[] = []
    for await (const chunk of stream ?? []) chunks.push(new TextDecoder().decode(chunk as Uint8Array))
    return chunks.join('')
  }
  const [stdout, stderr, [status]] = await Promise.all([
    read(child.stdout),
    read(child.stderr),
    once(child, 'close') as Promise<[number | null]>
  ])
  return { status, stdout, stderr }
}

async function firstLine(child: ChildProcess): Promise<string | undefined> {
  if (child.stdout === null) return undefined
  const lines = createInterface({ input: child.stdout })
  for await (const line of lines) return line
  return undefined
}
