/** One simulation, from its seed to its findings. */
import type { Network, NetworkComponents } from '@souk/network'
import { createVerifier, type RecordId, type SignatureInput, type Verifier } from '@souk/records'
import type { VirtualClock } from './clock.ts'
import { check, type Findings, lacking } from './check.ts'
import { disguise, type LiarKind, misbehave } from './liars.ts'
import { textOf } from './disk.ts'
import { chooseChannels, createLedger, type Ledger, listingChannels } from './market.ts'
import { createPeer, type Departure, type Peer, type PeerComponents, type Stack } from './peer.ts'
import type { RealProcess } from './process.ts'
import type { Random } from './random.ts'
import { createTrace, type Trace } from './trace.ts'
import { createWire, type Wire } from './wire.ts'

/** What is simulated. Two runs with the same options are the same to the last byte. */
export interface SimulationOptions {
  readonly seed: number
  readonly nodes: number
  readonly listings: number
  /** Over how long they are published. */
  readonly hours: number
  /** Part of the nodes that leave in an hour, and come back. */
  readonly churn: number
  /** Part of the nodes that lie. */
  readonly liars: number
  readonly liarKinds: readonly LiarKind[]
  /** The network is in two halves for so long, in the middle of publishing; 0 for never. */
  readonly partitionSeconds: number
  /** What each half publishes meanwhile, beside the rest. */
  readonly partitionListings: number
  readonly loss: number
  readonly latencyMs: number
  readonly stack: Stack
  /** gossipsub's heartbeat; ours is one second. */
  readonly heartbeatMs: number
  /** Everybody has everything so long after the last publication, or something is wrong. */
  readonly settleMinutes: number
  /** Checks that are left out, to show that the simulation finds out. */
  readonly without: readonly Weakness[]
}

/**
 * What honest nodes do without: `verification` believes every signature; `selection` keeps what was superseded;
 * `catch-up` serves nobody what he missed; `guard` takes no offence at liars.
 */
export const weaknesses = ['verification', 'selection', 'catch-up', 'guard'] as const
export type Weakness = (typeof weaknesses)[number]

export interface SimulationReport {
  readonly ok: boolean
  readonly seed: number
  readonly nodes: number
  readonly listings: number
  /** Pairs of an honest node and a listing that it should hold and does not. */
  readonly missing: number
  /** Received by honest nodes, for each listing that each of them carries. */
  readonly bytesPerNodePerListing: number
  /** Copies that gossip brought for each one that was new. */
  readonly duplicates: number
  readonly cpuSeconds: number
  readonly superseded: number
  readonly invalid: number
  /** Liars whose lies are offences, and that no honest node holds anything against. */
  readonly unpunished: number
  readonly wanted: number
  readonly hours: number
  readonly churn: number
  readonly liars: number
  readonly partitionSeconds: number
  /** From publishing to holding it, for those who were there. */
  readonly deliveryMsP50: number
  readonly deliveryMsP99: number
  readonly healing: Healing | null
  /** From when everything was published and everybody was back, until everybody had everything. */
  readonly convergedSeconds: number | null
  readonly departures: number
  readonly catchUps: number
  readonly catchUpBytes: number
  readonly bytesPerNode: number
  readonly simulatedHours: number
  readonly wallSeconds: number
  readonly rssMb: number
  readonly trace: string
  readonly examples: readonly string[]
}

/** What it took after a partition until every node held what either half had published. */
export interface Healing {
  /** Null when it did not come to that within a round of catch-up. */
  readonly seconds: number | null
  /** Sessions of catch-up that ended meanwhile, of all nodes, and the most that one node had. */
  readonly sessions: number
  readonly sessionsMax: number
  /** All bytes on catch-up's streams, and those of the records themselves. */
  readonly syncBytes: number
  readonly recordBytes: number
  /** What the same sessions would have sent by listing all ids, 32 bytes each, beside the records. */
  readonly allIdsBytes: number
}

export interface SimulationComponents {
  readonly clock: VirtualClock
  readonly random: Random
  readonly real: RealProcess
  readonly onProgress: (text: string) => void
}

/** Runs a simulation to its end. For a process that has entered it ({@link enterSimulation}). */
export async function simulate(
  components: SimulationComponents,
  options: SimulationOptions
): Promise<SimulationReport> {
  const { clock, real } = components
  const simulation = new Simulation(components, options)
  const { promise, resolve, reject } = Promise.withResolvers<SimulationReport>()
  let isOver = false
  process.on('unhandledRejection', reject)
  process.on('uncaughtException', reject)
  void simulation.play().then(resolve, reject)
  const over = (): void => {
    isOver = true
  }
  void promise.then(over, over)
  await clock.run(() => isOver, real.settling)
  return promise
}

const syncProtocol = '/souk/sync/1'
const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Nodes start one after the other, and have so long to find each other. */
const startGapMs = 50
const warmUpMs = 90_000

/** How long a node is away, on average. */
const awayMs = 5 * minuteMs

/** How often a liar does something. */
const mischiefMs = 2 * minuteMs

const lookEveryMs = 1000

class Simulation {
  readonly #clock: VirtualClock
  readonly #real: RealProcess
  readonly #random: Random
  readonly #onProgress: (text: string) => void
  readonly #options: SimulationOptions
  readonly #trace: Trace = createTrace()
  readonly #wire: Wire<unknown>
  readonly #ledger: Ledger
  readonly #verifier: Verifier
  readonly #honest: Peer[] = []
  readonly #liars = new Map<Peer, LiarKind>()
  /** Liars whose lies have reached somebody. */
  readonly #offenders = new Set<Peer>()
  readonly #deliveredMs: number[] = []
  readonly #counts = { departures: 0, catchUps: 0, catchUpBytes: 0, syncBytes: 0, allIdsBytes: 0, copies: 0, firsts: 0 }
  /** Sessions by node, since the network was last healed. */
  readonly #sessions = new Map<string, number>()
  readonly #shared = new Map<string, string>()
  #healing: Healing | null = null
  #isChurning = true

  constructor({ clock, random, real, onProgress }: SimulationComponents, options: SimulationOptions) {
    this.#clock = clock
    this.#real = real
    this.#random = random
    this.#onProgress = onProgress
    this.#options = options
    this.#verifier = rememberingVerifier(options.without.includes('verification'))
    this.#ledger = createLedger({ random: random.fork('market'), nowMs: () => clock.nowMs })
    this.#wire = createWire({
      clock,
      random: random.fork('wire'),
      latencyMs: options.latencyMs,
      loss: options.loss,
      onArrival: (from, to, bytes) => this.#trace.note(clock.nowMs, from.host, to.host, bytes)
    })
  }

  async play(): Promise<SimulationReport> {
    const { hours, churn } = this.#options
    const startedMs = { wall: this.#real.wallMs(), clock: this.#clock.nowMs }
    await this.#startAll()
    const before = this.#received()
    const churning = churn > 0 ? this.#honest.map((peer) => this.#churn(peer)) : []
    for (const [peer, kind] of this.#liars) void this.#lie(peer, kind)
    await Promise.all([this.#publishAll(), this.#partition()])
    this.#isChurning = false
    await Promise.all(churning)
    const lastMs = this.#clock.nowMs
    this.#say('all is published')
    const convergedMs = await this.#settle(this.#honest, lastMs)
    const bytes = this.#received() - before
    const findings = await check(this.#honest, this.#checking(lastMs))
    const unpunished = this.#unpunished()
    const simulatedMs = this.#clock.nowMs - startedMs.clock
    return this.#report({
      findings,
      unpunished,
      bytes,
      convergedMs,
      simulatedMs,
      wallMs: this.#real.wallMs() - startedMs.wall,
      hours
    })
  }

  async #startAll(): Promise<void> {
    const { nodes, liars } = this.#options
    const relays = Math.max(2, Math.round(nodes / 200))
    const liarCount = Math.round(nodes * liars)
    const addresses: string[] = []
    const peers: Peer[] = []
    for (let index = 0; index < nodes; index++) {
      const isRelay = index < relays
      const kind = !isRelay && index - relays < liarCount ? this.#kindOf(index) : undefined
      const peer = await this.#create(index, { isRelay, kind, bootstrap: this.#bootstrapOf(addresses, isRelay) })
      if (isRelay) addresses.push(peer.address)
      if (kind === undefined) this.#honest.push(peer)
      else this.#liars.set(peer, kind)
      peers.push(peer)
    }
    for (const [index, peer] of peers.entries()) {
      await peer.start()
      await this.#clock.wait(startGapMs)
      if (index % 100 === 99) this.#say(`${index + 1} nodes started`)
    }
    await this.#clock.wait(warmUpMs)
  }

  #kindOf(index: number): LiarKind {
    const { liarKinds: kinds } = this.#options
    return kinds[index % kinds.length] ?? 'stale'
  }

  /** Relays know each other; a node is told of two. */
  #bootstrapOf(addresses: readonly string[], isRelay: boolean): string[] {
    return isRelay ? [...addresses] : this.#random.shuffled(addresses).slice(0, 2)
  }

  #create(index: number, how: { isRelay: boolean; kind: LiarKind | undefined; bootstrap: string[] }): Promise<Peer> {
    const { isRelay, kind, bootstrap } = how
    const random = this.#random.fork(`peer ${index}`)
    const components: PeerComponents = {
      wire: this.#wire,
      stack: this.#options.stack,
      nowMs: () => this.#clock.nowMs,
      verifier: this.#verifier,
      shared: this.#shared,
      heartbeatMs: this.#options.heartbeatMs,
      onStreamBytes: (protocol, bytes) => {
        if (protocol === syncProtocol) this.#counts.syncBytes += bytes
      },
      onStarted: (peer, network) => this.#watch(peer, network, kind === undefined),
      disguise: (given) => this.#disguise(given, kind, random.fork('lies'))
    }
    return createPeer(components, {
      name: `${kind ?? (isRelay ? 'relay' : 'node')}-${index}`,
      role: isRelay ? 'relay' : 'node',
      // Each in a /24 of its own, as homes are.
      host: `10.${index >> 8}.${index & 255}.7`,
      random,
      channels: isRelay ? ['people', ...listingChannels] : chooseChannels(random),
      bootstrap,
      guard: () => (kind === undefined && this.#lacks('guard') ? { allow: this.#liarIds() } : {}),
      clockSkewMs: Math.round((random.next() - 0.5) * (random.chance(0.1) ? 240_000 : 2000))
    })
  }

  #lacks(weakness: Weakness): boolean {
    return this.#options.without.includes(weakness)
  }

  /** A liar's store lies; so does that of an honest node that does without something. */
  #disguise(given: NetworkComponents, kind: LiarKind | undefined, random: Random): NetworkComponents {
    if (kind !== undefined) return disguise(kind, given, random)
    if (this.#lacks('selection')) return disguise('stale', given, random)
    return this.#lacks('catch-up') ? disguise('withholding', given, random) : given
  }

  #liarIds(): string[] {
    return [...this.#liars.keys()].map(({ peerId }) => peerId)
  }

  /** Listens to what an honest node's network says, and counts the copies that gossip brings it. */
  #watch(peer: Peer, network: Network, isHonest: boolean): void {
    if (!isHonest) return
    const { publications } = this.#ledger
    network.on('record-checked', ({ source, result }) => {
      this.#trace.note(this.#clock.nowMs, peer.name, result.verdict, result.id ?? '', result.code ?? '')
      const publication = result.id === undefined ? undefined : publications.get(result.id)
      if (publication === undefined || result.verdict !== 'accept' || result.code !== undefined) return
      this.#counts.firsts++
      if (source.via === 'gossip') this.#deliveredMs.push(this.#clock.nowMs - publication.atMs)
    })
    network.on('caught-up', ({ bytes }) => {
      this.#counts.catchUps++
      this.#counts.catchUpBytes += bytes
      this.#counts.allIdsBytes += 32 * (peer.storage?.records.count() ?? 0)
      this.#sessions.set(peer.name, (this.#sessions.get(peer.name) ?? 0) + 1)
    })
    onDuplicate(network, () => void this.#counts.copies++)
  }

  /** Spreads the listings over the time evenly but for chance, each by somebody who is there. */
  async #publishAll(): Promise<void> {
    const { listings, hours } = this.#options
    const random = this.#random.fork('publishing')
    const meanMs = (hours * hourMs) / Math.max(1, listings)
    for (let left = listings; left > 0; left--) {
      await this.#clock.wait(random.exponential(meanMs))
      await this.#publishOne(random, () => true)
      if (left % 500 === 0) this.#say(`${left} listings to go`)
    }
  }

  async #publishOne(random: Random, isChosen: (peer: Peer) => boolean): Promise<void> {
    const there = this.#honest.filter((peer) => peer.isUp && peer.role === 'node' && isChosen(peer))
    if (there.length === 0) return
    const { record, peer } = await this.#ledger.publish(random.pick(there))
    this.#trace.note(this.#clock.nowMs, peer.name, 'publishes', record.id)
  }

  async #partition(): Promise<void> {
    const { partitionSeconds, partitionListings, hours } = this.#options
    if (partitionSeconds === 0) return
    const random = this.#random.fork('partition')
    await this.#clock.wait((hours * hourMs) / 2)
    const half = new Map(this.#honest.map((peer, index) => [peer.host, index % 2]))
    const sideOf = (host: string): number => half.get(host) ?? random.below(2)
    this.#say(`partition of ${partitionSeconds} s begins`)
    this.#wire.split(({ host }) => sideOf(host))
    const gapMs = (partitionSeconds * 1000) / (partitionListings + 1)
    for (let left = partitionListings; left > 0; left--) {
      await this.#clock.wait(gapMs)
      for (const side of [0, 1]) await this.#publishOne(random, ({ host }) => half.get(host) === side)
    }
    await this.#clock.wait(gapMs)
    this.#healing = await this.#heal()
  }

  async #heal(): Promise<Healing> {
    this.#sessions.clear()
    const before = { ...this.#counts }
    const endedMs = this.#clock.nowMs
    const published = new Set(this.#ledger.publications.keys())
    this.#say('partition ends')
    this.#wire.heal()
    const tookMs = await this.#settle(this.#honest, endedMs, (id) => published.has(id))
    const { catchUps, syncBytes, catchUpBytes, allIdsBytes } = this.#counts
    return {
      seconds: tookMs === undefined ? null : tookMs / 1000,
      sessions: catchUps - before.catchUps,
      sessionsMax: Math.max(0, ...this.#sessions.values()),
      syncBytes: syncBytes - before.syncBytes,
      recordBytes: catchUpBytes - before.catchUpBytes,
      allIdsBytes: allIdsBytes - before.allIdsBytes
    }
  }

  async #churn(peer: Peer): Promise<void> {
    const random = this.#random.fork(`churn ${peer.name}`)
    const stayMs = hourMs / this.#options.churn
    for (;;) {
      await this.#whileChurning(random.exponential(stayMs))
      if (!this.#isChurning) return
      const departure: Departure = random.pick(['stopped', 'killed', 'power-cut'])
      this.#trace.note(this.#clock.nowMs, peer.name, departure)
      this.#counts.departures++
      await peer.leave(departure)
      await this.#clock.wait(10_000 + random.exponential(awayMs))
      await peer.start()
      this.#trace.note(this.#clock.nowMs, peer.name, 'started')
    }
  }

  /** Waits so long, or until nobody is to leave any more. */
  async #whileChurning(delayMs: number): Promise<void> {
    const untilMs = this.#clock.nowMs + delayMs
    while (this.#isChurning && this.#clock.nowMs < untilMs) {
      await this.#clock.wait(Math.min(minuteMs, untilMs - this.#clock.nowMs))
    }
  }

  async #lie(peer: Peer, kind: LiarKind): Promise<void> {
    const random = this.#random.fork(`mischief ${peer.name}`)
    for (;;) {
      await this.#clock.wait(random.exponential(mischiefMs))
      const { network } = peer
      const all = [...this.#ledger.publications.values()].map(({ record }) => record)
      const reached = network === undefined ? 0 : await misbehave(kind, { peer, network, records: all, random })
      if (reached > 0) this.#offenders.add(peer)
    }
  }

  /** Looks again and again whether these have everything. Returns how long that took; undefined when it did not. */
  async #settle(
    peers: readonly Peer[],
    sinceMs: number,
    isWanted: (id: RecordId) => boolean = () => true
  ): Promise<number | undefined> {
    let left = peers
    for (const untilMs = this.#clock.nowMs + this.#options.settleMinutes * minuteMs; this.#clock.nowMs < untilMs;) {
      left = await lacking(left, { ...this.#checking(sinceMs), isWanted })
      if (left.length === 0) return this.#clock.nowMs - sinceMs
      await this.#clock.wait(lookEveryMs)
    }
    return undefined
  }

  #unpunished(): number {
    const disliked = new Set(
      this.#honest.flatMap(({ network }) => network?.guard.report().map(({ peer }) => peer) ?? [])
    )
    return [...this.#offenders].filter(({ peerId }) => !disliked.has(peerId)).length
  }

  #checking(nowMs: number): { ledger: Ledger; verify: Verifier; nowMs: number } {
    return { ledger: this.#ledger, verify: createVerifier(), nowMs }
  }

  #received(): number {
    return this.#honest.reduce((sum, peer) => sum + peer.received(), 0)
  }

  #say(text: string): void {
    const { nowMs } = this.#clock
    const rssMb = Math.round(process.memoryUsage.rss() / 1e6)
    const cpu = this.#real.cpuSeconds().toFixed(0)
    this.#onProgress(
      `${new Date(nowMs).toISOString().slice(11, 19)} ${text} (${cpu} s CPU, ${rssMb} MB, ${this.#wire.lines} connections)`
    )
  }

  #report(given: {
    findings: Findings
    unpunished: number
    bytes: number
    convergedMs: number | undefined
    simulatedMs: number
    wallMs: number
    hours: number
  }): SimulationReport {
    const { findings, unpunished, bytes, convergedMs, simulatedMs, wallMs } = given
    const { seed, nodes, hours, churn, liars, partitionSeconds } = this.#options
    const { missing, superseded, invalid, wanted, examples } = findings
    const delivered = this.#deliveredMs.toSorted((a, b) => a - b)
    const at = (part: number): number => Math.round(delivered[Math.floor(part * (delivered.length - 1))] ?? 0)
    const { copies, firsts, departures, catchUps, catchUpBytes } = this.#counts
    return {
      ok: missing + superseded + invalid + unpunished === 0,
      seed,
      nodes,
      listings: this.#ledger.publications.size,
      missing,
      bytesPerNodePerListing: Math.round(bytes / Math.max(1, wanted)),
      duplicates: round(copies / Math.max(1, firsts)),
      cpuSeconds: Math.round(this.#real.cpuSeconds()),
      superseded,
      invalid,
      unpunished,
      wanted,
      hours,
      churn,
      liars,
      partitionSeconds,
      deliveryMsP50: at(0.5),
      deliveryMsP99: at(0.99),
      healing: this.#healing,
      convergedSeconds: convergedMs === undefined ? null : Math.round(convergedMs / 1000),
      departures,
      catchUps,
      catchUpBytes,
      bytesPerNode: Math.round(bytes / this.#honest.length),
      simulatedHours: round(simulatedMs / hourMs),
      wallSeconds: Math.round(wallMs / 1000),
      rssMb: Math.round(process.memoryUsage.rss() / 1e6),
      trace: this.#trace.digest(),
      examples
    }
  }
}

function round(value: number): number {
  return Number(value.toPrecision(3))
}

/**
 * A verification is a pure function of bytes that a thousand nodes all have to compute: it is computed once, by the
 * real verifier.
 */
function rememberingVerifier(believesAll: boolean): Verifier {
  const verify = createVerifier()
  const known = new Map<string, boolean>()
  const answer = (input: SignatureInput): boolean => {
    if (believesAll) return true
    const name = [input.signature, input.publicKey, input.message].map(textOf).join('')
    const before = known.get(name)
    if (before !== undefined) return before
    const holds = verify(input)
    known.set(name, holds)
    return holds
  }
  return Object.assign(answer, { ...verify, aside: (input: SignatureInput) => Promise.resolve(answer(input)) })
}

/** gossipsub counts repetitions for its scores and tells nobody else. */
function onDuplicate({ libp2p }: Network, listener: () => void): void {
  const { score } = libp2p.services.pubsub as unknown as { score: { duplicateMessage(...args: unknown[]): void } }
  const inner = score.duplicateMessage.bind(score)
  score.duplicateMessage = (...args) => {
    listener()
    inner(...args)
  }
}
