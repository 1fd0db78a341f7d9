/**
 * Who is here: peers with an open connection on which they have said what they speak.
 *
 * libp2p's registrar reads its peer store before it tells that a peer has gone; one that comes back meanwhile, as after
 * a crash, is announced first and forgotten afterwards, for as long as it stays. It says nothing to those who ask after
 * a peer has come, and nothing of a peer's second connection. Here every connection is followed by itself, and at once;
 * and who has not said who they are is asked again, which libp2p does once, for five seconds.
 */
import type { Connection, IdentifyResult, Libp2p, PeerId } from '@libp2p/interface'
import type { Identify } from '@libp2p/identify'
import type { Unsubscribe } from './events.ts'
import { introducedAfterMs, introducedMaxMs, introductionMs } from './limits.ts'

/** Relayed connections do not count: they are limited, and our protocols wait for a direct one. */
export interface Roster extends Disposable {
  /** Tells of peers that speak one of the protocols: of those who are here at once, of others when they come. */
  follow(protocols: readonly string[], follower: Follower): Unsubscribe
  /** The newest connection of a peer: after a crash over there the older ones are dead, which shows a minute later. */
  connectionTo(peer: PeerId): Connection | undefined
}

/** Who is told. */
export interface Follower {
  /** A peer has come; or it has come again while we believed it here, over a newer connection. */
  onHere(peer: PeerId, connection: Connection): void
  /** The last of its connections has closed, or it does not speak any of the protocols any more. */
  onGone(peer: PeerId): void
}

interface Guest {
  readonly peer: PeerId
  /** Newest last. */
  readonly connections: readonly Connection[]
  readonly protocols: ReadonlySet<string>
}

interface Following {
  readonly protocols: readonly string[]
  readonly follower: Follower
}

/** A host whose services include `identify`, unless its peers introduce themselves some other way. */
export type RosterHost = Pick<Libp2p, 'addEventListener'> & { readonly services: object }

/** @param libp2p - Not started yet, or nobody is told of those who are connected already. */
export function createRoster(libp2p: RosterHost): Roster {
  const { identify } = libp2p.services as { identify?: Pick<Identify, 'identify'> }
  const guests = new Map<string, Guest>()
  const followings = new Set<Following>()
  const stopping = new AbortController()
  const { signal } = stopping
  const strangers = new Map<Connection, NodeJS.Timeout>()

  const isKnown = (connection: Connection): void => {
    clearTimeout(strangers.get(connection))
    strangers.delete(connection)
  }
  const askLater = (connection: Connection, waitMs: number): void => {
    const ask = async (): Promise<void> => {
      const timely = AbortSignal.any([signal, AbortSignal.timeout(introductionMs)])
      await identify?.identify(connection, { signal: timely }).catch(() => undefined)
      if (strangers.has(connection)) askLater(connection, Math.min(2 * waitMs, introducedMaxMs))
    }
    strangers.set(connection, setTimeout(() => void ask(), waitMs).unref())
  }

  const onIdentify = ({ connection, protocols }: IdentifyResult): void => {
    isKnown(connection)
    if (connection.status !== 'open' || connection.limits !== undefined) return
    const { remotePeer: peer } = connection
    const before = guests.get(peer.toString()) ?? { peer, connections: [], protocols: new Set() }
    const isNew = !before.connections.includes(connection)
    const connections = isNew ? [...before.connections, connection] : before.connections
    const now = { peer, connections, protocols: new Set(protocols) }
    guests.set(peer.toString(), now)
    for (const following of followings) {
      if (!speaks(now, following)) {
        if (speaks(before, following)) following.follower.onGone(peer)
      } else if (isNew || !speaks(before, following)) following.follower.onHere(peer, connection)
    }
  }

  const onClose = (connection: Connection): void => {
    isKnown(connection)
    const name = connection.remotePeer.toString()
    const guest = guests.get(name)
    if (guest === undefined) return
    const connections = guest.connections.filter((one) => one !== connection)
    if (connections.length > 0) return void guests.set(name, { ...guest, connections })
    guests.delete(name)
    for (const following of followings) if (speaks(guest, following)) following.follower.onGone(guest.peer)
  }

  // One that ended while it was made is announced too, and never closes any more.
  const onOpen = (connection: Connection): void => {
    if (connection.status === 'open') askLater(connection, introducedAfterMs)
  }

  libp2p.addEventListener('connection:open', ({ detail }) => onOpen(detail), { signal })
  libp2p.addEventListener('peer:identify', ({ detail }) => onIdentify(detail), { signal })
  libp2p.addEventListener('connection:close', ({ detail }) => onClose(detail), { signal })

  return {
    follow(protocols, follower) {
      const following = { protocols, follower }
      followings.add(following)
      for (const guest of guests.values()) {
        const connection = newest(guest)
        if (connection !== undefined && speaks(guest, following)) follower.onHere(guest.peer, connection)
      }
      return () => void followings.delete(following)
    },
    connectionTo: (peer) => newest(guests.get(peer.toString())),
    [Symbol.dispose]: () => {
      stopping.abort()
      for (const timer of strangers.values()) clearTimeout(timer)
      strangers.clear()
    }
  }
}

function newest(guest: Guest | undefined): Connection | undefined {
  return guest?.connections.findLast(({ status }) => status === 'open')
}

function speaks(guest: Guest, { protocols }: Following): boolean {
  return protocols.some((protocol) => guest.protocols.has(protocol))
}
