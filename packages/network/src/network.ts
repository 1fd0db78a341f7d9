import type { PeerId, PrivateKey } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type Channel, createVerifier, type SoukRecord, type Verifier } from '@souk/records'
import type { Datastore } from 'interface-datastore'
import { createCatchUp } from './catch-up/catch-up.ts'
import { createPeerClocks, isUntimely, type PeerClocks } from './clocks.ts'
import type { CatchUpReport } from './catch-up/client.ts'
import { catchUpsMax } from './catch-up/limits.ts'
import type { RecordReader, SyncSource } from './catch-up/source.ts'
import { reachPatiently } from './dialling.ts'
import { NetworkError } from './errors.ts'
import { Emitter, type Unsubscribe } from './events.ts'
import { createRecordGate, type GateResult, type RecordGate, type RecordSource, type RecordStore } from './gate.ts'
import { TokenBucket } from './guard/bucket.ts'
import { createGossip } from './gossip/gossip.ts'
import { keepLinks } from './gossip/links.ts'
import { createGuard, type Guard, type GuardInit, type HostGuard } from './guard/guard.ts'
import { createHost, type Host, type HostInit } from './host.ts'
import { createKeeper, type Keeper, type KeeperInit, parseAddress, parseBootstrap } from './keeper/keeper.ts'
import { gossipedBudget } from './limits.ts'
import type { PriceInit } from './price.ts'
import { createRoster } from './roster.ts'

/** What happens on a network. */
export interface NetworkEvents {
  /** The first connection to a peer has opened. */
  'peer-connected': { readonly peer: PeerId }
  /** The last connection to a peer has closed. */
  'peer-disconnected': { readonly peer: PeerId }
  /** A record has come from a peer and been judged. */
  'record-checked': { readonly source: RecordSource; readonly result: GateResult }
  /** A catch-up with a peer has ended well. */
  'caught-up': CatchUpReport
}

/** Set-up of a network; see {@link HostInit} for how it is reached. */
export interface NetworkInit extends HostInit {
  /** Peers to start from: multiaddrs that end in `/p2p/<peer id>`. None is fine where there is a LAN, or a memory. */
  readonly bootstrap?: readonly string[]
  /** Channels to carry from the start, by market: `{ main: ['people', 'listings/el'] }`. */
  readonly carry?: Readonly<Record<string, readonly Channel[]>>
  /** Milliseconds that this node has worked so far; by default this thread's. */
  readonly cpuMs?: () => number
  /** Peers that may catch up from this node at once. Default: {@link catchUpsMax} of the role. */
  readonly catchUpsMax?: number
  /** Verifies records' signatures. By default beside the main thread; a simulation answers in its own order. */
  readonly verifier?: Verifier
  /** How much work is asked of strangers. By default what an idle node asks, of everybody. */
  readonly price?: Omit<PriceInit, 'now'>
  /** Makes the host, to be started later. A simulation of a thousand nodes brings one that leaves out what is below our protocols. */
  readonly createHost?: typeof createHost
  readonly guard?: Omit<GuardInit, 'now'>
  readonly keeper?: Omit<KeeperInit, 'now' | 'bootstrap'>
}

/** What a network is made of. */
export interface NetworkComponents {
  /** Peers, DHT values and learnt addresses; a part of the node's database. */
  readonly datastore: Datastore
  /** The Ed25519 key of this installation: not the identity of its user. */
  readonly privateKey: PrivateKey
  /** Where checked records go, and where those that peers ask for come from. */
  readonly records: RecordStore & RecordReader
  /** What catch-up compares. */
  readonly sync: SyncSource
}

/** What the network has to know of a record that is published. */
export type PublishedRecord = Pick<SoukRecord, 'market' | 'channel' | 'bytes'>

/** A node's presence among its peers. */
export interface Network extends AsyncDisposable {
  /** For the packages that bring protocols of their own. */
  readonly libp2p: Host
  readonly peerId: PeerId
  readonly guard: Guard
  readonly clocks: Pick<PeerClocks, 'now' | 'onChange'>
  readonly keeper: Keeper
  readonly gate: RecordGate
  /** Where others can reach this node. */
  addresses(): Multiaddr[]
  /** Peers with an open connection. */
  peers(): PeerId[]
  /** Carries a channel from now on: its gossip, and in catch-up. */
  subscribe(market: string, channel: Channel): void
  unsubscribe(market: string, channel: Channel): void
  /** The channels carried, by market. */
  subscriptions(): ReadonlyMap<string, readonly Channel[]>
  /**
   * Tells the network of records that are in the store: of one by gossip, of a bulk by a hint, upon which peers catch up.
   * With nobody there to hear it, they go out by catch-up when somebody comes.
   *
   * @returns How many peers got them at once; 0 for those that go by catch-up.
   */
  publish(records: PublishedRecord | readonly PublishedRecord[]): Promise<{ peers: number }>
  /**
   * Connects to a peer and keeps the connection from now on.
   *
   * @throws {@link NetworkError} `bad-address`, `unreachable`, `peer-refused`
   */
  connect(address: string | Multiaddr, options?: { signal?: AbortSignal }): Promise<PeerId>
  /** Fetches from a connected peer what we lack. Happens by itself when a peer connects, and every hour. */
  catchUp(peer: PeerId, options?: { signal?: AbortSignal }): Promise<CatchUpReport>
  /** Fetches from a few peers, in a moment, what we lack: we take more now than we did. */
  askSoon(): void
  on<Name extends keyof NetworkEvents>(name: Name, listener: (event: NetworkEvents[Name]) => void): Unsubscribe
}

/**
 * Starts a network; it listens when the promise resolves.
 *
 * @throws {@link NetworkError} `bad-address`
 */
export async function createNetwork(components: NetworkComponents, init: NetworkInit): Promise<Network> {
  const { records, sync: source } = components
  const now = init.now ?? Date.now
  const bootstrap = (init.bootstrap ?? []).map(parseBootstrap)
  const events = new Emitter<NetworkEvents>()
  const channels = new Map<string, Channel[]>()
  const guard: HostGuard = createGuard({ ...init.guard, now })
  // Taken down from the end: dialling ends first, so that nothing comes back while the rest is being stopped.
  await using opened = new AsyncDisposableStack()
  const ownVerifier = opened.use(createVerifier())
  const libp2p = await (init.createHost ?? createHost)({ ...components, guard }, init)
  opened.defer(() => libp2p.stop())
  const roster = opened.use(createRoster(libp2p))
  opened.use(keepLinks({ libp2p, pubsub: libp2p.services.pubsub, roster }))
  const clocks = opened.use(await createPeerClocks({ libp2p, roster, guard }, { now }))
  guard.excuse((peer, code) => isUntimely(code) && clocks.judge(peer, code) === 'ignore')
  const gate = createRecordGate(
    { store: records, guard },
    {
      now,
      verifier: init.verifier ?? ownVerifier,
      ...(init.price && { price: init.price }),
      carries: (market, channel) => channels.get(market)?.includes(channel) === true,
      onUntimely: (from, code) => clocks.judge(from, code),
      onChecked: (from, result) => events.emit('record-checked', { source: from, result })
    }
  )
  const gossip = createGossip(
    { pubsub: libp2p.services.pubsub, gate, guard },
    { now, onKeptBack: () => catchUp.announce() }
  )
  const catchUp = opened.use(
    await createCatchUp(
      { libp2p, roster, guard, gate, source, records },
      {
        scopes: () => channels,
        carriersOf: (market, channel) => gossip.carriersOf(market, channel),
        sessionsMax: init.catchUpsMax ?? catchUpsMax[init.role],
        clock: now,
        cpuMs: init.cpuMs ?? threadCpuMs
      }
    )
  )
  const gossiped = new TokenBucket(gossipedBudget, now())
  const carry = (market: string, channel: Channel): void => {
    channels.set(market, [...new Set([...(channels.get(market) ?? []), channel])])
    gossip.subscribe(market, channel)
  }
  for (const [market, carried] of Object.entries(init.carry ?? {})) {
    for (const channel of carried) carry(market, channel)
  }
  catchUp.onReport((report) => events.emit('caught-up', report))
  forwardPeerEvents(libp2p, events)
  const target = init.role === 'relay' ? { peersTarget: 0 } : {}
  const keeper = opened.use(
    await createKeeper(
      { libp2p, guard, datastore: components.datastore },
      { ...target, ...init.keeper, now, bootstrap }
    )
  )
  await libp2p.start()
  gossip.start()

  const kept = opened.move()
  return {
    libp2p,
    peerId: libp2p.peerId,
    clocks,
    guard,
    keeper,
    gate,
    addresses: () => libp2p.getMultiaddrs(),
    peers: () => libp2p.getPeers(),
    subscribe: (market, channel) => {
      carry(market, channel)
      catchUp.askSoon()
    },
    unsubscribe: (market, channel) => {
      const left = (channels.get(market) ?? []).filter((other) => other !== channel)
      if (left.length === 0) channels.delete(market)
      else channels.set(market, left)
      gossip.unsubscribe(market, channel)
    },
    subscriptions: () => channels,
    publish: async (given) => {
      const records = [given].flat()
      const isBulk = !gossiped.take(records.length, now())
      const reached = isBulk ? [0] : await Promise.all(records.map((record) => gossip.publish(record)))
      const peers = Math.min(...reached)
      if (peers === 0) catchUp.announce()
      return { peers }
    },
    connect: async (address, options) => {
      const peer = await dial(libp2p, guard, address, options)
      keeper.want(peer, 'user', [parseAddress(address.toString())])
      return peer
    },
    catchUp: (peer, options) => catchUp.from(peer, options),
    askSoon: () => catchUp.askSoon(),
    on: (name, listener) => events.on(name, listener),
    [Symbol.asyncDispose]: () => kept.disposeAsync()
  }
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function forwardPeerEvents(libp2p: Host, events: Emitter<NetworkEvents>): void {
  libp2p.addEventListener('peer:connect', ({ detail: peer }) => events.emit('peer-connected', { peer }))
  libp2p.addEventListener('peer:disconnect', ({ detail: peer }) => events.emit('peer-disconnected', { peer }))
}

async function dial(
  libp2p: Host,
  guard: Guard,
  address: string | Multiaddr,
  options: { signal?: AbortSignal } = {}
): Promise<PeerId> {
  const target = parseAddress(address.toString())
  try {
    return (await reachPatiently(libp2p, target, options)).remotePeer
  } catch (cause) {
    options.signal?.throwIfAborted()
    const refused = guard.report().find(({ peer, bannedUntilMs }) => bannedUntilMs && target.toString().endsWith(peer))
    if (refused) throw new NetworkError('peer-refused', `${refused.peer} is refused: see its record`, { cause })
    throw new NetworkError('unreachable', `${target.toString()}: ${(cause as Error).message}`, { cause })
  }
}
