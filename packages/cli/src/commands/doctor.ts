import type { StatusView } from '@souk/node'
import type { Command } from 'commander'
import { CliError, showError } from '../errors.ts'
import type { Begin, Invocation } from '../invocation.ts'
import { clockText } from './status.ts'

/** One thing that was looked at. */
interface Finding {
  readonly check: string
  readonly result: 'ok' | 'warning' | 'failed'
  readonly detail: string
  /** What to do about it. */
  readonly hint?: string | undefined
}

export function addDoctor(command: Command, begin: Begin): void {
  command.action(
    begin(async (run) => {
      const findings = await examine(run)
      await run.out.list(findings, {
        columns: [
          { name: 'result', of: ({ result }) => result },
          { name: 'check', of: ({ check }) => check },
          { name: 'detail', of: ({ detail }) => detail },
          { name: 'hint', of: ({ hint }) => hint }
        ]
      })
      const failed = findings.filter(({ result }) => result === 'failed').length
      if (failed > 0) throw new CliError('not-well', `${failed} of ${findings.length} checks failed`)
    })
  )
}

async function examine(run: Invocation): Promise<Finding[]> {
  return [nodeVersion(), ...(await homeFindings(run)), await configFinding(run), ...(await nodeFindings(run))]
}

/** The Node releases that the sources run on without a build. */
const nodeMajorMin = 24

function nodeVersion(): Finding {
  const { version } = process
  const isNew = Number(version.slice(1).split('.')[0]) >= nodeMajorMin
  return isNew
    ? { check: 'Node.js', result: 'ok', detail: version }
    : { check: 'Node.js', result: 'failed', detail: version, hint: `install Node.js ${nodeMajorMin} or newer` }
}

async function homeFindings({ home, souk }: Invocation): Promise<Finding[]> {
  const { stat, statfs } = await import('node:fs/promises')
  const folder = await stat(home.directory).catch(() => undefined)
  if (folder === undefined) {
    return [{ check: 'home', result: 'warning', detail: `${home.directory} is not there yet`, hint: `${souk} init` }]
  }
  const isOpen = process.platform !== 'win32' && (folder.mode & 0o077) !== 0
  const { bavail, bsize } = await statfs(home.directory)
  const free = bavail * bsize
  return [
    isOpen
      ? { check: 'home', result: 'failed', detail: 'others may read it', hint: `chmod 700 ${home.directory}` }
      : { check: 'home', result: 'ok', detail: home.directory },
    {
      check: 'disk',
      result: free < diskBytesMin ? 'warning' : 'ok',
      detail: `${Math.round(free / 1e6)} MB free`,
      hint: free < diskBytesMin ? 'make room: a full disk makes the store read-only' : undefined
    },
    await identityFinding(home.identity, souk)
  ]
}

/** Below this a day of pictures may fill the disk. */
const diskBytesMin = 1e9

async function identityFinding(path: string, souk: string): Promise<Finding> {
  const { readFile } = await import('node:fs/promises')
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return { check: 'identity', result: 'warning', detail: 'none yet', hint: `${souk} init` }
  const { did, backedUpAtMs } = JSON.parse(text) as { did: string; backedUpAtMs?: number }
  return backedUpAtMs === undefined
    ? { check: 'identity', result: 'warning', detail: `${did} is on this disk only`, hint: `${souk} identity phrase` }
    : { check: 'identity', result: 'ok', detail: did }
}

async function configFinding({ home }: Invocation): Promise<Finding> {
  const { readConfig } = await import('../config.ts')
  try {
    const { chains } = await readConfig(home)
    return { check: 'config', result: 'ok', detail: `${chains.length} chains` }
  } catch (error) {
    return { check: 'config', result: 'failed', detail: showError(error).message, hint: `edit ${home.config}` }
  }
}

async function nodeFindings(run: Invocation): Promise<Finding[]> {
  try {
    const client = await run.client()
    return statusFindings(await client.call('GET /v1/status'))
  } catch (error) {
    const { code, message, hint } = showError(error)
    return [{ check: 'node', result: 'failed', detail: `${code}: ${message}`, hint }]
  }
}

const storageHints: Record<StatusView['storage']['state'], string | undefined> = {
  ok: undefined,
  'read-only': 'make room on the disk: it goes on by itself',
  damaged: 'what was lost is fetched from peers; connect to some if there are none'
}

function statusFindings(status: StatusView): Finding[] {
  const { peers, sync, storage, clock, searchable, undelivered, chains, rssBytes } = status
  return [
    { check: 'node', result: 'ok', detail: `answers, ${Math.round(rssBytes / 1e6)} MB` },
    {
      check: 'peers',
      result: peers === 0 ? 'warning' : 'ok',
      detail: `${peers} connected, ${sync}`,
      hint: peers === 0 ? 'souk peer connect ADDRESS, or souk start --bootstrap ADDRESS' : undefined
    },
    {
      check: 'storage',
      result: storage.state === 'ok' ? 'ok' : 'failed',
      detail: storage.state,
      hint: storageHints[storage.state]
    },
    {
      check: 'clock',
      result: clock.state === 'off' ? 'failed' : 'ok',
      detail: clockText(clock),
      hint:
        clock.state === 'off' ? 'set the clock of this machine: others refuse what comes from the future' : undefined
    },
    { check: 'search', result: searchable ? 'ok' : 'warning', detail: searchable ? 'ready' : 'being built' },
    {
      check: 'messages',
      result: undelivered === 0 ? 'ok' : 'warning',
      detail: `${undelivered} not acknowledged yet`,
      hint: undelivered === 0 ? undefined : 'they go out when the other side can be reached'
    },
    ...chains.map(({ chain, state }): Finding => ({
      check: chain,
      result: state === 'ok' ? 'ok' : 'failed',
      detail: state,
      hint: state === 'wrong-contract' ? 'the code at that address is not the escrow contract' : undefined
    }))
  ]
}
