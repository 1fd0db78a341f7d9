/**
 * Places at relays, asked for until there is one.
 *
 * libp2p asks a relay once, when it meets it, and for five seconds: who got no answer then, since a machine was busy or
 * all places were taken, was reached by nobody for as long as it stayed connected.
 */
import assert from 'node:assert'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import type { PeerId } from '@libp2p/interface'
import { placeAskedAgainMaxMs, placeAskedAgainMs, placeTimeoutMs } from './limits.ts'

/** The transport of relayed connections; with `/p2p-circuit` among the addresses listened on, it asks for a place. */
export function patientRelaying(): ReturnType<typeof circuitRelayTransport> {
  const create = circuitRelayTransport({ reservationCompletionTimeout: placeTimeoutMs })
  return (components) => {
    const transport = create(components)
    askAgain(placesOf(transport), (relay) => components.connectionManager.getConnections(relay).length > 0)
    return transport
  }
}

function askAgain(places: Places, isConnected: (relay: PeerId) => boolean): void {
  const waiting = new Map<string, NodeJS.Timeout>()
  const ask = places.addRelay.bind(places)

  const askPatiently = async (relay: PeerId, waitMs: number): Promise<unknown> => {
    try {
      return await ask(relay, 'discovered')
    } catch (error) {
      if (!isFinal(error)) askLater(relay, waitMs)
      throw error
    }
  }
  const askLater = (relay: PeerId, waitMs: number): void => {
    clearTimeout(waiting.get(relay.toString()))
    const timer = setTimeout(() => {
      waiting.delete(relay.toString())
      // Whoever comes back is asked anyway.
      if (!places.isStarted() || !isConnected(relay)) return
      askPatiently(relay, Math.min(2 * waitMs, placeAskedAgainMaxMs)).catch(() => undefined)
    }, waitMs)
    waiting.set(relay.toString(), timer.unref())
  }

  places.addRelay = (relay, type) => (type === 'discovered' ? askPatiently(relay, placeAskedAgainMs) : ask(relay, type))
}

/** There is a place elsewhere, or this is no relay. */
function isFinal(error: unknown): boolean {
  return finalErrors.has((error as Error).name)
}

const finalErrors: ReadonlySet<string> = new Set(['HadEnoughRelaysError', 'ListenError', 'UnsupportedProtocolError'])

interface Places {
  isStarted(): boolean
  addRelay: (relay: PeerId, type: 'discovered' | 'configured') => Promise<unknown>
}

/** libp2p's list of its places; fails at start if a version moves it. */
function placesOf(transport: object): Places {
  const { reservationStore: places } = transport as { reservationStore?: Places }
  assert(typeof places?.addRelay === 'function', 'the relayed transport keeps its places elsewhere')
  return places
}
