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
  readonly isRunning: boolean
  /** Resolves when the relay as it runs now has ended, whoever ended it. */
  readonly ended: Promise<void>
  /** Again, at the addresses that it had: they are in the configuration and the profiles of others. */
  start(): Promise<void>
  stop(): Promise<void>
  /** As a power cut does. */
  kill(): Promise<void>
}

export interface RelayProcessInit {
  /** Of its store, its key and its configuration. */
  readonly directory: string
  readonly env?: NodeJS.ProcessEnv
  readonly onLog?: (line: string) => void
}

/** Starts `souk relay start` on loopback. */
export async function startRelayProcess(components: { leash: Leash }, init: RelayProcessInit): Promise<RelayProcess> {
  const relay = new DefaultRelayProcess(components.leash, init)
  await relay.start()
  return relay
}

/** What `souk relay start --json` says first. */
type Ready = Pick<RelayProcess, 'peerId' | 'addresses' | 'httpUrl'>

class DefaultRelayProcess implements RelayProcess {
  readonly #leash: Leash
  readonly #init: RelayProcessInit
  #child: Child | undefined
  #ready: Ready = { peerId: '', addresses: [], httpUrl: '' }

  constructor(leash: Leash, init: RelayProcessInit) {
    this.#leash = leash
    this.#init = init
  }

  get peerId(): string {
    return this.#ready.peerId
  }

  get addresses(): readonly string[] {
    return this.#ready.addresses
  }

  get httpUrl(): string {
    return this.#ready.httpUrl
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#child?.isRunning === true
  }

  get ended(): Promise<void> {
    return this.#child?.ended ?? Promise.resolve()
  }

  async start(): Promise<void> {
    if (this.isRunning) return
    const { directory, ...rest } = this.#init
    const path = await writeConfig(directory, { listen: this.addresses.map(withoutPeer) })
    const command = [...soukCommand(), '--json', '--no-input', 'relay', 'start', '--config', path]
    this.#child = await startChild({ name: 'the relay', command, leash: this.#leash, ...rest })
    this.#ready = this.#child.ready as unknown as Ready
  }

  async stop(): Promise<void> {
    await this.#child?.stop()
  }

  async kill(): Promise<void> {
    await this.#child?.kill()
  }
}

/** @param options.listen - Any free port when there are none yet. */
async function writeConfig(directory: string, { listen }: { listen: readonly string[] }): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = join(directory, 'relay.yaml')
  const config: RelayConfigInput = {
    directory: join(directory, 'data'),
    listen: listen.length === 0 ? ['/ip4/127.0.0.1/tcp/0'] : [...listen],
    http: { port: 0 },
    // Nobody's session is worth waiting for when the market goes.
    drainMs: 500
  }
  await writeFile(path, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 })
  return path
}

function withoutPeer(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}
