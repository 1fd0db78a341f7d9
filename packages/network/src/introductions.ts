import assert from 'node:assert'
import { identify, type Identify, identifyPush } from '@libp2p/identify'
import type { Connection, Peer, PeerId, PeerStore, Stream } from '@libp2p/interface'

/**
 * Asks who somebody is whom we have called, at once; and who calls us, when they ask us: every program does with its first
 * stream. libp2p asks both at once: a stream to each newcomer who wants nothing but to be there, a quarter of what it costs.
 * Who never asks is asked by the roster, later.
 */
export function introductions(): ReturnType<typeof identify> {
  const create = identify({ runOnConnectionOpen: false })
  return (components) => {
    const service = create(components)
    const asked = new WeakSet<Connection>()
    const ask = (connection: Connection): void => {
      if (asked.has(connection)) return
      asked.add(connection)
      // Who does not answer is asked again by the roster.
      service.identify(connection).catch(() => undefined)
    }
    components.events.addEventListener('connection:open', ({ detail: connection }) => {
      if (connection.direction === 'outbound') ask(connection)
    })
    const answering = service as Identify & Answering
    const { handleProtocol: answer } = answering
    assert(answer !== undefined, 'libp2p says elsewhere who we are')
    answering.handleProtocol = async (stream, connection) => {
      if (connection.direction === 'inbound') ask(connection)
      await answer.call(service, stream, connection)
    }
    return service
  }
}

/**
 * Tells whoever is connected when something changes about us. libp2p tells nobody after the first who has not said who
 * they are: it looks everybody up, and to look up one who is not known is an error.
 */
export function announcements(): ReturnType<typeof identifyPush> {
  const create = identifyPush()
  return (components) =>
    create(Object.create(components, { peerStore: { value: knowingAll(components.peerStore) } }) as typeof components)
}

/** A peer store in which everybody is, speaking nothing if no more is known. */
function knowingAll(peerStore: PeerStore): PeerStore {
  const get = (id: PeerId): Promise<Peer> =>
    peerStore.get(id).catch(() => ({ id, addresses: [], protocols: [], metadata: new Map(), tags: new Map() }))
  return new Proxy(peerStore, {
    get: (store, name) => {
      if (name === 'get') return get
      const value: unknown = Reflect.get(store, name, store)
      return typeof value === 'function' ? (value.bind(store) as unknown) : value
    }
  })
}

/** A private part of identify, which has no hook for this; fails at start if a version moves it. */
interface Answering {
  handleProtocol: (stream: Stream, connection: Connection) => Promise<void>
}
