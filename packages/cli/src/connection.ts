import { type Client, createClient } from '@souk/api/client'
import { CliError } from './errors.ts'
import { type Home, readDaemon } from './home.ts'

/**
 * A client of the daemon that runs on this home, over its Unix socket where there is one.
 *
 * @throws {@link CliError} `unreachable-node` when none runs.
 */
export async function connect(home: Home): Promise<Client> {
  const daemon = await readDaemon(home)
  if (daemon === undefined) throw unreachable(home)
  const { url, socket, token } = daemon
  if (socket === undefined) return createClient({ url, token })
  const { socketFetch } = await import('@souk/api/socket')
  return createClient({ url: 'http://souk.socket', token, fetch: socketFetch(socket) })
}

export function unreachable(home: Home): CliError {
  const where = home.isDefault ? '' : ` --home ${home.directory}`
  return new CliError('unreachable-node', `no node runs on ${home.directory}`, {
    hint: `start one with: souk start${where}`
  })
}
