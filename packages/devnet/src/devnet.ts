import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { startTokenChain, type TokenChain } from './chain.ts'
import { DevnetError } from './errors.ts'
import { createLeash, type Leash } from './leash.ts'
import { type Person, type PersonInit, startPerson } from './person.ts'
import { type RelayProcess, startRelayProcess } from './relay.ts'

export interface DevnetInit {
  /** Where homes and logs are. Default: a temporary folder that goes with the market. */
  readonly directory?: string
  /** Who is there from the start. Default: nobody; see {@link Devnet.join}. */
  readonly people?: readonly (string | Newcomer)[]
  /** A chain with the escrow contract beside the relay. Default: true. */
  readonly chain?: boolean
  readonly blockSeconds?: number
  /** Environment of the processes; this one's by default. */
  readonly env?: NodeJS.ProcessEnv
  /** Gets each line that one of the processes writes to its log. */
  readonly onLog?: (line: string, from: string) => void
}

/** Somebody who comes to the market. */
export interface Newcomer extends Pick<PersonInit, 'name' | 'curators' | 'channels' | 'mdns' | 'env'> {
  /** Multiaddrs to start from. Default: the relay's. */
  readonly bootstrap?: readonly string[]
}

/** A whole market on this machine, each part a process of its own. Disposing of it ends them all. */
export interface Devnet extends AsyncDisposable {
  readonly directory: string
  readonly relay: RelayProcess
  /** @throws {@link DevnetError} `stopped` when the market was made without one. */
  readonly chain: TokenChain
  readonly people: readonly Person[]
  /** @throws {@link DevnetError} `no-such-person`. */
  person(name: string): Person
  /** Starts a node for somebody new. */
  join(newcomer: string | Newcomer): Promise<Person>
}

/**
 * Starts a market: a relay, a chain with the escrow contract, and a node for each person.
 *
 * @throws {@link DevnetError} `start-failed`; nothing is left running then.
 */
export async function createDevnet(init: DevnetInit = {}): Promise<Devnet> {
  await using starting = new AsyncDisposableStack()
  const leash = starting.use(createLeash())
  const directory = await openFolder(init.directory, starting)
  const [relay, chain] = await startPlaces(init, { directory, leash, stack: starting })
  const devnet = new DefaultDevnet({ init, directory, leash, relay, chain })
  starting.defer(() => devnet.stopPeople())
  await Promise.all((init.people ?? []).map((person) => devnet.join(person)))
  return devnet.own(starting.move())
}

async function openFolder(given: string | undefined, stack: AsyncDisposableStack): Promise<string> {
  if (given !== undefined) return resolve(given)
  const made = await mkdtemp(join(tmpdir(), 'souk-devnet-'))
  stack.defer(() => rm(made, { recursive: true, force: true }))
  return made
}

/** Relay and chain at the same time: neither needs the other. */
async function startPlaces(
  { chain = true, blockSeconds, env, onLog }: DevnetInit,
  { directory, leash, stack }: { directory: string; leash: Leash; stack: AsyncDisposableStack }
): Promise<[RelayProcess, TokenChain | undefined]> {
  const relay = startRelayProcess(
    { leash },
    {
      directory: join(directory, 'relay'),
      ...(env === undefined ? {} : { env }),
      ...(onLog === undefined ? {} : { onLog: (line: string) => onLog(line, 'relay') })
    }
  )
  const chained = chain ? startTokenChain({ leash }, { blockSeconds }) : Promise.resolve(undefined)
  const [relayed, opened] = await Promise.allSettled([relay, chained])
  if (opened.status === 'fulfilled' && opened.value !== undefined) stack.use(opened.value)
  if (relayed.status === 'fulfilled') stack.defer(() => relayed.value.stop())
  if (relayed.status === 'rejected') throw relayed.reason
  if (opened.status === 'rejected') throw opened.reason
  return [relayed.value, opened.value]
}

interface DevnetParts {
  readonly init: DevnetInit
  readonly directory: string
  readonly leash: Leash
  readonly relay: RelayProcess
  readonly chain: TokenChain | undefined
}

class DefaultDevnet implements Devnet {
  readonly #parts: DevnetParts
  readonly #people = new Map<string, Person>()
  #stack: AsyncDisposableStack | undefined

  constructor(parts: DevnetParts) {
    this.#parts = parts
  }

  /** Takes over what was started. */
  own(stack: AsyncDisposableStack): this {
    this.#stack = stack
    return this
  }

  get directory(): string {
    return this.#parts.directory
  }

  get relay(): RelayProcess {
    return this.#parts.relay
  }

  get chain(): TokenChain {
    const { chain } = this.#parts
    if (chain === undefined) throw new DevnetError('stopped', 'this market was made without a chain')
    return chain
  }

  get people(): readonly Person[] {
    return [...this.#people.values()]
  }

  person(name: string): Person {
    const person = this.#people.get(name)
    if (person === undefined) throw new DevnetError('no-such-person', `nobody is called ${name} here`)
    return person
  }

  async join(newcomer: string | Newcomer): Promise<Person> {
    const { init, directory, leash, relay, chain } = this.#parts
    const given = typeof newcomer === 'string' ? { name: newcomer } : newcomer
    const { onLog } = init
    const person = await startPerson(
      { leash },
      {
        home: join(directory, given.name.toLowerCase()),
        bootstrap: relay.addresses,
        chains: chain === undefined ? [] : [chain.init],
        ...(init.env === undefined ? {} : { env: init.env }),
        ...(onLog === undefined ? {} : { onLog: (line: string) => onLog(line, given.name) }),
        ...given
      }
    )
    this.#people.set(given.name, person)
    return person
  }

  async stopPeople(): Promise<void> {
    await Promise.all(this.people.map((person) => person.stop()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack?.disposeAsync()
  }
}
