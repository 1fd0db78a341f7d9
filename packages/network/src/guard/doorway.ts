import type { MultiaddrConnection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { addressGroups, type AddressGroups, groupsOfIp, isLoopback } from './address.ts'
import type { Budget } from './bucket.ts'
import {
  attemptsPerBlock,
  connectionsPerBlockMax,
  connectionsPerHostMax,
  cutOffCost,
  pendingPerBlockMax,
  pendingPerHostMax,
  type Shares,
  sharesDefault
} from './limits.ts'
import { Standings } from './standings.ts'

/** How strict a doorway is; see `GuardInit`. */
export interface DoorwayInit {
  readonly now: () => number
  readonly connectionsPerHostMax?: number
  readonly connectionsPerBlockMax?: number
  readonly pendingPerHostMax?: number
  readonly pendingPerBlockMax?: number
  readonly attemptsPerBlock?: Budget
  readonly shares?: Shares
  readonly limitLoopback?: boolean
  readonly denyHost?: (host: string) => boolean
  readonly allowHost?: (host: string) => boolean
}

/**
 * What may come from one address, and from one /24 or /48, whoever it says it is: identities cost nothing, addresses
 * do. Of each it counts connections, handshakes and attempts, and remembers how many who came from there were cut off.
 */
export class Doorway {
  readonly #init: DoorwayInit
  readonly #standings: Standings
  /** Of the addresses of connections: they are asked for with each message. */
  readonly #groups = new WeakMap<Multiaddr, { readonly groups: AddressGroups | undefined }>()
  readonly #counts = new Map<string, number>()
  readonly #pending = new WeakMap<MultiaddrConnection, () => void>()

  constructor(init: DoorwayInit) {
    this.#init = init
    this.#standings = new Standings(init)
  }

  /**
   * Judges a socket before there is one, as {@link denies} will judge the connection.
   *
   * @param ip - Where it comes from, as Node has it.
   * @returns True for one that is to be closed as it comes.
   */
  turnsAway(ip: string): boolean {
    const parts = groupsOfIp(ip)
    if (this.#init.denyHost?.(parts.host) === true) return true
    const groups = this.#counted(parts)
    if (groups === undefined) return false
    if (this.#refuses(groups)) return true
    if (this.#hasRoom([...this.#placesOf(groups, 'connection'), ...this.#pendingOf(groups)])) return false
    // It counts as an attempt all the same.
    this.#allowAttempt(groups)
    return true
  }

  /** Counts a socket that was not turned away like a handshake, while it waits for its turn. */
  knock(ip: string): Waiting {
    const groups = this.#counted(groupsOfIp(ip))
    if (groups === undefined) return { block: undefined, leave: () => undefined }
    return { block: groups.block, leave: this.#occupy(this.#pendingOf(groups)) }
  }

  /** Judges an inbound connection before its handshake, and counts it when it may go on. */
  denies(connection: MultiaddrConnection): boolean {
    if (this.isDeniedHost(connection.remoteAddr)) return true
    const groups = this.groupsOf(connection.remoteAddr)
    if (groups === undefined) return false
    if (this.#refuses(groups) || !this.#allowAttempt(groups)) return true
    const places = this.#placesOf(groups, 'connection')
    const pending = this.#pendingOf(groups)
    if (!this.#hasRoom([...places, ...pending])) return true
    const end = this.#occupy(pending)
    this.#pending.set(connection, end)
    const leave = this.#occupy(places)
    connection.addEventListener('close', () => [end, leave].forEach((done) => done()), { once: true })
    return false
  }

  /** A handshake is over. */
  upgraded(connection: MultiaddrConnection): void {
    this.#pending.get(connection)?.()
  }

  /**
   * As {@link denies} for a socket that has yet to become a connection.
   *
   * @returns What to call when the socket has closed; undefined when it is to be closed at once.
   */
  admitSocket(address: Multiaddr): (() => void) | undefined {
    if (this.isDeniedHost(address)) return undefined
    const groups = this.groupsOf(address)
    if (groups === undefined) return () => undefined
    const places = this.#placesOf(groups, 'socket')
    return this.#refuses(groups) || !this.#hasRoom(places) ? undefined : this.#occupy(places)
  }

  /** Takes from what all who come from an address, and from its block, may do together: `host`, `block` name the empty one. */
  take(address: Multiaddr, { name, budget, cost }: { name: string; budget: Budget; cost: number }): Full | undefined {
    const groups = this.groupsOf(address)
    if (groups === undefined) return undefined
    const nowMs = this.#init.now()
    const shares = this.#init.shares ?? sharesDefault
    for (const kind of ['host', 'block'] as const) {
      const standing = this.#standings.of(nameOf(groups, kind))
      if (!standing.allow(name, times(budget, shares[kind]), cost, nowMs)) return kind
    }
    return undefined
  }

  /** Somebody who came from there was cut off. */
  blame(address: Multiaddr): void {
    const groups = this.groupsOf(address)
    if (groups === undefined) return
    for (const kind of ['host', 'block'] as const) {
      this.#standings.of(nameOf(groups, kind)).punish('cut-off', this.#init.now(), cutOffCost[kind])
    }
  }

  isDeniedHost(address: Multiaddr): boolean {
    const host = addressGroups(address)?.host
    return host !== undefined && this.#init.denyHost?.(host) === true
  }

  /** Undefined for what is not counted by address. */
  groupsOf(address: Multiaddr): AddressGroups | undefined {
    const groups = this.#partsOf(address)
    return groups === undefined ? undefined : this.#counted(groups)
  }

  #counted(groups: AddressGroups): AddressGroups | undefined {
    if (isLoopback(groups) && this.#init.limitLoopback !== true) return undefined
    return this.#init.allowHost?.(groups.host) === true ? undefined : groups
  }

  #partsOf(address: Multiaddr): AddressGroups | undefined {
    let known = this.#groups.get(address)
    if (known === undefined) this.#groups.set(address, (known = { groups: addressGroups(address) }))
    return known.groups
  }

  #refuses(groups: AddressGroups): boolean {
    return this.#standings.refuses(nameOf(groups, 'host')) || this.#standings.refuses(nameOf(groups, 'block'))
  }

  #allowAttempt(groups: AddressGroups): boolean {
    const budget = this.#init.attemptsPerBlock ?? attemptsPerBlock
    return this.#standings.of(nameOf(groups, 'block')).allow('attempts', budget, 1, this.#init.now())
  }

  #placesOf(groups: AddressGroups, what: string): Place[] {
    const host = this.#init.connectionsPerHostMax ?? connectionsPerHostMax
    const block = this.#init.connectionsPerBlockMax ?? connectionsPerBlockMax
    return placesFor(groups, what, { host, block })
  }

  #pendingOf(groups: AddressGroups): Place[] {
    const host = this.#init.pendingPerHostMax ?? pendingPerHostMax
    const block = this.#init.pendingPerBlockMax ?? pendingPerBlockMax
    return placesFor(groups, 'pending', { host, block })
  }

  #hasRoom(places: readonly Place[]): boolean {
    return places.every(({ name, max }) => (this.#counts.get(name) ?? 0) < max)
  }

  /** @returns What gives the places back; a second call does nothing. */
  #occupy(places: readonly Place[]): () => void {
    for (const { name } of places) this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
    let held = true
    return () => {
      if (!held) return
      held = false
      for (const { name } of places) this.#release(name)
    }
  }

  #release(name: string): void {
    const left = (this.#counts.get(name) ?? 0) - 1
    if (left > 0) this.#counts.set(name, left)
    else this.#counts.delete(name)
  }
}

/** A socket that waits for its turn. */
export interface Waiting {
  /** With whose sockets it takes turns; undefined for one that need not wait. */
  readonly block: string | undefined
  /** Gives its place back; a second call does nothing. */
  leave(): void
}

/** Which of the two had none left. */
export type Full = 'host' | 'block'

interface Place {
  readonly name: string
  readonly max: number
}

function placesFor(groups: AddressGroups, what: string, max: { host: number; block: number }): Place[] {
  return (['host', 'block'] as const).map((kind) => ({ name: `${what} ${nameOf(groups, kind)}`, max: max[kind] }))
}

function nameOf(groups: AddressGroups, kind: Full): string {
  return `${kind} ${groups[kind]}`
}

function times({ perSecond, burst }: Budget, share: number): Budget {
  return { perSecond: perSecond * share, burst: burst * share }
}
