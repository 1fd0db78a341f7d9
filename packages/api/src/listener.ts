import { lstat, mkdir, chmod, rm, stat } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname } from 'node:path'
import { ApiError } from './errors.ts'
import { closeGraceMs } from './limits.ts'

/** The loopback addresses that may be listened on, by what a caller may name them. */
const loopback: Readonly<Record<string, string>> = { '127.0.0.1': '127.0.0.1', localhost: '127.0.0.1', '::1': '::1' }

/**
 * Listens on loopback.
 *
 * @returns The names under which the listener is reached, its address first: exact values of `Host`.
 * @throws {@link ApiError} `remote-bind-refused` for any other host: this API is a wallet.
 */
export async function listenOnLoopback(server: Server, wanted: { host: string; port: number }): Promise<string[]> {
  const host = Object.hasOwn(loopback, wanted.host) ? loopback[wanted.host] : undefined
  if (host === undefined) {
    const message = `the API of a node is a wallet and listens on loopback only, not on ${wanted.host}`
    throw new ApiError('remote-bind-refused', message, { hint: 'reach a remote node through a tunnel, such as ssh -L' })
  }
  await listen(server, { host, port: wanted.port })
  const { port } = server.address() as AddressInfo
  // A browser leaves out the port that http has by itself.
  const suffix = port === 80 ? '' : `:${port}`
  return [host === '::1' ? '[::1]' : host, 'localhost'].map((name) => name + suffix)
}

/**
 * Listens on a Unix socket that nobody but this user can reach: its folder is 0700, itself 0600. Makes the folder, but
 * changes no folder that is there: it might be /tmp.
 *
 * @throws {@link ApiError} `open-socket-folder` when others may enter the folder, or something else has that name.
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const { mode, uid } = await stat(folder)
  if ((mode & 0o077) !== 0 || uid !== process.getuid?.()) {
    throw new ApiError('open-socket-folder', `others may enter ${folder}, so no socket is made there`, {
      hint: `chmod 700 ${folder}`
    })
  }
  const before = await lstat(path).catch(() => undefined)
  if (before !== undefined && !before.isSocket()) {
    throw new ApiError('open-socket-folder', `${path} is there already and is not a socket`)
  }
  // What is left there is of a daemon that died: the store's lock, taken before, shows that none runs.
  await rm(path, { force: true })
  await listen(server, { path })
  await chmod(path, 0o600)
}

function listen(server: Server, options: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Takes no more, lets what is under way end, and cuts what does not end soon. */
export function closeListener(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), closeGraceMs)
    server.close(() => {
      clearTimeout(cut)
      resolve()
    })
    server.closeIdleConnections()
  })
}
