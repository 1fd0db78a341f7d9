import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RelayConfigInput } from '@souk/relay'
import { type Child, startChild } from './child.ts'
import type { Leash } from './leash.ts'
import { soukCommand } from './souk.ts'

/** A relay as a process of its own. */
export interface RelayProcess {
  readonly peerId: string
  /** Multiaddrs that nodes start from. */
  readonly addresses: readonly string[]
  /** `/metrics`, `/healthz` and `/readyz`. */
  readonly httpUrl: string
  readonly pid: number
  stop(): Promise<void>
}

export interface RelayProcessInit {
  /** Of its store, its key and its configuration. */
  readonly directory: string
  readonly env?: NodeJS.ProcessEnv
  readonly onLog?: (line: string) => void
}

/** Starts `souk relay start` on loopback. */
export async function startRelayProcess(components: { leash: Leash }, init: RelayProcessInit): Promise<RelayProcess> {
  const { directory, ...rest } = init
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'relay.yaml')
  const config: RelayConfigInput = {
    directory: join(directory, 'data'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    http: { port: 0 },
    // Nobody's session is worth waiting for when the market goes.
    drainMs: 500
  }
  await writeFile(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 })
  const command = [...soukCommand(), '--json', '--no-input', 'relay', 'start', '--config', path]
  const child: Child = await startChild({ name: 'the relay', command, ...components, ...rest })
  const { peerId, addresses, httpUrl } = child.ready as unknown as RelayProcess
  return { peerId, addresses, httpUrl, pid: child.pid, stop: () => child.stop() }
}
