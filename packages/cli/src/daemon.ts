import { createServer } from 'node:net'
import type { Identity } from '@souk/records'
import type { StatusView } from '@souk/node'
import type { Config } from './config.ts'
import { CliError } from './errors.ts'
import {
  type DaemonFile,
  type Home,
  readDaemon,
  readIdentity,
  removeDaemon,
  writeDaemon,
  writeIdentity
} from './home.ts'
import { aliveTimeoutMs, apiPortDefault } from './limits.ts'

/** A node and its API, in this process. Disposing of it drains both. */
export interface Daemon extends AsyncDisposable {
  readonly url: string
  readonly socket: string | undefined
  readonly status: StatusView
}

export interface DaemonInit {
  readonly identity: Identity
  readonly config: Config
  readonly now: () => number
  readonly onError: (error: unknown) => void
}

/**
 * Starts a node on a home and serves its API.
 *
 * @throws StorageError `locked` when another process has the store open.
 */
export async function startDaemon(home: Home, init: DaemonInit): Promise<Daemon> {
  const { identity, config, now, onError } = init
  // The two heaviest modules of the program: nothing else loads them.
  const [{ createNode }, { createApiServer, createMemoryTokenStore, createTokens, scopes }] = await Promise.all([
    import('@souk/node'),
    import('@souk/api')
  ])
  await using started = new AsyncDisposableStack()
  const { network, chains, trust } = config
  const node = started.use(await createNode({ directory: home.node, identity, network, chains, trust, now, onError }))
  const tokens = createTokens({ store: createMemoryTokenStore() }, { now })
  const socket = home.socket
  const server = started.use(
    await createApiServer(
      { node, tokens },
      { port: await choosePort(config.apiPort), now, onError, ...(socket === undefined ? {} : { socketPath: socket }) }
    )
  )
  await publishPendingName(home, node.profiles)
  const token = await tokens.create({ name: 'souk command line', scopes })
  const status = await node.status()
  const said = { pid: process.pid, url: server.url, token, did: node.did, startedAtMs: status.startedAtMs }
  await writeDaemon(home, socket === undefined ? said : { ...said, socket })
  started.defer(() => removeDaemon(home))
  const stack = started.move()
  return { url: server.url, socket, status, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/**
 * Refuses where a daemon answers already. The store's lock is what really keeps two apart; this says so before a
 * passphrase is asked for.
 *
 * @throws {@link CliError} `already-running`.
 */
export async function requireStopped(home: Home): Promise<void> {
  const daemon = await readDaemon(home)
  if (daemon === undefined || !(await answers(daemon))) return
  throw new CliError('already-running', `a node runs on ${home.directory} already, at ${daemon.url}`, {
    hint: `use it (souk status), stop it (kill ${daemon.pid}), or start another with --home`
  })
}

async function answers({ url }: DaemonFile): Promise<boolean> {
  try {
    return (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(aliveTimeoutMs) })).ok
  } catch {
    return false
  }
}

/** The port that was asked for, or the usual one, or when that is taken any. */
async function choosePort(asked: number | undefined): Promise<number> {
  if (asked !== undefined) return asked
  return (await isFree(apiPortDefault)) ? apiPortDefault : 0
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(true)))
  })
}

/** A name that `souk init` was told, before there was a node to publish it. */
async function publishPendingName(home: Home, profiles: { publish(draft: { name: string }): Promise<unknown> }) {
  const identity = await readIdentity(home)
  if (identity?.pendingName === undefined) return
  const { pendingName: name, ...rest } = identity
  await profiles.publish({ name })
  await writeIdentity(home, rest)
}
