import assert from 'node:assert/strict'
import type { AbortOptions, PeerId } from '@libp2p/interface'
import type { KadDHT, QueryEvent } from '@libp2p/kad-dht'
import { createPaces } from '../pace.ts'
import { questionPace } from './limits.ts'

/**
 * Asks no peer more than it grants one: walks of a small network all pass by the same few, and who asks beyond the guard's budget
 * is cut off.
 *
 * @param dht - Changed in place.
 */
export function paceQuestions(dht: KadDHT): void {
  const { network } = internalsOf(dht)
  const paceOf = createPaces(questionPace)
  const send = network.sendRequest.bind(network)
  network.sendRequest = async function* (to, message, options) {
    try {
      await paceOf(to)(options)
    } catch {
      // Given up: kad-dht sees the same signal, and says so in its own way.
    }
    yield* send(to, message, options)
  }
}

/** What of kad-dht its interface leaves out. The tests of this folder hold a new version to it. */
interface KadDHTInternals {
  readonly network: {
    sendRequest(to: PeerId, message: object, options: AbortOptions): AsyncIterable<QueryEvent>
  }
}

function internalsOf(dht: KadDHT): KadDHTInternals {
  const internals = dht as KadDHT & KadDHTInternals
  assert.equal(typeof internals.network?.sendRequest, 'function', 'kad-dht asks its peers in another way')
  return internals
}
