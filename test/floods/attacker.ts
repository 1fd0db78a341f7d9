/**
 * Whoever attacks, in a process of its own. Each line that is JSON names an attack to prepare; `go` begins it, `stop`
 * ends it where the victim has not.
 */
import { createInterface } from 'node:readline'
import { type Attack, attacks } from './attacks.ts'
import { nodeAttacks, relayAttacks } from './services.ts'
import type { Target } from './wire.ts'

/** What to prepare. */
interface Order {
  readonly attack: string
  readonly target: Target
  readonly from: readonly string[]
}

// What breaks under the victim's hands is what this process is there for.
process.on('uncaughtException', () => undefined)
process.on('unhandledRejection', () => undefined)

let [begin, stop] = [(): void => undefined, (): void => undefined]
createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (line === 'go') begin()
    else if (line === 'stop') stop()
    else void carryOut(JSON.parse(line) as Order)
  })
  .on('close', () => process.exit(0))

async function carryOut({ attack, target, from }: Order): Promise<void> {
  const make: Attack = attacks[attack] ?? relayAttacks[attack] ?? nodeAttacks[attack] ?? unknownAttack
  const stopping = new AbortController()
  const begun = new Promise<void>((resolve) => (begin = resolve))
  stop = () => stopping.abort()
  let [sent, made] = [0, 0]
  const preparing = cpuMs()
  const run = await make({
    target,
    from,
    signal: stopping.signal,
    onSent: (count) => (sent += count),
    onMade: (count) => (made += count)
  })
  const preparingCpuMs = cpuMs() - preparing
  say({ event: 'ready' })
  await begun
  const [startCpuMs, startMs] = [cpuMs(), performance.now()]
  const outcome = await run()
  say({
    event: 'done',
    ...outcome,
    sent,
    made,
    tookMs: performance.now() - startMs,
    cpuMs: cpuMs() - startCpuMs,
    preparingCpuMs
  })
}

const unknownAttack: Attack = () => {
  process.stderr.write('there is no such attack\n')
  process.exit(1)
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function say(words: object): void {
  process.stdout.write(`${JSON.stringify(words)}\n`)
}
