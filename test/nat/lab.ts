import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Client, createClient } from '@souk/api/client'
import { socketFetch } from '@souk/api/socket'
import { soukCommand } from '@souk/devnet'

const execute = promisify(execFile)

/**
 * An internet of network namespaces on this machine: machines on a bridge with public addresses, and homes behind
 * routers that translate addresses as real ones do.
 */
export interface Lab extends AsyncDisposable {
  /** Folder for homes. */
  readonly directory: string
  /** Lines that each program wrote to its log, with whose they are. */
  readonly log: readonly string[]
  /** A machine with a public address. @returns Its namespace. */
  machine(name: string, address: string): Promise<string>
  /** A home behind a router. @returns The namespace of the computer in it. */
  home(name: string, router: Router): Promise<string>
  /** Loses packets that a machine gets, at random. */
  lose(namespace: string, percent: number): Promise<void>
  relay(namespace: string, address: string): Promise<string>
  node(
    name: string,
    namespace: string,
    init: { bootstrap: readonly string[]; listen?: readonly string[]; announce?: readonly string[] }
  ): Promise<LabNode>
}

export interface Router {
  readonly address: string
  readonly nat: Nat
  /** A TCP port that its owner has it pass on to the computer. */
  readonly forwards?: number
}

/**
 * How a router gives out ports. `cone`: a socket has one outer port, whomever it speaks to (`masquerade`, which keeps
 * the port where it is free). `symmetric`: another one for each destination (`masquerade fully-random`). Both let
 * in only answers, and drop everything else without a word, as home routers do.
 */
export type Nat = 'cone' | 'symmetric'

/** A daemon in a namespace, asked over its Unix socket: files know no namespaces. */
export interface LabNode {
  readonly name: string
  readonly did: string
  readonly peerId: string
  readonly call: Client['call']
  until<T>(what: string, look: () => Promise<T | undefined | false>, timeoutMs?: number): Promise<T>
}

/** Why there can be no lab here; undefined when there can. */
export async function whyNoLab(): Promise<string | undefined> {
  const namespace = `souk-${process.pid}-try`
  try {
    await execute('ip', ['netns', 'add', namespace])
    await inside(namespace, 'nft', 'add', 'table', 'ip', 'try')
    return undefined
  } catch (error) {
    return `network namespaces and nft are needed, and root: ${(error as Error).message.split('\n')[0]}`
  } finally {
    await execute('ip', ['netns', 'del', namespace]).catch(() => undefined)
  }
}

export async function createLab(): Promise<Lab> {
  const directory = await mkdtemp(join(tmpdir(), 'souk-nat-'))
  const lab = new NamespaceLab(directory)
  await lab.start()
  return lab
}

function inside(namespace: string, ...command: string[]): Promise<{ stdout: string }> {
  return execute('ip', ['netns', 'exec', namespace, ...command])
}

class NamespaceLab implements Lab {
  readonly directory: string
  readonly log: string[] = []
  readonly #namespaces: string[] = []
  readonly #children: ChildProcess[] = []
  readonly #prefix = `souk-${process.pid}`
  #links = 0

  constructor(directory: string) {
    this.directory = directory
  }

  async start(): Promise<void> {
    const internet = await this.#namespace('internet')
    await inside(internet, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
    await inside(internet, 'ip', 'link', 'set', 'br0', 'up')
  }

  async machine(name: string, address: string): Promise<string> {
    const namespace = await this.#namespace(name)
    await this.#plugIn(namespace, address)
    return namespace
  }

  async home(name: string, { address, ...rules }: Router): Promise<string> {
    const router = await this.#namespace(`${name}-router`)
    await this.#plugIn(router, address)
    const computer = await this.#namespace(name)
    await this.#link(router, 'lan', computer, 'wan')
    await inside(router, 'ip', 'addr', 'add', '192.168.7.1/24', 'dev', 'lan')
    await inside(computer, 'ip', 'addr', 'add', '192.168.7.2/24', 'dev', 'wan')
    await inside(computer, 'ip', 'route', 'add', 'default', 'via', '192.168.7.1')
    await inside(router, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
    await this.#rules(router, rulesOf(rules))
    return computer
  }

  lose(namespace: string, percent: number): Promise<void> {
    return this.#rules(
      namespace,
      `
table ip loss {
  chain in { type filter hook input priority -10; iifname "wan" numgen random mod 100 < ${percent} drop; }
}`
    )
  }

  async relay(namespace: string, address: string): Promise<string> {
    const path = join(this.directory, 'relay.yaml')
    const config = {
      directory: join(this.directory, 'relay'),
      listen: ['/ip4/0.0.0.0/tcp/4001'],
      announce: [`/ip4/${address}/tcp/4001`],
      http: { port: 0 },
      drainMs: 500
    }
    await writeFile(path, JSON.stringify(config), { mode: 0o600 })
    const ready = await this.#run('relay', namespace, ['--json', '--no-input', 'relay', 'start', '--config', path])
    return `/ip4/${address}/tcp/4001/p2p/${ready['peerId'] as string}`
  }

  async node(
    name: string,
    namespace: string,
    {
      bootstrap,
      listen = ['/ip4/0.0.0.0/tcp/0', '/p2p-circuit'],
      announce
    }: { bootstrap: readonly string[]; listen?: readonly string[]; announce?: readonly string[] }
  ): Promise<LabNode> {
    const home = join(this.directory, name)
    await mkdir(home, { mode: 0o700 })
    const config = { api: { port: 0 }, network: { listen, announce, bootstrap, mdns: false } }
    await writeFile(join(home, 'config.yaml'), JSON.stringify(config), { mode: 0o600 })
    const args = ['--home', home, '--json', '--no-input', 'start', '--name', name]
    const ready = (await this.#run(name, namespace, args)) as { did: string; peerId: string; socket: string }
    const { token } = JSON.parse(await readFile(join(home, 'api.json'), 'utf8')) as { token: string }
    const client = createClient({ url: 'http://souk.socket', token, fetch: socketFetch(ready.socket) })
    return {
      name,
      did: ready.did,
      peerId: ready.peerId,
      call: (route, ...rest) => client.call(route, ...rest),
      until: (what, look, timeoutMs = 60_000) => until(`${name}: ${what}`, look, timeoutMs)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map(end))
    for (const namespace of this.#namespaces) await execute('ip', ['netns', 'del', namespace])
    await rm(this.directory, { recursive: true, force: true })
  }

  async #namespace(name: string): Promise<string> {
    const namespace = `${this.#prefix}-${name}`
    await execute('ip', ['netns', 'add', namespace])
    this.#namespaces.push(namespace)
    await inside(namespace, 'ip', 'link', 'set', 'lo', 'up')
    return namespace
  }

  async #plugIn(namespace: string, address: string): Promise<void> {
    const internet = `${this.#prefix}-internet`
    const port = `port${this.#links}`
    await this.#link(internet, port, namespace, 'wan')
    await inside(internet, 'ip', 'link', 'set', port, 'master', 'br0')
    await inside(namespace, 'ip', 'addr', 'add', `${address}/16`, 'dev', 'wan')
  }

  async #link(a: string, aName: string, b: string, bName: string): Promise<void> {
    this.#links++
    await execute('ip', ['link', 'add', aName, 'netns', a, 'type', 'veth', 'peer', 'name', bName, 'netns', b])
    await inside(a, 'ip', 'link', 'set', 'dev', aName, 'up')
    await inside(b, 'ip', 'link', 'set', 'dev', bName, 'up')
  }

  async #rules(namespace: string, rules: string): Promise<void> {
    const path = join(this.directory, `${namespace}.nft`)
    await writeFile(path, `${rules}\n`)
    await inside(namespace, 'nft', '-f', path)
  }

  async #run(name: string, namespace: string, args: readonly string[]): Promise<Record<string, unknown>> {
    const child = spawn('ip', ['netns', 'exec', namespace, ...soukCommand(), ...args], {
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#children.push(child)
    createInterface({ input: child.stderr }).on('line', (line) => this.log.push(`${name}: ${line}`))
    const lines = createInterface({ input: child.stdout })
    const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => [''])])) as [string]
    if (line === '') throw new Error(`${name} ended: ${this.log.filter((one) => one.startsWith(name)).join('\n')}`)
    return JSON.parse(line) as Record<string, unknown>
  }
}

function rulesOf({ nat, forwards }: Omit<Router, 'address'>): string {
  const forwarding =
    forwards === undefined
      ? ''
      : `chain in { type nat hook prerouting priority dstnat; iifname "wan" tcp dport ${forwards} dnat to 192.168.7.2; }`
  return `
table ip nat {
  chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade ${nat === 'symmetric' ? 'fully-random' : ''}; }
  ${forwarding}
}
table ip filter {
  chain in { type filter hook input priority filter; policy drop; ct state established,related accept; iifname { "lan", "lo" } accept; }
  chain through { type filter hook forward priority filter; policy drop; ct state established,related accept; ct status dnat accept; iifname "lan" accept; }
}`
}

/** `ip netns exec` becomes the program itself: its id is the program's. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const force = globalThis.setTimeout(() => child.kill('SIGKILL'), 15_000)
  await ended
  clearTimeout(force)
}

async function until<T>(what: string, look: () => Promise<T | undefined | false>, timeoutMs: number): Promise<T> {
  const givesUpAtMs = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > givesUpAtMs) throw new Error(`${what} did not come within ${timeoutMs} ms`)
    await setTimeout(200)
  }
}
