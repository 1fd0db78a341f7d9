import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDevnet, type Person, soukCommand } from '@souk/devnet'
import type { RelayConfigInput } from '@souk/relay'
import {
  commandOf,
  cpuMsOf,
  forgetPeakRss,
  peakRssBytesOf,
  type Program,
  rssBytesOf,
  startProgram,
  waitedMsOf
} from './process.ts'
import type { Target } from './wire.ts'

/** Who is attacked, while honest people use it. */
export interface Arena extends AsyncDisposable {
  /** Runs one attack in a process of its own, and tells what it did to the victim and to the honest. */
  attack(name: string, init?: AttackInit): Promise<Figures>
  /**
   * Runs one attack while the honest are connected and silent: what they cost the victim, a third of a core, is ten
   * times what some attacks do, and never the same twice.
   */
  cost(name: string, init?: AttackInit): Promise<Cost>
  /** False when an attack has ended the victim. */
  readonly isAlive: boolean
  /** Resident now, over what was when the victim had settled. */
  rssGrowthMiB(): Promise<number>
}

/** A node as its owner has it, and the arena around it. */
export interface NodeArena extends Arena {
  readonly victim: Person
}

export interface AttackInit {
  /** Default: 1. */
  readonly identities?: number
  /** Addresses that these come from. Default: 1. */
  readonly addresses?: number
  /** Whether addresses lie in one /24, or each in one of its own. Default: `near`. */
  readonly spread?: 'near' | 'far'
  /** After which the attack is ended where the victim has not. Default: {@link limitMsDefault}. */
  readonly limitMs?: number
  /** How long it is looked before the attack what the victim does for the honest. Default: {@link quietMsDefault}. */
  readonly quietMs?: number
  /** Dials of newcomers that have to have been tried before the figures count. Default: 10. */
  readonly dialsMin?: number
}

/** Processor time. */
export interface Cost {
  /** Over what the victim takes in the same time without the attack. */
  readonly victimCpuMs: number
  /** The attack's own, and what it took to make what was sent: signatures, work. What was made and never sent is not counted. */
  readonly attackerCpuMs: number
}

/** What an attack did. Times of honest people in milliseconds; undefined where too few were sampled. */
export interface Figures extends Cost {
  readonly attack: string
  readonly identities: number
  readonly addresses: number
  /** Messages, streams or sockets that the attacker sent, those in buffers of the system included. */
  readonly sent: number
  /**
   * Of records that came by gossip: how many the victim took in and judged while it was watched. Undefined for a node,
   * which does not tell.
   */
  readonly messagesTakenBeforeCut: number | undefined
  /**
   * From before the attack until the last look at what was judged: what somebody sent, and what the victim had no time
   * for before he had gone, is judged until then, within his budget by the clock.
   */
  readonly watchedMs: number
  /** Identities or sockets that were let in, and how many of them the victim ended. */
  readonly admitted: number
  readonly cut: number
  /** Until the attacker was done: the last one cut, or everything said; undefined where its time was over first. */
  readonly cutAfterMs: number | undefined
  /** Until the attacker was done, cut off or not. */
  readonly tookMs: number
  /**
   * The peak of resident memory during the attack over what was resident when it began. What an earlier attack on the
   * same victim left to be used again hides some of it: the bench has a new victim for each.
   */
  readonly rssGrowthMiB: number
  readonly honestP50Ms: number | undefined
  readonly honestP99Ms: number | undefined
  /** The same before the attack, in the same arena: what the machine and the honest themselves make of it. */
  readonly quietP99Ms: number | undefined
  /** Pings that these are of. */
  readonly honestPings: number
  readonly deliveryP50Ms: number | undefined
  readonly deliveryP99Ms: number | undefined
  readonly honestDialShare: number
  readonly honestDials: number
  /** How long the victim's main thread had something to do and no core: what a machine of more cores would not add. */
  readonly victimWaitedMs: number
}

/** Only where the victim does nothing: on a busy machine the attacker itself may need seconds. */
const limitMsDefault = 20_000
/** Enough where CPU is not what is measured. */
const quietMsDefault = 100
/** Compiling and the first look around are over by then. */
const settleMs = 1500
const lookMs = 50
/** A victim has settled when it takes a tenth of a core; or after ten seconds, whatever it does. */
const settledShare = 0.1
const settleLookMs = 200
const settleLooksMax = 50

/** How an arena is set up. */
export interface ArenaOptions {
  /**
   * All but the victim are machines elsewhere, which do not take its cores: here they run while it needs none (sched(7),
   * SCHED_IDLE). What the honest wait is the victim's doing then, not that of two cores for five programs. Not beside other
   * work, which would leave them none.
   */
  readonly isMeasured?: boolean
}

/** How a relay's arena is set up. */
export interface RelayArenaInit extends ArenaOptions {
  /** Puts something into its store before it starts. */
  readonly fill?: (directory: string) => Promise<void>
}

/** A relay as its operator runs it, that counts addresses of 127.0.0.0/8 like all others. */
export async function createRelayArena(init: RelayArenaInit = {}): Promise<Arena> {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'souk-floods-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const config: RelayConfigInput = {
    directory: join(directory, 'data'),
    listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'],
    http: { port: 0 },
    connections: { countLoopback: true },
    drainMs: 0
  }
  await init.fill?.(config.directory)
  const path = join(directory, 'relay.yaml')
  await writeFile(path, JSON.stringify(config))
  const relay = stack.use(startProgram([...soukCommand(), '--json', '--no-input', 'relay', 'start', '--config', path]))
  const { addresses, httpUrl } = (await relay.next()) as { addresses: string[]; httpUrl: string }
  const arena = stack.use(
    await createArena({
      target: targetOf(addresses),
      pid: relay.pid,
      isAlive: () => relay.isRunning,
      isMeasured: init.isMeasured === true,
      judged: () => judgedBy(httpUrl)
    })
  )
  return own(arena, stack.move())
}

/** Somebody's node, with its store and search, that meets others through a relay. */
export async function createNodeArena({ isMeasured = false }: ArenaOptions = {}): Promise<NodeArena> {
  await using stack = new AsyncDisposableStack()
  const market = stack.use(await createDevnet({ people: ['Ana'], chain: false }))
  const victim = market.person('Ana')
  const arena = stack.use(
    await createArena({
      target: targetOf(victim.addresses),
      pid: victim.pid,
      isAlive: () => victim.isRunning,
      isMeasured
    })
  )
  return Object.assign(own(arena, stack.move()), { victim })
}

interface ArenaInit extends ArenaOptions {
  readonly target: Target
  readonly pid: number
  readonly isAlive: () => boolean
  /** Records that the victim has judged since it began. */
  readonly judged?: () => Promise<number>
}

async function createArena(init: ArenaInit): Promise<Arena> {
  await using stack = new AsyncDisposableStack()
  const { target, pid } = init
  const start = (module: string, words: { role?: string; target?: Target } = {}): Program => {
    // Who measures does not wait either.
    const standsBack = init.isMeasured === true && words.role !== 'ping'
    const command = commandOf(new URL(module, import.meta.url), words)
    return stack.use(startProgram(standsBack ? ['chrt', '--idle', '0', ...command] : command))
  }
  const honest = ['ping', 'talk', 'dial'].map((role) => start('./honest.ts', { role, target }))
  await Promise.all(honest.map((one) => one.next()))
  const attacker = start('./attacker.ts')
  await sleep(settleMs)
  const startBytes = await rssBytesOf(pid)
  let attacks = 0
  /** Resolves when the attack can begin, to what begins it and resolves when it is over. */
  const prepare = async (name: string, options: AttackInit): Promise<() => Promise<AttackerWords>> => {
    const { identities = 1, addresses = 1, spread = 'near', limitMs = limitMsDefault } = options
    const from = addressesFor({ number: ++attacks, identities, addresses, spread })
    attacker.tell(JSON.stringify({ attack: name, target, from }))
    await attacker.next()
    return async () => {
      attacker.tell('go')
      const timer = setTimeout(() => attacker.tell('stop'), limitMs)
      const done = (await attacker.next()) as unknown as AttackerWords
      clearTimeout(timer)
      return done
    }
  }
  return own<Omit<Arena, typeof Symbol.asyncDispose>>(
    {
      get isAlive() {
        return init.isAlive()
      },
      rssGrowthMiB: async () => ((await rssBytesOf(pid)) - startBytes) / 2 ** 20,
      async attack(name, options = {}) {
        const { quietMs = quietMsDefault, dialsMin = 10 } = options
        const go = prepare(name, options)
        // Before each attack: what the honest cost changes with what the victim has to remember.
        const quiet = await lookOn(init, honest, () => Promise.all([go, sleep(quietMs)]))
        const steadyBytes = await rssBytesOf(pid)
        const seen = await lookOn(init, honest, async (dials) => {
          const words = await (await go)()
          while ((await dials()) < dialsMin && init.isAlive()) await sleep(lookMs)
          return words
        })
        const done = seen.result
        return {
          attack: name,
          identities: options.identities ?? 1,
          addresses: options.addresses ?? 1,
          sent: done.sent,
          messagesTakenBeforeCut: seen.judged === undefined ? undefined : seen.judged - seen.deliveries,
          admitted: done.admitted,
          cut: done.cut,
          tookMs: done.tookMs,
          cutAfterMs: done.cut === done.admitted ? done.tookMs : undefined,
          watchedMs: seen.watchedMs,
          rssGrowthMiB: (seen.peakBytes - steadyBytes) / 2 ** 20,
          quietP99Ms: quiet.honest.honestP99Ms,
          ...seen.honest,
          victimWaitedMs: seen.waitedMs,
          ...costOf({ quiet, seen, done })
        }
      },
      async cost(name, options = {}) {
        const go = await prepare(name, options)
        for (const one of honest) one.tell('rest')
        await settled(pid)
        const quiet = await clocked(pid, () => sleep(options.quietMs ?? quietMsDefault))
        const seen = await clocked(pid, async () => {
          const words = await go()
          await settled(pid)
          return words
        })
        return costOf({ quiet, seen, done: seen.result })
      }
    },
    stack.move()
  )
}

interface AttackerWords extends Pick<Figures, 'sent' | 'admitted' | 'cut' | 'tookMs'> {
  readonly cpuMs: number
  readonly preparingCpuMs: number
  /** Things made before the attack; 0 where what it says costs nothing to make. */
  readonly made: number
}

/** What a process took for a task. */
interface Clocked<T> {
  readonly result: T
  readonly tookMs: number
  readonly cpuMs: number
  /** As {@link Figures.victimWaitedMs}. */
  readonly waitedMs: number
}

async function clocked<T>(pid: number, task: () => Promise<T>): Promise<Clocked<T>> {
  const [cpuMs, waitedMs, startMs] = [await cpuMsOf(pid), await waitedMsOf(pid), performance.now()]
  const result = await task()
  return {
    result,
    tookMs: performance.now() - startMs,
    cpuMs: (await cpuMsOf(pid)) - cpuMs,
    waitedMs: (await waitedMsOf(pid)) - waitedMs
  }
}

/** Resolves when a process has next to nothing left to do. */
async function settled(pid: number): Promise<void> {
  for (let looks = 0; looks < settleLooksMax; looks++) {
    const { cpuMs } = await clocked(pid, () => sleep(settleLookMs))
    if (cpuMs <= settledShare * settleLookMs) return
  }
}

function costOf(of: { quiet: Clocked<unknown>; seen: Clocked<unknown>; done: AttackerWords }): Cost {
  const { quiet, seen, done } = of
  return {
    victimCpuMs: seen.cpuMs - quiet.cpuMs * (seen.tookMs / quiet.tookMs),
    attackerCpuMs: done.cpuMs + done.preparingCpuMs * shareSent(done)
  }
}

function shareSent({ sent, made }: AttackerWords): number {
  return made === 0 ? 0 : Math.min(1, sent / made)
}

interface HonestWords {
  /** Null for what failed. */
  readonly pingsMs: (number | null)[]
  readonly deliveriesMs: (number | null)[]
  readonly dialsMs: (number | null)[]
}

/** What happens to a victim and the honest while something is done. */
async function lookOn<T>(
  { pid, judged }: ArenaInit,
  honest: readonly Program[],
  task: (dials: () => Promise<number>) => Promise<T>
) {
  const samples = async (): Promise<HonestWords> => {
    for (const one of honest) one.tell('samples')
    const words = (await Promise.all(honest.map((one) => one.next()))) as unknown as HonestWords[]
    return {
      pingsMs: words.flatMap(({ pingsMs }) => pingsMs),
      deliveriesMs: words.flatMap(({ deliveriesMs }) => deliveriesMs),
      dialsMs: words.flatMap(({ dialsMs }) => dialsMs)
    }
  }
  await forgetPeakRss(pid)
  for (const one of honest) one.tell('begin')
  const watchedFromMs = performance.now()
  const judgedBefore = await judged?.()
  const clock = await clocked(pid, () => task(async () => (await samples()).dialsMs.length))
  const { pingsMs, deliveriesMs, dialsMs } = await samples()
  const judgedAfter = await judged?.()
  return {
    ...clock,
    watchedMs: performance.now() - watchedFromMs,
    peakBytes: await peakRssBytesOf(pid),
    judged: judgedBefore === undefined ? undefined : (judgedAfter ?? 0) - judgedBefore,
    deliveries: deliveriesMs.length,
    honest: {
      honestP50Ms: quantile(pingsMs, 0.5),
      honestP99Ms: quantile(pingsMs, 0.99),
      honestPings: pingsMs.length,
      deliveryP50Ms: quantile(deliveriesMs, 0.5),
      deliveryP99Ms: quantile(deliveriesMs, 0.99),
      honestDials: dialsMs.length,
      honestDialShare: dialsMs.filter((ms) => ms !== null).length / dialsMs.length
    }
  }
}

/** What failed took for ever. */
function quantile(values: readonly (number | null)[], share: number): number | undefined {
  const sorted = values.map((ms) => ms ?? Infinity).toSorted((a, b) => a - b)
  return sorted[Math.min(values.length - 1, Math.floor(values.length * share))]
}

/** Of 127.0.0.0/8, others for each attack: what a victim remembers of one must not be held against the next. */
function addressesFor(init: {
  number: number
  identities: number
  addresses: number
  spread: 'near' | 'far'
}): string[] {
  const { number, identities, addresses, spread } = init
  return Array.from({ length: identities }, (_, identity) => {
    const at = identity % addresses
    return spread === 'near' ? `127.${number}.0.${1 + at}` : `127.${number}.${1 + at}.1`
  })
}

function targetOf(addresses: readonly string[]): Target {
  const find = (part: RegExp): string => addresses.find((address) => part.test(address)) ?? ''
  return { tcp: find(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\//), ws: find(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/ws\/p2p\//) }
}

/** Records that a relay has judged, from its Prometheus figures. What it fetches itself is no part of a flood. */
async function judgedBy(httpUrl: string): Promise<number> {
  const text = await (await fetch(`${httpUrl}/metrics`)).text()
  const counts = text.matchAll(/^souk_relay_records_checked_total\{via="gossip"[^}]*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

function own<T extends object>(thing: T, stack: AsyncDisposableStack): T & AsyncDisposable {
  return Object.defineProperties({} as T & AsyncDisposable, {
    ...Object.getOwnPropertyDescriptors(thing),
    [Symbol.asyncDispose]: { value: () => stack.disposeAsync() }
  })
}
