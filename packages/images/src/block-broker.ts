import type { BlockBroker } from 'helia'
import { stop } from '@libp2p/interface'
import type { Connection, Libp2p, PeerId } from '@libp2p/interface'
import { isMultiaddr, multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { abortWith, blockProtocol, encodeQuestion, finish, readAnswer } from './block-protocol.ts'
import { assertImageCid, matches } from './cid.ts'
import { ImagesError, misbehaviourOf } from './errors.ts'
import type { MisbehaviourCode } from './errors.ts'
import { bitswapTimeoutMs, blockBytesMax, providersMax, providerTimeoutMs } from './limits.ts'

export interface BlockBrokerComponents {
  libp2p: Pick<Libp2p, 'dial'>
}

export interface BlockBrokerInit {
  onMisbehaviour?: ((peer: PeerId, code: MisbehaviourCode) => void) | undefined
  /** See {@link providerTimeoutMs}. */
  providerTimeoutMs?: number | undefined
}

/**
 * Helia's way to a block of ours: the named providers one after the other over `/souk/block/1`, and only when all of
 * them failed the fall-back, if there is one.
 */
export interface DirectBroker extends Required<Pick<BlockBroker, 'name' | 'retrieve' | 'announce'>>, AsyncDisposable {
  /** Asked last; Helia itself would race it against the direct way, and tell every peer what we look at. */
  setFallback(broker: BlockBroker): void
}

type Provider = CID | Multiaddr | Multiaddr[]

export function createBlockBroker({ libp2p }: BlockBrokerComponents, init: BlockBrokerInit = {}): DirectBroker {
  const timeoutMs = init.providerTimeoutMs ?? providerTimeoutMs
  let fallback: BlockBroker | undefined

  async function ask(provider: Provider, cid: CID, bytesMax: number, signal?: AbortSignal): Promise<Uint8Array> {
    const limit = AbortSignal.timeout(timeoutMs)
    const stop = signal === undefined ? limit : AbortSignal.any([limit, signal])
    const connection = await libp2p.dial(addressOf(provider), { signal: stop })
    try {
      return await requestBlock(connection, cid, { bytesMax, signal: stop })
    } catch (error) {
      const code = misbehaviourOf(error)
      if (code !== undefined) init.onMisbehaviour?.(connection.remotePeer, code)
      throw error
    }
  }

  return {
    name: 'souk-direct',
    setFallback(broker) {
      fallback = broker
    },
    async announce(cid, options) {
      await fallback?.announce?.(cid, options)
    },
    async retrieve(cid, options = {}) {
      assertImageCid(cid)
      const bytesMax = options.maxSize ?? blockBytesMax
      const failures: unknown[] = []
      for (const provider of (options.providers ?? []).slice(0, providersMax)) {
        try {
          return await ask(provider, cid, bytesMax, options.signal)
        } catch (error) {
          options.signal?.throwIfAborted()
          failures.push(error)
        }
      }
      if (fallback?.retrieve !== undefined) {
        const limit = AbortSignal.timeout(bitswapTimeoutMs)
        const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal])
        return fallback.retrieve(cid, { ...options, maxSize: bytesMax, signal })
      }
      throw new AggregateError(failures, `None of ${failures.length} providers gave ${cid.toString()}`)
    },
    async [Symbol.asyncDispose]() {
      await stop(fallback)
    }
  }
}

/** Asks one connected peer for one block and checks it. The stream is over, or being ended, when this returns. */
export async function requestBlock(
  connection: Connection,
  cid: CID,
  options: { bytesMax: number; signal: AbortSignal }
): Promise<Uint8Array> {
  const stream = await connection.newStream(blockProtocol, { signal: options.signal, runOnLimitedConnection: true })
  const letGo = abortWith(stream, options.signal)
  try {
    stream.send(encodeQuestion({ cid, bytesMax: options.bytesMax }))
    const answer = readAnswer(stream, options.bytesMax)
    const [block] = await Promise.all([answer, stream.close({ signal: options.signal })])
    if (!matches(cid, block)) throw new ImagesError('block-wrong-hash', `These bytes are not ${cid.toString()}`)
    return block
  } catch (error) {
    options.signal.throwIfAborted()
    throw error
  } finally {
    letGo()
    finish(stream)
  }
}

/** Helia names providers by CID or address; a peer's CID is its id in another spelling. */
function addressOf(provider: Provider): Multiaddr | Multiaddr[] {
  if (Array.isArray(provider) || isMultiaddr(provider)) return provider
  return multiaddr(`/p2p/${provider.toString()}`)
}
