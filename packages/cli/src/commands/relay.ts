import type { Relay, RelayConfig, RelayProblem, Removed } from '@souk/relay'
import type { Command } from 'commander'
import { boundHeapGrowth } from '../heap.ts'
import { type Begin, type Invocation, untilAborted } from '../invocation.ts'
import { readText } from '../input.ts'
import { printable, printableJson } from '../text.ts'

interface RelayFlags {
  readonly config: string
}

export function addRelay(relay: Command, begin: Begin): void {
  relay
    .command('start')
    .description('run a relay until it is told to end')
    .requiredOption(
      '--config <file>',
      'YAML; packaging/relay.example.yaml says what each part is for; - is standard input'
    )
    .action(begin(start))
  relay
    .command('check')
    .description('read a configuration and say what is wrong with it')
    .requiredOption('--config <file>', 'YAML; - is standard input')
    .action(
      begin(async (run, { config }: RelayFlags) => {
        const { directory, listen } = await readRelayConfig(config)
        await run.out.show(
          { config, directory, listen },
          {
            columns: [
              { name: 'config', of: () => `${config} is good` },
              { name: 'directory', of: () => directory },
              { name: 'listen', of: () => listen.join('\n') }
            ]
          }
        )
      })
    )
}

async function start(run: Invocation, flags: RelayFlags): Promise<void> {
  boundHeapGrowth()
  const [{ createRelay }, config] = await Promise.all([import('@souk/relay'), readRelayConfig(flags.config)])
  const onProblem = ({ code, message }: RelayProblem): void =>
    run.out.warn(`${new Date().toISOString()} ${printable(code)}: ${printable(message)}`)
  const relay = await createRelay({ ...config, onProblem })
  // In a terminal the signal means that it has been closed.
  const ignore = run.host.stdout.isTTY ? () => {} : run.host.onReload(() => void reload(run, relay, flags.config))
  announce(run, relay.status())
  await untilAborted(run.host.signal)
  ignore()
  run.out.note('Letting those who are here finish …')
  await relay.drain()
  if (run.json) run.host.stdout.write('{"event":"stopped"}\n')
}

/** The lists of the configuration as it is now; all else is as it was at the start. Wrong ones change nothing. */
async function reload(run: Invocation, relay: Relay, path: string): Promise<void> {
  try {
    const { deny, allow } = await readRelayConfig(path)
    const removed = await relay.relist({ deny, allow })
    if (run.json) run.host.stdout.write(`${printableJson({ event: 'reloaded', removed })}\n`)
    else run.out.note(`Lists read again. Gone: ${counted(removed)}.`)
  } catch (error) {
    run.out.warn(printable(`The lists stay as they were: ${(error as Error).message}`))
  }
}

function counted({ records, feedback, mailboxes }: Removed): string {
  return `${records} records, ${feedback} ratings, ${mailboxes} mailboxes`
}

/** First line for programs, a page for people. */
function announce(
  { json, host }: Invocation,
  status: { peerId: string; addresses: readonly string[]; httpUrl: string }
): void {
  const { peerId, addresses, httpUrl } = status
  if (json) {
    host.stdout.write(`${printableJson({ event: 'ready', peerId, addresses, httpUrl })}\n`)
    return
  }
  const lines = [
    'The relay is up. Nodes start from it with:',
    ...addresses.map((address) => `  ${host.calledAs} start --bootstrap ${address}`),
    '',
    `  metrics  ${httpUrl}/metrics`,
    `  health   ${httpUrl}/readyz`,
    '',
    'Ctrl-C lets sessions end, then stops it.'
  ]
  host.stdout.write(`${lines.join('\n')}\n`)
}

async function readRelayConfig(path: string): Promise<RelayConfig> {
  const [{ loadRelayConfig }, text] = await Promise.all([import('@souk/relay'), readText(path)])
  return loadRelayConfig(text)
}
