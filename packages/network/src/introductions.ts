import assert from 'node:assert'
import { identify, type Identify } from '@libp2p/identify'
import type { Connection, Stream } from '@libp2p/interface'

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

/** A private part of identify, which has no hook for this; fails at start if a version moves it. */
interface Answering {
  handleProtocol: (stream: Stream, connection: Connection) => Promise<void>
}
