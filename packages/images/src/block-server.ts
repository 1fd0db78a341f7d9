import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { createAllowance } from './allowance.ts'
import { abortWith, asError, blockProtocol, blockStatus, encodeAnswer, finish, readQuestion } from './block-protocol.ts'
import type { BlockQuestion } from './block-protocol.ts'
import type { VerifiedBlockstore } from './block-store.ts'
import { misbehaviourOf } from './errors.ts'
import type { MisbehaviourCode } from './errors.ts'
import type { Ledger } from './ledger.ts'
import {
  allBurstBytes,
  allBytesPerSecond,
  answerBytesMin,
  peerBurstBytes,
  peerBytesPerSecond,
  serveStreamsMax,
  serveTimeoutMs,
  servingBytesMax
} from './limits.ts'

export interface BlockServerComponents {
  libp2p: Pick<Libp2p, 'handle' | 'unhandle'>
  store: VerifiedBlockstore
  ledger: Pick<Ledger, 'get' | 'touch'>
}

export interface BlockServerInit {
  now: () => number
  onMisbehaviour?: ((peer: PeerId, code: MisbehaviourCode) => void) | undefined
  /** See {@link peerBurstBytes}. */
  peerBurstBytes?: number | undefined
  /** See {@link serveTimeoutMs}. */
  timeoutMs?: number | undefined
}

/** Answers `/souk/block/1` for public images. Needs neither Helia nor sharp. */
export interface BlockServer extends AsyncDisposable {
  /** Registers the protocol. */
  start(): Promise<void>
  /** Blocks and bytes served since the start. */
  served(): { blocks: number; bytes: number }
}

export function createBlockServer(components: BlockServerComponents, init: BlockServerInit): BlockServer {
  const { libp2p, store, ledger } = components
  const timeoutMs = init.timeoutMs ?? serveTimeoutMs
  const burstBytes = init.peerBurstBytes ?? peerBurstBytes
  const perPeer = createAllowance({ burstBytes, bytesPerSecond: peerBytesPerSecond, now: init.now })
  const overall = createAllowance({ burstBytes: allBurstBytes, bytesPerSecond: allBytesPerSecond, now: init.now })
  const served = { blocks: 0, bytes: 0 }
  /** Of answers that are being sent. Who has not asked yet takes no room here. */
  let servingBytes = 0

  async function serve(stream: Stream, connection: Connection): Promise<void> {
    const signal = AbortSignal.timeout(timeoutMs)
    const letGo = abortWith(stream, signal)
    let heldBytes = 0
    try {
      const frame = await answer(await readQuestion(stream), connection)
      heldBytes = frame.length
      servingBytes += heldBytes
      stream.send(frame)
      await stream.close({ signal })
      finish(stream)
    } catch (cause) {
      stream.abort(asError(cause))
      const code = misbehaviourOf(cause)
      if (code !== undefined) init.onMisbehaviour?.(connection.remotePeer, code)
    } finally {
      servingBytes -= heldBytes
      letGo()
    }
  }

  /** Cheapest check first; nothing is read from disk before the asker's allowance is charged for it. */
  async function answer({ cid, bytesMax }: BlockQuestion, connection: Connection): Promise<Uint8Array> {
    const key = cid.toString()
    const row = await ledger.get(key)
    const isServed = row?.public === true
    const carried = connection.limits?.bytes
    const isTooLarge = isServed && (row.bytes > bytesMax || (carried !== undefined && BigInt(row.bytes) > carried))
    const cost = isServed && !isTooLarge ? Math.max(row.bytes, answerBytesMin) : answerBytesMin
    if (!perPeer.take(connection.remotePeer.toString(), cost)) return encodeAnswer(blockStatus.busy)
    if (isTooLarge) return encodeAnswer(blockStatus.tooLarge)
    if (!isServed) return encodeAnswer(blockStatus.notHeld)
    if (servingBytes + cost > servingBytesMax || !overall.take('all', cost)) return encodeAnswer(blockStatus.busy)
    const block = await store.read(cid)
    if (block === undefined) return encodeAnswer(blockStatus.notHeld)
    served.blocks++
    served.bytes += block.length
    await ledger.touch(key)
    return encodeAnswer(blockStatus.here, block)
  }

  return {
    served: () => ({ ...served }),
    start: () =>
      libp2p.handle(blockProtocol, serve, { maxInboundStreams: serveStreamsMax, runOnLimitedConnection: true }),
    async [Symbol.asyncDispose]() {
      await libp2p.unhandle(blockProtocol)
    }
  }
}
