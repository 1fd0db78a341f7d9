import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { CliError } from './errors.ts'
import { socketPathBytesMax } from './limits.ts'

/** The folder that holds one identity and all that its node remembers: mode 0700. */
export interface Home {
  readonly directory: string
  /** The phrase, encrypted. */
  readonly keystore: string
  /** What may be known of the identity without its passphrase, see {@link IdentityFile}. */
  readonly identity: string
  /** A generated passphrase, mode 0600; only where nobody was there to choose one. */
  readonly passphrase: string
  readonly config: string
  /** How to reach the daemon, mode 0600; there while it runs. */
  readonly api: string
  /** Undefined where the path would be too long for a socket, or the platform has none. */
  readonly socket: string | undefined
  /** The node's own: records, orders, images. */
  readonly node: string
  /** True when it is where it would be without being told. */
  readonly isDefault: boolean
}

/** What may be known of an identity without its passphrase. */
export interface IdentityFile {
  readonly did: string
  readonly createdAtMs: number
  /** When the person showed that the words are written down. */
  readonly backedUpAtMs?: number
  /** Chosen before a node ran; published by the first one that does. */
  readonly pendingName?: string
}

/** What the daemon leaves for its clients. */
export interface DaemonFile {
  readonly pid: number
  readonly url: string
  readonly socket?: string
  readonly token: string
  readonly did: string
  readonly startedAtMs: number
}

/** Where the home is: as told, `SOUK_HOME`, or `souk` in the platform's folder for programs' data. */
export function homeOf(given: string | undefined, host: { env: NodeJS.ProcessEnv; platform: string }): Home {
  const named = given ?? (host.env['SOUK_HOME'] || undefined)
  const directory = resolve(named ?? join(dataFolder(host), 'souk'))
  const socket = join(directory, 'run', 'api.sock')
  const hasSocket = host.platform !== 'win32' && Buffer.byteLength(socket) <= socketPathBytesMax
  return {
    directory,
    keystore: join(directory, 'keystore.json'),
    identity: join(directory, 'identity.json'),
    passphrase: join(directory, 'passphrase'),
    config: join(directory, 'config.yaml'),
    api: join(directory, 'api.json'),
    socket: hasSocket ? socket : undefined,
    node: join(directory, 'node'),
    isDefault: given === undefined
  }
}

/**
 * Makes the folder, for its owner alone.
 *
 * @throws {@link CliError} `bad-home` for a folder that others may enter and that holds other things: its mode is not
 * ours to change.
 */
export async function makeHome({ directory, keystore }: Home): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const { mode } = await stat(directory)
  if (process.platform === 'win32' || (mode & 0o077) === 0) return
  const entries = await readdir(directory)
  if (entries.length > 0 && !(await exists(keystore))) {
    throw new CliError('bad-home', `${directory} holds other things, and others may read it`, {
      hint: 'name an empty folder with --home, or chmod 700 this one'
    })
  }
  await chmod(directory, 0o700)
}

/** Writes a file that only its owner reads: whole or not at all, and on the disk when this returns. */
export async function writePrivate(path: string, content: string | Uint8Array): Promise<void> {
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
}

/** @returns `undefined` when there is none. */
export async function readOptional(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

export async function readIdentity(home: Home): Promise<IdentityFile | undefined> {
  return (await readJson(home.identity)) as IdentityFile | undefined
}

export async function writeIdentity(home: Home, identity: IdentityFile): Promise<void> {
  await writePrivate(home.identity, `${JSON.stringify(identity, undefined, 2)}\n`)
}

/** @returns What the daemon left; `undefined` when none runs, or what is there was cut short. */
export async function readDaemon(home: Home): Promise<DaemonFile | undefined> {
  const file = (await readJson(home.api)) as Partial<DaemonFile> | undefined
  return typeof file?.url === 'string' && typeof file.token === 'string' ? (file as DaemonFile) : undefined
}

export async function writeDaemon(home: Home, daemon: DaemonFile): Promise<void> {
  await writePrivate(home.api, `${JSON.stringify(daemon, undefined, 2)}\n`)
}

export async function removeDaemon(home: Home): Promise<void> {
  await rm(home.api, { force: true })
}

async function exists(path: string): Promise<boolean> {
  return (await readOptional(path)) !== undefined
}

async function readJson(path: string): Promise<unknown> {
  const bytes = await readOptional(path)
  if (bytes === undefined) return undefined
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown
  } catch {
    return undefined
  }
}

function dataFolder({ env, platform }: { env: NodeJS.ProcessEnv; platform: string }): string {
  const { XDG_DATA_HOME, LOCALAPPDATA } = env
  if (XDG_DATA_HOME) return XDG_DATA_HOME
  if (platform === 'win32') return LOCALAPPDATA ?? join(homedir(), 'AppData', 'Local')
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support')
  return join(homedir(), '.local', 'share')
}
