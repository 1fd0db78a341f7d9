import type { Network, Unsubscribe } from '@souk/network'
import type { Storage } from '@souk/storage'
import { reservationsOf } from './metrics.ts'
import type { RelayProblem, RelayState } from './relay.ts'

/** What an operator, or a test, can watch. Counts are those of the moment; nothing here names what letters say. */
export interface RelayEvents {
  'peer-connected': { readonly peer: string }
  'peer-disconnected': { readonly peer: string }
  /** A record has come from a peer and been judged. */
  'record-checked': { readonly via: string; readonly verdict: string; readonly code: string }
  /** Records have been stored or taken out. */
  'records-changed': { readonly records: number }
  'reservations-changed': { readonly reservations: number }
  'mailboxes-changed': { readonly mailboxes: number; readonly envelopes: number }
  'located-sets-changed': { readonly records: number }
  'state-changed': { readonly state: RelayState }
  problem: RelayProblem
}

/** Tells events to whoever listens. */
export interface RelayEmitter {
  on<Name extends keyof RelayEvents>(name: Name, listener: (event: RelayEvents[Name]) => void): Unsubscribe
  emit<Name extends keyof RelayEvents>(name: Name, event: RelayEvents[Name]): void
}

export function createRelayEmitter(): RelayEmitter {
  const listeners = new Map<keyof RelayEvents, Set<(event: never) => void>>()
  return {
    on(name, listener) {
      const set = listeners.get(name) ?? new Set()
      listeners.set(name, set.add(listener))
      return () => void set.delete(listener)
    },
    emit(name, event) {
      for (const listener of listeners.get(name) ?? []) (listener as (event: unknown) => void)(event)
    }
  }
}

/** Passes on what the parts of a relay tell. */
export function forwardEvents(
  { network, storage }: { network: Network; storage: Storage },
  { emit }: Pick<RelayEmitter, 'emit'>
): void {
  network.on('peer-connected', ({ peer }) => emit('peer-connected', { peer: peer.toString() }))
  network.on('record-checked', ({ source: { via }, result: { verdict, code = 'ok' } }) =>
    emit('record-checked', { via, verdict, code })
  )
  const records = (): void => emit('records-changed', { records: storage.records.count() })
  storage.records.on('stored', records)
  storage.records.on('removed', records)
  let reservations = reservationsOf(network)
  const reserved = (): void => {
    if (reservationsOf(network) === reservations) return
    reservations = reservationsOf(network)
    emit('reservations-changed', { reservations })
  }
  // The service tags a peer that gets a reservation, and tells nothing else of it.
  network.libp2p.addEventListener('peer:update', reserved)
  network.on('peer-disconnected', ({ peer }) => {
    reserved()
    emit('peer-disconnected', { peer: peer.toString() })
  })
}
