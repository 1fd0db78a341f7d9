import type { Command } from 'commander'
import type { ConfigFlags } from '../config.ts'
import type { Daemon } from '../daemon.ts'
import { showError } from '../errors.ts'
import { boundHeapGrowth } from '../heap.ts'
import { makeHome, readIdentity, readOptional } from '../home.ts'
import { type Begin, type Invocation, untilAborted } from '../invocation.ts'
import { stopTimeoutMs } from '../limits.ts'
import { type PassphraseOptions, unlockWith } from '../passphrase.ts'
import { printable, printableJson } from '../text.ts'
import { backUpWarning, init } from './init.ts'

type StartOptions = ConfigFlags & PassphraseOptions & { readonly name?: string }

export function addStart(command: Command, begin: Begin): void {
  command
    .option('--foreground', 'stay in the foreground, which is what it does')
    .option('--port <n>', 'where the API listens on 127.0.0.1; 0 is any free one (default: 4810, or any)')
    .option('--listen <address...>', 'multiaddrs to listen on for peers')
    .option('--announce <address...>', 'multiaddrs that peers are told, where they differ')
    .option('--bootstrap <address...>', 'multiaddrs of peers to start from')
    .option('--no-mdns', 'do not look for nodes on the local network')
    .option('--chain-config <file>', 'chains and tokens to settle in, as YAML or JSON')
    .option('--name <name>', 'for a new identity: what others read beside what you sell')
    .option('--passphrase-file <file>', 'passphrase of the keystore, from a file')
    .option('--passphrase-fd <n>', 'the same from an open descriptor')
    .action(begin(start))
}

/** Runs a node until it is told to end. An empty home gets an identity first. */
async function start(run: Invocation, options: StartOptions): Promise<void> {
  boundHeapGrowth()
  const { home, host } = run
  const begunAtMs = performance.now()
  await makeHome(home)
  // Read while the disk is idle, so that unlocking and loading overlap.
  const [{ readConfig }, { requireStopped, startDaemon }, { openPhrase }, { identityFromPhrase }] = await Promise.all([
    import('../config.ts'),
    import('../daemon.ts'),
    import('../identity.ts'),
    import('@souk/records')
  ])
  await requireStopped(home)
  const config = await readConfig(home, options)
  if ((await readOptional(home.keystore)) === undefined) await initFor(run, options)
  const phrase = await openPhrase(home, () => unlockWith(home, options, run.ask))
  const onError = (error: unknown): void => logError(run, error)
  const daemon = await startDaemon(home, { identity: identityFromPhrase(phrase), config, now: Date.now, onError })
  try {
    await announce(run, daemon, performance.now() - begunAtMs)
    await untilAborted(host.signal)
  } finally {
    await stop(run, daemon)
  }
}

/** On a terminal as `souk init` does; where nobody can be asked, or wants to be, with a generated passphrase. */
async function initFor(run: Invocation, options: StartOptions): Promise<void> {
  const isTold = options.passphraseFile !== undefined || options.passphraseFd !== undefined
  const alone = run.ask === undefined || run.yes
  const { ask: _, ...unattended } = run
  const made = await init(alone ? { ...unattended, ask: undefined } : run, {
    ...options,
    ...(alone && !isTold ? { passphrase: false } : {})
  })
  run.out.note(`A new identity: ${made.nym} (${made.did})`)
}

/** First line for programs, a page for people. */
async function announce({ json, host, home, souk, out }: Invocation, daemon: Daemon, tookMs: number): Promise<void> {
  const { url, socket, status } = daemon
  const { did, nym, name, peerId, addresses } = status
  if (json) {
    const ready = { event: 'ready', url, socket: socket ?? null, did, peerId, addresses }
    host.stdout.write(`${printableJson(ready)}\n`)
    return
  }
  const first = addresses[0]
  const lines = [
    `${printable(name ?? nym)} is on the market, after ${(tookMs / 1000).toFixed(1)} s.`,
    '',
    `  API      ${url}`,
    ...(socket === undefined ? [] : [`  socket   ${socket}`]),
    `  home     ${home.directory}`,
    `  who      ${did} (${nym})`,
    ...addresses.map((address, index) => `  ${index === 0 ? 'peers    ' : '         '}${address}`),
    '',
    'Try in another terminal:',
    `  ${souk} status`,
    `  ${souk} listing create --title 'Enamel pot' --category hg --price '12.50 EUR' --pick-up`,
    `  ${souk} search pot`,
    ...(first === undefined ? [] : [`  ${host.calledAs} --home /tmp/friend start --bootstrap ${first}`]),
    '',
    'Ctrl-C stops it.'
  ]
  host.stdout.write(`${lines.join('\n')}\n`)
  const identity = await readIdentity(home)
  if (identity?.backedUpAtMs === undefined) out.note(`\n${backUpWarning(souk)}`)
}

async function stop(run: Invocation, daemon: Daemon): Promise<void> {
  run.out.note('Stopping …')
  const force = setTimeout(() => {
    run.out.warn(`Still not stopped after ${stopTimeoutMs / 1000} s: ending now. What is stored is whole.`)
    process.exit(1)
  }, stopTimeoutMs)
  await daemon[Symbol.asyncDispose]()
  clearTimeout(force)
  if (run.json) run.host.stdout.write('{"event":"stopped"}\n')
}

/** The daemon's log is its stderr: one line an error, as a service manager keeps it. */
function logError(run: Invocation, error: unknown): void {
  const { code, message } = showError(error)
  run.out.warn(`${new Date().toISOString()} ${printable(code)}: ${printable(message)}`)
}
