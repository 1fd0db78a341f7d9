/** The answering side of `/souk/located-set/1`: keeps what others bring, verified, and tells who asks. */
import type { KadDHT } from '@libp2p/kad-dht'
import { type Asker, type ExchangeHost, type Guard, serveExchange } from '../exchange.ts'
import { blockOf } from '../guard/address.ts'
import { mayPutValue } from '../guard/values.ts'
import { ProtocolError } from '../protocol-error.ts'
import { createTurns } from '../gossip/turns.ts'
import { isServer } from './closest.ts'
import { checkTurnMs, idsPerPageMax, locatedSetLimits } from './limits.ts'
import { type AddOutcome, decodeQuestion, encodeAnswer, locatedSetProtocol } from './located-set.ts'
import type { Shelf } from './shelf.ts'
import { openFeedback } from './value.ts'

/** Serves the shelf to others; returns what ends that. A client of the DHT refuses: nobody would look for it there. */
export function serveShelf(
  components: { libp2p: ExchangeHost; dht: Pick<KadDHT, 'getMode'>; guard: Guard; shelf: Shelf },
  init: { now: () => number; onChanged: () => void; refuses: (author: Uint8Array) => boolean }
): Promise<() => Promise<void>> {
  const { libp2p, dht, guard, shelf } = components
  const turns = createTurns(checkTurnMs)

  async function answer(bytes: Uint8Array, { peer, address }: Asker): Promise<Uint8Array> {
    if (!isServer(dht)) throw new ProtocolError('refused', 'this node keeps no sets')
    const question = decodeQuestion(bytes)
    switch (question.op) {
      case 'add':
        return encodeAnswer.add(await add(question.record, { peer, address }))
      case 'sum':
        return encodeAnswer.sum(shelf.summary(question.subject))
      case 'list': {
        const { subject, after } = question
        return encodeAnswer.list(await shelf.page(subject, { after, limit: idsPerPageMax }))
      }
      case 'get':
        return encodeAnswer.get(await readRecords(shelf, question))
    }
  }

  /**
   * Takes a record that a peer sent.
   *
   * @throws {@link ProtocolError} when the bytes are no feedback; being full is an outcome, not an error.
   */
  async function add(bytes: Uint8Array, { peer, address }: Pick<Asker, 'peer' | 'address'>): Promise<AddOutcome> {
    if (shelf.isFamiliar(bytes)) return { status: 'known' }
    if (!mayPutValue(guard, peer)) return { status: 'refused', code: 'over-budget' }
    for (let turn = turns.wait(); turn !== undefined; turn = turns.wait()) await turn
    const record = openFeedback(bytes, { nowMs: init.now() })
    if (init.refuses(record.author)) return { status: 'refused', code: 'refused' }
    try {
      const status = await shelf.add(record, { block: blockOf(address) })
      if (status === 'kept') init.onChanged()
      return { status }
    } catch (error) {
      if (error instanceof ProtocolError) return { status: 'refused', code: error.code }
      throw error
    }
  }

  return serveExchange({ libp2p, guard }, { protocol: locatedSetProtocol, limits: locatedSetLimits, answer })
}

/** As many of the records asked for as one answer carries, in the order asked; the asker asks again for the rest. */
async function readRecords(
  shelf: Shelf,
  { subject, digests }: { subject: Uint8Array; digests: readonly Uint8Array[] }
): Promise<Uint8Array[]> {
  const records: Uint8Array[] = []
  let room = locatedSetLimits.answerBytesMax - answerOverheadBytes
  for (const digest of digests) {
    const bytes = await shelf.get(subject, digest)
    if (bytes === undefined) continue
    room -= bytes.length + itemOverheadBytes
    if (room < 0) break
    records.push(bytes)
  }
  return records
}

/** Map, names and the list's head. */
const answerOverheadBytes = 64
/** The head of one byte string. */
const itemOverheadBytes = 5
