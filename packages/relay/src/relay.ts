import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createFeedbackDirectory,
  createMailbox,
  createNetwork,
  type FeedbackDirectory,
  hostOf,
  type Mailbox,
  type Network,
  NetworkError,
  peerKeyFromSeed,
  type Unsubscribe
} from '@souk/network'
import { keyFromDid } from '@souk/records'
import { createStorage, type Storage, StorageError } from '@souk/storage'
import { carriedOf } from './channels.ts'
import { checkRelayConfig, type RelayConfig, type RelayConfigInput } from './config.ts'
import { RelayError } from './errors.ts'
import { type EventLoopLag, watchEventLoop } from './event-loop.ts'
import { createRelayEmitter, forwardEvents, type RelayEmitter, type RelayEvents } from './events.ts'
import { closeMs, sweepEveryMs } from './limits.ts'
import { type ChangingList, createChangingList, type List } from './lists.ts'
import { readMetrics, reservationsOf, type Tallies } from './metrics.ts'
import { createMonitor, type Monitor } from './monitor.ts'
import { loadPeerSeed } from './peer-key.ts'
import { unreadyReasons } from './readiness.ts'
import { createRelayRecords } from './records.ts'
import { sessionsEnd } from './sessions.ts'
import { Tally } from './tally.ts'

/** A configuration, as `loadRelayConfig` returns it or with parts left out, and what only a program can give. */
export type RelayInit = RelayConfigInput & {
  readonly now?: () => number
  /** Told of what goes wrong while the relay runs and does not end it. */
  readonly onProblem?: (problem: RelayProblem) => void
}

/** Whom to fetch lost records from: as many as a node asks. */
const peersAsked = 3

/** Counted from zero on, so that the first is seen as a rise. */
const problemCodes = ['read-only', 'writable-again', 'damaged', 'sweep-failed'] as const

/** What goes wrong without ending the relay. */
export interface RelayProblem {
  readonly code: (typeof problemCodes)[number]
  readonly message: string
}

/** What a relay is doing. */
export type RelayState = 'ready' | 'read-only' | 'draining'

/** The operator's lists, as a configuration has them. */
export type RelayLists = Pick<RelayConfigInput, 'deny' | 'allow'>

/** What went when identities were denied. */
export interface Removed {
  readonly records: number
  readonly feedback: number
  readonly mailboxes: number
}

/** A running relay. */
export interface Relay extends AsyncDisposable {
  readonly peerId: string
  /** Where others reach it, each with `/p2p/<peer id>`: what goes into a node's bootstrap list. */
  addresses(): string[]
  status(): RelayStatus
  on<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): Unsubscribe
  /**
   * Puts other lists in the place of those it has. Denied peers are disconnected, and what is stored of denied
   * identities goes: their records, the feedback that they wrote, their mailboxes. What others wrote about them stays.
   *
   * @throws {@link RelayError} `config-invalid`; then all is as it was.
   */
  relist(lists: RelayLists): Promise<Removed>
  /**
   * Lets nobody new in, gives sessions under way `drainMs` to end, and closes. Twice is once.
   *
   * @param options.signal - Ends the waiting, not the closing.
   */
  drain(options?: { readonly signal?: AbortSignal }): Promise<void>
}

/** How a relay is; plain data. */
export interface RelayStatus {
  readonly state: RelayState
  readonly peerId: string
  readonly addresses: readonly string[]
  /** Where `/metrics`, `/healthz` and `/readyz` are. */
  readonly httpUrl: string
  readonly startedAtMs: number
  readonly peers: number
  readonly reservations: number
  readonly refusedPeers: number
  readonly records: number
  readonly recordBytes: number
  readonly locatedSetRecords: number
  readonly mailboxes: number
  readonly mailboxEnvelopes: number
  readonly rssBytes: number
}

/**
 * Starts a relay; it listens, serves and is ready when the promise resolves.
 *
 * @throws {@link RelayError}
 */
export async function createRelay(init: RelayInit): Promise<Relay> {
  const { now = Date.now, onProblem = () => {}, ...input } = init
  const config = checkRelayConfig(input)
  await using starting = new AsyncDisposableStack()
  const parts = await startParts(config, { now, onProblem, stack: starting })
  return new DefaultRelay(parts, starting.move())
}

/** Everything that one relay consists of. */
interface Parts {
  readonly config: RelayConfig
  readonly network: Network
  readonly storage: Storage
  readonly feedback: FeedbackDirectory
  readonly mailbox: Mailbox
  readonly monitor: Monitor
  readonly door: Door
  readonly lists: Lists
  readonly emitter: RelayEmitter
  readonly startedAtMs: number
}

interface Lists {
  readonly deny: ChangingList
  readonly allow: ChangingList
}

/** Open until the relay is being shut down. */
interface Door {
  open: boolean
}

interface Starting {
  readonly now: () => number
  readonly onProblem: (problem: RelayProblem) => void
  /** Takes what has been started: the last comes down first. */
  readonly stack: AsyncDisposableStack
}

async function startParts(config: RelayConfig, { now, onProblem, stack }: Starting): Promise<Parts> {
  const tallies: Tallies = { checked: new Tally(), catchUps: new Tally(), problems: new Tally() }
  for (const code of problemCodes) tallies.problems.add({ code }, 0)
  const emitter = createRelayEmitter()
  const report = (problem: RelayProblem): void => {
    tallies.problems.add({ code: problem.code })
    onProblem(problem)
    emitter.emit('problem', problem)
  }
  const door: Door = { open: true }
  const lists: Lists = { deny: createChangingList(config.deny), allow: createChangingList(config.allow) }
  const storage = stack.use(await openStorage(config, now))
  watchStorage(storage, { stack, report })
  const network = await startNetwork(config, { storage, door, lists, now })
  stack.defer(() => within(closeMs, network[Symbol.asyncDispose]()))
  watchNetwork(network, tallies)
  forwardEvents({ network, storage }, emitter)
  storage.on('damaged', () => fetchAgain(network))
  storage.on('state', () => emitter.emit('state-changed', { state: stateOf({ door, storage }) }))
  const { feedback, mailbox } = await startServices(network, { storage, config, lists, emitter, now })
  stack.use(feedback)
  stack.use(mailbox)
  const lag: EventLoopLag = stack.use(watchEventLoop({ clock: () => performance.now() }))
  const carried = carriedOf(config.markets)
  const isDraining = (): boolean => !door.open
  const sources = { network, storage, feedback, mailbox, lag, tallies, config, carried, isDraining }
  const unready = (): string[] =>
    unreadyReasons({ draining: !door.open, storage: storage.state, addresses: network.addresses().length })
  const monitor = stack.use(await createMonitor({ metrics: () => readMetrics(sources), unready }, config.http))
  const parts = { config, network, storage, feedback, mailbox, monitor, door, lists, emitter, startedAtMs: now() }
  await removeDenied(config.deny.identities, parts)
  return parts
}

async function openStorage({ directory, records }: RelayConfig, now: () => number): Promise<Storage> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return await createStorage({ directory, now, limits: records, search: 'off' })
  } catch (cause) {
    const code = cause instanceof StorageError ? cause.code : (cause as NodeJS.ErrnoException).code
    throw new RelayError('store-failed', `${directory}: ${code}: ${(cause as Error).message}`, { cause })
  }
}

function watchStorage(
  storage: Storage,
  { stack, report }: { stack: AsyncDisposableStack; report: (problem: RelayProblem) => void }
): void {
  const sweep = (): void => {
    storage.sweep().catch((error: Error) => report({ code: 'sweep-failed', message: error.message }))
  }
  const timer = setInterval(sweep, sweepEveryMs)
  timer.unref()
  stack.defer(() => clearInterval(timer))
  storage.on('state', (state) =>
    report(
      state === 'read-only'
        ? { code: 'read-only', message: 'the disk is full: what is stored is served, nothing new is taken' }
        : { code: 'writable-again', message: 'there is space again' }
    )
  )
  storage.on('damaged', ({ damaged }) =>
    report({ code: 'damaged', message: `${damaged.length} partitions were damaged; peers will be asked for them` })
  )
  storage.on('unmended', () =>
    report({
      code: 'damaged',
      message: 'the store cannot be mended while it is open: restart, which repairs its files'
    })
  )
}

async function startNetwork(
  config: RelayConfig,
  { storage, door, lists, now }: { storage: Storage; door: Door; lists: Lists; now: () => number }
): Promise<Network> {
  const { directory, listen, announce, bootstrap, mdns, markets, connections, circuit, budgets, offences } = config
  const { deny, allow } = lists
  const privateKey = await peerKeyFromSeed(await loadPeerSeed(join(directory, 'peer.key')))
  const { records, sync } = createRelayRecords(storage, { deny, allow })
  try {
    return await createNetwork(
      { datastore: storage.datastore('libp2p'), privateKey, records, sync },
      {
        role: 'relay',
        listen,
        announce,
        bootstrap,
        mdns,
        now,
        carry: carriedOf(markets),
        price: {
          trusts: (author) => allow.hasIdentity(author),
          fullness: () => storage.records.fullness(),
          ...config.work
        },
        connectionsMax: connections.max,
        streamsPerConnectionMax: connections.streamsMax,
        catchUpsMax: config.catchUpsMax,
        dhtLimits: config.dht,
        relay: { ...circuit, connectionBytes: BigInt(circuit.connectionBytes) },
        guard: {
          connectionsPerHostMax: connections.perAddressMax,
          connectionsPerBlockMax: connections.perBlockMax,
          reservationsPerBlockMax: circuit.reservationsPerBlockMax,
          pendingPerHostMax: connections.handshakesPerAddressMax,
          pendingPerBlockMax: connections.handshakesPerBlockMax,
          attemptsPerBlock: connections.attemptsPerBlock,
          unsentBytesMax: connections.unsentBytesMax,
          shares: { host: connections.budgetsPerAddress, block: connections.budgetsPerBlock },
          entrance: connections.entrance,
          handshakes: {
            max: connections.handshakesMax,
            timeoutMs: connections.handshakeMs,
            perHostPerSecond: connections.perAddressPerSecond
          },
          sanctions: {
            disconnectScore: -offences.disconnectAt,
            banScore: -offences.banAt,
            scoreHalfLifeMs: offences.halfLifeMs,
            disconnectMs: offences.disconnectMs,
            banMs: offences.banMs
          },
          limitLoopback: connections.countLoopback,
          budgets: budgetsByProtocol(budgets),
          traffic: config.traffic,
          ...listsForGuard({ deny, allow }),
          open: () => door.open
        }
      }
    )
  } catch (cause) {
    if (cause instanceof NetworkError) throw cause
    throw new RelayError('listen-failed', (cause as Error).message, { cause })
  }
}

function budgetsByProtocol(budgets: RelayConfig['budgets']): Record<string, { perSecond: number; burst: number }> {
  return {
    gossip: budgets.gossip,
    'gossip-control': budgets.gossipControl,
    '/souk/sync/1': budgets.catchUp,
    'sync-work': budgets.catchUpWork,
    'sync-hint': budgets.catchUpHints,
    '/souk/kad/1.0.0': budgets.dht,
    value: budgets.dhtValues,
    '/souk/located-set/1': budgets.locatedSet,
    '/souk/mailbox/1': budgets.mailbox,
    refusal: budgets.refusals,
    'sync-refusal': budgets.catchUpRefusals
  }
}

function listsForGuard({ deny, allow }: { deny: List; allow: List }): {
  deny: ReadonlySet<string>
  allow: ReadonlySet<string>
  denyHost: (host: string) => boolean
  allowHost: (host: string) => boolean
} {
  return {
    deny: deny.peers,
    allow: allow.peers,
    denyHost: (host) => deny.hasAddress(host),
    allowHost: (host) => allow.hasAddress(host)
  }
}

async function startServices(
  { libp2p, guard }: Network,
  {
    storage,
    config,
    lists: { deny },
    emitter,
    now
  }: { storage: Storage; config: RelayConfig; lists: Lists; emitter: RelayEmitter; now: () => number }
): Promise<{ feedback: FeedbackDirectory; mailbox: Mailbox }> {
  const sublevel = (name: string): ReturnType<Storage['sublevel']> => storage.sublevel(name, { values: 'bytes' })
  const refuses = (identity: Uint8Array): boolean => deny.hasIdentity(identity)
  const feedback = await createFeedbackDirectory(
    { libp2p, guard, dht: libp2p.services.dht, store: sublevel('located-sets') },
    {
      now,
      refuses,
      limits: config.locatedSets,
      onChanged: () => emitter.emit('located-sets-changed', { records: feedback.held().records })
    }
  )
  const tell = (): void => {
    const { recipients: mailboxes, envelopes } = mailbox.held()
    emitter.emit('mailboxes-changed', { mailboxes, envelopes })
  }
  const mailbox = await createMailbox(
    { libp2p, guard, store: sublevel('mailbox') },
    { now, refuses, limits: config.mailbox, onChanged: tell }
  )
  return { feedback, mailbox }
}

/** What was damaged comes back from whoever is here; a peer that cannot give it now is asked in the hourly round. */
function fetchAgain(network: Network): void {
  for (const peer of network.peers().slice(0, peersAsked)) void Promise.allSettled([network.catchUp(peer)])
}

function watchNetwork(network: Network, { checked, catchUps }: Tallies): void {
  network.on('record-checked', ({ source: { via }, result: { verdict, code = 'ok' } }) =>
    checked.add({ via, verdict, code })
  )
  network.on('caught-up', ({ equal }) => catchUps.add({ result: equal ? 'equal' : 'news' }))
  network.on('peer-disconnected', ({ peer }) => releaseReservation(network, peer))
}

/** A reservation is worth nothing without a connection, yet libp2p lets it take a place until it expires. */
function releaseReservation({ libp2p }: Network, peer: Network['peerId']): void {
  const reservations = libp2p.services.relay?.reservations
  reservations?.get(peer)?.signal.clear()
  reservations?.delete(peer)
}

/** Takes out what is stored of these identities' own. */
async function removeDenied(
  identities: readonly string[],
  { storage, feedback, mailbox }: Pick<Parts, 'storage' | 'feedback' | 'mailbox'>
): Promise<Removed> {
  const before = mailbox.held().recipients
  let [records, written] = [0, 0]
  for (const did of identities) {
    const key = keyFromDid(did)
    records += await storage.records.drop(key)
    written += await feedback.drop(key)
    await mailbox.close(key)
  }
  return { records, feedback: written, mailboxes: before - mailbox.held().recipients }
}

function stateOf({ door, storage }: Pick<Parts, 'door' | 'storage'>): RelayState {
  if (!door.open) return 'draining'
  return storage.state === 'ok' ? 'ready' : 'read-only'
}

/** Those that would not be let in now. */
function disconnectDenied({ libp2p, guard }: Network, { deny }: Lists): void {
  for (const connection of libp2p.getConnections()) {
    const host = hostOf(connection.remoteAddr)
    if (guard.refuses(connection.remotePeer) || (host !== undefined && deny.hasAddress(host))) {
      connection.abort(new Error('denied by the operator'))
    }
  }
}

class DefaultRelay implements Relay {
  readonly peerId: string
  readonly #parts: Parts
  readonly #stack: AsyncDisposableStack
  #drained: Promise<void> | undefined

  constructor(parts: Parts, stack: AsyncDisposableStack) {
    this.peerId = parts.network.peerId.toString()
    this.#parts = parts
    this.#stack = stack
  }

  addresses(): string[] {
    return this.#parts.network.addresses().map(String)
  }

  status(): RelayStatus {
    const { network, storage, feedback, mailbox, monitor, startedAtMs } = this.#parts
    const mail = mailbox.held()
    return {
      state: stateOf(this.#parts),
      peerId: this.peerId,
      addresses: this.addresses(),
      httpUrl: monitor.url,
      startedAtMs,
      peers: network.peers().length,
      reservations: reservationsOf(network),
      refusedPeers: network.guard.report().filter(({ bannedUntilMs }) => bannedUntilMs !== undefined).length,
      records: storage.records.count(),
      recordBytes: storage.records.bytes(),
      locatedSetRecords: feedback.held().records,
      mailboxes: mail.recipients,
      mailboxEnvelopes: mail.envelopes,
      rssBytes: process.memoryUsage.rss()
    }
  }

  on<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): Unsubscribe {
    return this.#parts.emitter.on(name, listener)
  }

  async relist(input: RelayLists): Promise<Removed> {
    const { config, lists, network, emitter, feedback } = this.#parts
    const { deny, allow } = checkRelayConfig({ directory: config.directory, ...input })
    lists.deny.change(deny)
    lists.allow.change(allow)
    disconnectDenied(network, lists)
    const removed = await removeDenied(deny.identities, this.#parts)
    if (removed.feedback > 0) emitter.emit('located-sets-changed', { records: feedback.held().records })
    return removed
  }

  drain(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#drained ??= this.#drain(options.signal)
    return this.#drained
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#parts.door.open = false
    return this.#stack.disposeAsync()
  }

  async #drain(signal: AbortSignal | undefined): Promise<void> {
    const { door, network, config, emitter } = this.#parts
    door.open = false
    emitter.emit('state-changed', { state: 'draining' })
    const timeout = AbortSignal.timeout(config.drainMs)
    await sessionsEnd(network, signal ? AbortSignal.any([signal, timeout]) : timeout)
    await this.#stack.disposeAsync()
  }
}

/** Waits for work, but no longer than this: what is left when a process ends cannot hold its end up. */
async function within(mostMs: number, work: PromiseLike<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, mostMs)
  await Promise.race([work, promise])
  clearTimeout(timer)
}
