import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient } from '@souk/api/client'
import type { ChainInit, NodeEvent } from '@souk/node'
import type { Did } from '@souk/records'
import { type Child, startChild } from './child.ts'
import { DevnetError } from './errors.ts'
import type { Leash } from './leash.ts'
import { lookEveryMs, lookPauseMs, waitTimeoutMs } from './limits.ts'
import { soukCommand } from './souk.ts'

/** Somebody with a node of their own: `souk start` on a home of its own, as a process of its own. */
export interface Person {
  readonly name: string
  /** For `souk --home`. */
  readonly home: string
  readonly did: Did
  /** Of the node, which is not the identity. */
  readonly peerId: string
  /** Lower-case EVM address. */
  readonly wallet: string
  /** Multiaddrs that others start from. */
  readonly addresses: readonly string[]
  /** Where the API listens. */
  readonly url: string
  readonly pid: number
  readonly isRunning: boolean
  /** Resolves when the node as it runs now has ended, whoever ended it. */
  readonly ended: Promise<void>
  /** Of the node as it runs now: a restart makes another. @throws {@link DevnetError} `stopped`. */
  readonly call: Client['call']
  /**
   * Asks again at each event of the node, until there is an answer.
   *
   * @param what - For the message when it does not come.
   * @throws {@link DevnetError} `timed-out`.
   */
  until<T>(what: string, look: () => Promise<T | undefined | false>, options?: LookOptions): Promise<T>
  events(options: { signal: AbortSignal }): AsyncIterable<NodeEvent | { readonly type: 'gap' }>
  start(): Promise<void>
  stop(): Promise<void>
  /** As a power cut does. */
  kill(): Promise<void>
}

/** How long, and how often where nothing tells that something has happened. */
export interface LookOptions {
  readonly timeoutMs?: number
  readonly everyMs?: number
}

export interface PersonInit {
  readonly name: string
  /** Folder of the identity and its node; made when it is missing. */
  readonly home: string
  /** Multiaddrs to start from. */
  readonly bootstrap: readonly string[]
  readonly chains?: readonly ChainInit[]
  /** Whose word counts besides one's own. */
  readonly curators?: readonly Did[]
  /** Channels to carry; all by default. */
  readonly channels?: readonly string[]
  /** Looks for nodes on the LAN, which on one machine are all nodes that do. Default: false. */
  readonly mdns?: boolean
  readonly env?: NodeJS.ProcessEnv
  readonly onLog?: (line: string) => void
}

/** Starts somebody's node; a home without an identity gets one. */
export async function startPerson(components: { leash: Leash }, init: PersonInit): Promise<Person> {
  await writeHome(init)
  const person = new DefaultPerson(components.leash, init)
  await person.start()
  return person
}

/** What the daemon reads: JSON is YAML. Written once; what the person changes afterwards stands. */
async function writeHome({
  home,
  bootstrap,
  chains = [],
  curators = [],
  channels,
  mdns = false
}: PersonInit): Promise<void> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  const config = {
    // Any free one: five people share this machine.
    api: { port: 0 },
    network: {
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap,
      mdns,
      ...(channels === undefined ? {} : { channels })
    },
    chains,
    trust: { curators }
  }
  const text = JSON.stringify(config, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value), 2)
  await writeFile(join(home, 'config.yaml'), `${text}\n`, { mode: 0o600 })
}

/** What `souk start --json` says first. */
interface Ready {
  readonly url: string
  readonly did: Did
  readonly peerId: string
  readonly addresses: readonly string[]
}

class DefaultPerson implements Person {
  readonly name: string
  readonly home: string
  readonly #leash: Leash
  readonly #init: PersonInit
  #child: Child | undefined
  #client: Client | undefined
  #ready: Ready = { url: '', did: '' as Did, peerId: '', addresses: [] }
  #wallet = ''

  constructor(leash: Leash, init: PersonInit) {
    this.name = init.name
    this.home = init.home
    this.#leash = leash
    this.#init = init
  }

  get did(): Did {
    return this.#ready.did
  }

  get peerId(): string {
    return this.#ready.peerId
  }

  get wallet(): string {
    return this.#wallet
  }

  get addresses(): readonly string[] {
    return this.#ready.addresses
  }

  get url(): string {
    return this.#ready.url
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

  get call(): Client['call'] {
    const client = this.#running()
    return (name, ...rest) => client.call(name, ...rest)
  }

  async start(): Promise<void> {
    if (this.isRunning) return
    const { name, home, env, onLog } = this.#init
    const command = [...soukCommand(), '--home', home, '--json', '--no-input', 'start', '--name', name]
    this.#child = await startChild({
      name: `${name}'s node`,
      command,
      leash: this.#leash,
      ...(env === undefined ? {} : { env }),
      ...(onLog === undefined ? {} : { onLog })
    })
    this.#ready = this.#child.ready as unknown as Ready
    this.#client = createClient({ url: this.#ready.url, token: await tokenOf(home) })
    this.#wallet = (await this.#client.call('GET /v1/wallet')).address
  }

  async stop(): Promise<void> {
    await this.#child?.stop()
  }

  async kill(): Promise<void> {
    await this.#child?.kill()
  }

  events(options: { signal: AbortSignal }): AsyncIterable<NodeEvent | { readonly type: 'gap' }> {
    return this.#running().events({ ...options, after: 'now' })
  }

  async until<T>(
    what: string,
    look: () => Promise<T | undefined | false>,
    { timeoutMs = waitTimeoutMs, everyMs = lookEveryMs }: LookOptions = {}
  ): Promise<T> {
    const controller = new AbortController()
    const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(timeoutMs)])
    const wake = wakes(this.events({ signal }), everyMs)
    try {
      while (!signal.aborted) {
        const found = await look()
        if (found !== undefined && found !== false) return found
        await wake()
      }
    } finally {
      controller.abort()
    }
    throw new DevnetError('timed-out', `${this.name}: ${what} did not come within ${timeoutMs} ms`)
  }

  #running(): Client {
    if (this.#client === undefined || !this.isRunning) {
      throw new DevnetError('stopped', `${this.name}'s node is not running`)
    }
    return this.#client
  }
}

async function tokenOf(home: string): Promise<string> {
  return (JSON.parse(await readFile(join(home, 'api.json'), 'utf8')) as { token: string }).token
}

/**
 * @returns Waits for an event, or a moment: the index of the search is a little behind the events. Those that come
 * close together count as one, or a look at each would be more than the node answers.
 */
function wakes(events: AsyncIterable<unknown>, everyMs: number): () => Promise<void> {
  let news = Promise.withResolvers<void>()
  // That the stream has ended shows when the node is asked again; until then only the clock wakes.
  void follow(events, () => news.resolve()).catch(() => undefined)
  let wokenAtMs = -Infinity
  return async () => {
    await Promise.race([news.promise, sleep(everyMs)])
    await sleep(Math.max(0, wokenAtMs + Math.min(everyMs, lookPauseMs) - performance.now()))
    news = Promise.withResolvers()
    wokenAtMs = performance.now()
  }
}

async function follow(events: AsyncIterable<unknown>, onEvent: () => void): Promise<void> {
  for await (const _ of events) onEvent()
}
