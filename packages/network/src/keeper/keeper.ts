import type { Connection, Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import type { Datastore } from 'interface-datastore'
import { reach } from '../dialling.ts'
import { NetworkError } from '../errors.ts'
import { isRelayed } from '../guard/address.ts'
import type { Guard } from '../guard/guard.ts'
import { openAddressBook, type AddressBook } from './address-book.ts'
import {
  addressesMax,
  backoffFirstMs,
  backoffGrowth,
  backoffMaxMs,
  dialsMax,
  dialTimeoutMs,
  hurryEveryMs,
  metMax,
  peersTarget,
  settledMs,
  sleptMs
} from './limits.ts'

/**
 * Why a peer is wanted. The first four are kept connected whatever it takes; `learnt` and `met` ones are dialled while
 * there are too few peers.
 */
export type WantedFor = 'bootstrap' | 'relay' | 'order' | 'user' | 'learnt' | 'met'

/** A peer that the keeper cares for. */
export interface WantedPeer {
  readonly peer: string
  readonly reasons: readonly WantedFor[]
  readonly connected: boolean
  /** Failed dials since it was last connected. */
  readonly failures: number
  /** When it is dialled next; undefined while connected or not needed. */
  readonly nextDialAtMs: number | undefined
}

/**
 * Keeps the connections that this node wants. libp2p does not: it dials a bootstrap list once, gives up a lost peer
 * after five tries, and looks for none by itself.
 */
export interface Keeper extends AsyncDisposable {
  /**
   * Keeps a peer connected from now on.
   *
   * @param addresses - Where to find it, beside what libp2p knows of it.
   */
  want(peer: PeerId, reason: WantedFor, addresses?: readonly Multiaddr[]): void
  /** Takes back one reason, or all: a peer without one is left alone. */
  unwant(peer: PeerId, reason?: WantedFor): void
  wanted(): WantedPeer[]
}

export interface KeeperComponents {
  readonly libp2p: Libp2p
  readonly guard: Guard
  readonly datastore: Datastore
}

export interface KeeperInit {
  readonly now: () => number
  readonly bootstrap: readonly BootstrapPeer[]
  /** Fewer peers than this make it look for more; 0 for a relay, which others look for. */
  readonly peersTarget?: number
  readonly backoffFirstMs?: number
  readonly backoffMaxMs?: number
}

/** Somebody to start from. */
export interface BootstrapPeer {
  readonly peer: PeerId
  readonly address: Multiaddr
}

/** Keeps the bootstrap peers, and those learnt before the last restart, from the host's start on. */
export async function createKeeper(components: KeeperComponents, init: KeeperInit): Promise<Keeper> {
  const book = await openAddressBook(components.datastore)
  const keeper = new DefaultKeeper(components, { ...init, book })
  keeper.start()
  return keeper
}

/**
 * Reads a multiaddr that ends in `/p2p/<peer id>`.
 *
 * @throws {@link NetworkError} `bad-address`
 */
export function parseBootstrap(text: string): BootstrapPeer {
  const address = parseAddress(text)
  const id = address.getComponents().findLast(({ code }) => code === CODE_P2P)?.value
  if (id !== undefined) return { peer: peerIdFromString(id), address }
  throw new NetworkError(
    'bad-address',
    `"${text}" does not end in /p2p/ and a peer id; without one anybody could answer`
  )
}

/** @throws {@link NetworkError} `bad-address` */
export function parseAddress(text: string): Multiaddr {
  try {
    return multiaddr(text)
  } catch (cause) {
    throw new NetworkError('bad-address', `"${text}" is no multiaddr: ${(cause as Error).message}`, { cause })
  }
}

interface Entry {
  readonly peer: PeerId
  readonly reasons: Set<WantedFor>
  addresses: Multiaddr[]
  failures: number
  dueAtMs: number
  /** Since when it has been connected this time. */
  connectedAtMs: number | undefined
  dialing: boolean
}

class DefaultKeeper implements Keeper {
  readonly #libp2p: Libp2p
  readonly #guard: Guard
  readonly #book: AddressBook
  readonly #init: KeeperInit
  readonly #entries = new Map<string, Entry>()
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #timerDueAtMs = 0
  #hurriedAtMs = -Infinity

  constructor({ libp2p, guard }: KeeperComponents, init: KeeperInit & { readonly book: AddressBook }) {
    this.#libp2p = libp2p
    this.#guard = guard
    this.#book = init.book
    this.#init = init
  }

  start(): void {
    for (const { peer, address } of this.#init.bootstrap) this.want(peer, 'bootstrap', [address])
    const { signal } = this.#stopping
    const on = this.#libp2p.addEventListener.bind(this.#libp2p)
    on('peer:connect', ({ detail: peer }) => this.#onConnected(peer), { signal })
    on('peer:disconnect', ({ detail: peer }) => this.#onLost(peer), { signal })
    on('peer:discovery', ({ detail: { id, multiaddrs } }) => this.#onMet(id, multiaddrs), { signal })
    on('peer:identify', ({ detail }) => void this.#learn(detail.connection, detail.listenAddrs).catch(() => {}), {
      signal
    })
    on('start', () => this.#schedule(), { signal })
    for (const { peer, addresses } of this.#book.all()) this.want(peerIdFromString(peer), 'learnt', addresses)
  }

  want(peer: PeerId, reason: WantedFor, addresses: readonly Multiaddr[] = []): void {
    if (peer.equals(this.#libp2p.peerId)) return
    const entry = this.#entries.get(peer.toString()) ?? this.#add(peer)
    entry.reasons.add(reason)
    // Where it was, it may not have answered for days; that says nothing about where it is now.
    const isElsewhere = addresses.some((address) => !entry.addresses.some((known) => known.equals(address)))
    if (isElsewhere) entry.dueAtMs = Math.min(entry.dueAtMs, this.#init.now())
    entry.addresses = merged(addresses, entry.addresses)
    this.#schedule()
  }

  unwant(peer: PeerId, reason?: WantedFor): void {
    const reasons = this.#entries.get(peer.toString())?.reasons
    if (reason === undefined) reasons?.clear()
    else reasons?.delete(reason)
    if (reasons?.size === 0) this.#entries.delete(peer.toString())
  }

  wanted(): WantedPeer[] {
    const wantsMore = this.#wantsMore()
    return Array.from(this.#entries, ([peer, entry]) => ({
      peer,
      reasons: [...entry.reasons],
      connected: this.#isHere(entry.peer),
      failures: entry.failures,
      nextDialAtMs: this.#isDue(entry, { nowMs: Infinity, wantsMore }) ? entry.dueAtMs : undefined
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await Promise.resolve()
  }

  #add(peer: PeerId): Entry {
    const connectedAtMs = this.#isHere(peer) ? this.#init.now() : undefined
    const entry = {
      peer,
      reasons: new Set<WantedFor>(),
      addresses: [],
      failures: 0,
      dueAtMs: this.#init.now(),
      connectedAtMs,
      dialing: false
    }
    this.#entries.set(peer.toString(), entry)
    return entry
  }

  #onConnected(peer: PeerId): void {
    const entry = this.#entries.get(peer.toString())
    if (entry === undefined) return
    const isBack = entry.connectedAtMs === undefined && entry.failures > 0
    entry.connectedAtMs = this.#init.now()
    if (isBack) this.#hurry()
  }

  /** Where one comes back, others may: a cable is in again, a network has healed. */
  #hurry(): void {
    const nowMs = this.#init.now()
    if (Math.abs(nowMs - this.#hurriedAtMs) < hurryEveryMs) return
    this.#hurriedAtMs = nowMs
    for (const entry of this.#entries.values()) entry.dueAtMs = Math.min(entry.dueAtMs, nowMs)
    this.#schedule()
  }

  #onLost(peer: PeerId): void {
    const entry = this.#entries.get(peer.toString())
    const nowMs = this.#init.now()
    if (entry !== undefined) {
      const settled = nowMs - (entry.connectedAtMs ?? nowMs) >= settledMs
      entry.connectedAtMs = undefined
      entry.failures = settled ? 0 : entry.failures
      entry.dueAtMs = nowMs + this.#backoffMs(entry.failures++)
    }
    this.#schedule()
  }

  /** Somebody on the LAN, or that the DHT told of. */
  #onMet(peer: PeerId, addresses: readonly Multiaddr[]): void {
    if (this.#looksForNobody) return
    const met = [...this.#entries.values()].filter(({ reasons }) => reasons.has('met'))
    if (met.length >= metMax && !this.#entries.has(peer.toString())) return
    this.want(peer, 'met', addresses)
  }

  /** A peer that answered and is not disliked is worth remembering, with the address that worked first. */
  async #learn(connection: Connection, listenAddresses: readonly Multiaddr[]): Promise<void> {
    const { remotePeer: peer, remoteAddr, direction } = connection
    if (this.#looksForNobody || this.#guard.refuses(peer)) return
    const worked = direction === 'outbound' && !isRelayed(remoteAddr) ? [remoteAddr] : []
    const addresses = merged([...worked, ...listenAddresses], [])
    if (addresses.length === 0) return
    this.want(peer, 'learnt', addresses)
    await this.#book.save({ peer: peer.toString(), addresses, seenAtMs: this.#init.now() })
  }

  #schedule(): void {
    if (this.#stopping.signal.aborted || this.#libp2p.status !== 'started') return
    const nowMs = this.#init.now()
    const wantsMore = this.#wantsMore()
    const due = [...this.#entries.values()]
      .filter((entry) => this.#isDue(entry, { nowMs: Infinity, wantsMore }))
      .map(({ dueAtMs }) => dueAtMs)
    clearTimeout(this.#timer)
    if (due.length === 0) return
    this.#timerDueAtMs = Math.max(nowMs, Math.min(...due, nowMs + this.#longestMs))
    this.#timer = setTimeout(() => this.#dialDue(), this.#timerDueAtMs - nowMs)
    this.#timer.unref()
  }

  #dialDue(): void {
    const nowMs = this.#init.now()
    if (nowMs - this.#timerDueAtMs > sleptMs) for (const entry of this.#entries.values()) entry.dueAtMs = 0
    const wantsMore = this.#wantsMore()
    const due = [...this.#entries.values()].filter((entry) => this.#isDue(entry, { nowMs, wantsMore }))
    const free = dialsMax - this.#dialing()
    for (const entry of due.toSorted((a, b) => rank(a) - rank(b) || a.dueAtMs - b.dueAtMs).slice(0, free)) {
      if (this.#isDue(entry, { nowMs, wantsMore: this.#wantsMore() })) void this.#dial(entry)
    }
    if (this.#dialing() < dialsMax) this.#schedule()
  }

  #isDue(entry: Entry, { nowMs, wantsMore }: { nowMs: number; wantsMore: boolean }): boolean {
    if (entry.dialing || this.#isLater(entry, nowMs) || this.#isHere(entry.peer)) return false
    if (this.#guard.refuses(entry.peer)) return false
    return isPinned(entry) || wantsMore
  }

  /**
   * Whether it is worth connecting to those that nobody needs. To be asked once for all of them: each connection that
   * opens or ends asks, and libp2p makes a list of its peers anew from their names, 10 µs each.
   */
  #wantsMore(): boolean {
    if (this.#target === 0) return false
    const peers = new Set(this.#libp2p.getConnections().map(({ remotePeer }) => remotePeer.toString()))
    return peers.size + this.#dialing() < this.#target
  }

  #isHere(peer: PeerId): boolean {
    return this.#libp2p.getConnections(peer).length > 0
  }

  /** A wait that no back-off makes comes from a clock that has been set back since. */
  #isLater({ dueAtMs }: Entry, nowMs: number): boolean {
    return dueAtMs > nowMs && dueAtMs - nowMs <= this.#longestMs
  }

  get #longestMs(): number {
    return 1.25 * (this.#init.backoffMaxMs ?? backoffMaxMs)
  }

  get #target(): number {
    return this.#init.peersTarget ?? peersTarget
  }

  /** Then nobody is dialled but those who are wanted by name: a relay has no use for a list of all who came. */
  get #looksForNobody(): boolean {
    return this.#target === 0
  }

  #dialing(): number {
    return [...this.#entries.values()].filter(({ dialing }) => dialing).length
  }

  async #dial(entry: Entry): Promise<void> {
    entry.dialing = true
    try {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(dialTimeoutMs)])
      const tags = isPinned(entry) ? { 'souk-wanted': { value: 60 } } : {}
      await this.#libp2p.peerStore.merge(entry.peer, { multiaddrs: entry.addresses, tags })
      await reach(this.#libp2p, entry.peer, { signal })
    } catch {
      entry.dueAtMs = this.#init.now() + this.#backoffMs(entry.failures++)
      if (!isPinned(entry) && entry.failures >= metFailuresMax) this.unwant(entry.peer, 'met')
    } finally {
      entry.dialing = false
      this.#schedule()
    }
  }

  #backoffMs(failures: number): number {
    const { backoffFirstMs: first = backoffFirstMs, backoffMaxMs: max = backoffMaxMs } = this.#init
    return Math.min(max, first * backoffGrowth ** failures) * (0.75 + Math.random() / 2)
  }
}

/** A peer that others told of and that does not answer is dropped after so many tries; it may be told of again. */
const metFailuresMax = 20

const pinned: readonly WantedFor[] = ['bootstrap', 'relay', 'order', 'user']

function isPinned({ reasons }: Entry): boolean {
  return pinned.some((reason) => reasons.has(reason))
}

/** Pinned ones first, then those we have been connected to. */
function rank(entry: Entry): number {
  if (isPinned(entry)) return 0
  return entry.reasons.has('learnt') ? 1 : 2
}

function merged(first: readonly Multiaddr[], then: readonly Multiaddr[]): Multiaddr[] {
  const byText = new Map([...first, ...then].map((address) => [address.toString(), address]))
  return [...byText.values()].slice(0, addressesMax)
}
