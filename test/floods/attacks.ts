import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import type { RPC } from '@libp2p/gossipsub/message'
import { getNetConfig } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import {
  bareSocket,
  connectHostile,
  endless,
  gossipProtocol,
  type Hostile,
  pour,
  prefixed,
  rpcFrame,
  type Target
} from './wire.ts'
import { sealListings, spamWorkBits } from './listings.ts'

/** What an attack has to do with. */
export interface AttackContext {
  readonly target: Target
  /** The addresses of its identities, one each; the same one many times where they share it. */
  readonly from: readonly string[]
  /** Ends the attack, whether it was cut or not. */
  readonly signal: AbortSignal
  /** Counts what was sent. */
  readonly onSent: (count: number) => void
  /** Counts what was made beforehand to be sent once each, where making it costs something. */
  readonly onMade: (count: number) => void
}

/** Prepares what can be prepared, and returns the attack itself. */
export type Attack = (context: AttackContext) => Promise<() => Promise<Outcome>>

/** What became of an attack. */
export interface Outcome {
  /** Identities, or sockets, that the victim let in. */
  readonly admitted: number
  /** Of those, how many it ended before the attack gave up by itself. */
  readonly cut: number
}

const topic = '/souk/1/main/listings/hg'

/** A gossip message as it travels. */
function message(data: Uint8Array, to = topic): Uint8Array {
  return rpcFrame({ messages: [{ topic: to, data }] })
}

/** A gossip RPC of control messages only. */
function control(parts: Partial<NonNullable<RPC['control']>>): Uint8Array {
  return rpcFrame({ control: { ihave: [], iwant: [], graft: [], prune: [], idontwant: [], ...parts } })
}

/** Bytes that arrive on a stream of the victim are thrown away. */
const drain = (stream: Stream): void => stream.addEventListener('message', () => undefined)

/** Each identity connects, opens one stream of a protocol and pours the same frames, made anew for each. */
function flood(protocol: string, frames: (identity: number) => Iterable<Uint8Array>, ws = false): Attack {
  return async (context) => async () =>
    together(context, async (from, identity) => {
      await using hostile = await insist(ws ? context.target.ws : context.target.tcp, { from, context })
      return await pourUntilCut(hostile, { protocol, frames: frames(identity), context })
    })
}

/** Connects, and tries again while the victim lets no more in at once. */
async function insist(target: string, { from, context }: { from: string; context: AttackContext }): Promise<Hostile> {
  const { signal } = context
  for (;;) {
    try {
      return await connectHostile(target, { from, signal, handlers: { [gossipProtocol]: drain } })
    } catch (error) {
      if (signal.aborted) throw error
      await sleep(retryMs)
    }
  }
}

/** Control messages that name messages: five hundred each, made before the attack begins. */
function idFlood(parts: (ids: Uint8Array[]) => Partial<NonNullable<RPC['control']>>): Attack {
  return async (context) => {
    const ids = (): Uint8Array[] => Array.from({ length: 500 }, () => new Uint8Array(randomBytes(32)))
    const frames = Array.from({ length: 8 }, () => control(parts(ids())))
    return flood(gossipProtocol, () => endless((index) => frames[index % frames.length] as Uint8Array))(context)
  }
}

/** Opens the stream again as often as the victim only ends that. */
async function pourUntilCut(
  { connection, cut }: Hostile,
  { protocol, frames, context }: { protocol: string; frames: Iterable<Uint8Array>; context: AttackContext }
): Promise<boolean> {
  const iterator = frames[Symbol.iterator]()
  const shared = { [Symbol.iterator]: () => ({ next: () => iterator.next() }) }
  while (connection.status === 'open' && !context.signal.aborted) {
    try {
      const stream = await connection.newStream(protocol, { signal: context.signal })
      drain(stream)
      const sent = await pour(stream, shared, context.signal)
      context.onSent(sent)
      if (sent === 0) await setImmediate()
      if (stream.status === 'open' && stream.writeStatus === 'writable') break
    } catch {
      await setImmediate()
    }
  }
  return await endedBy(cut, context.signal)
}

/** True when the victim ended it, false when the attack's time was over first. */
async function endedBy(cut: Promise<void>, signal: AbortSignal): Promise<boolean> {
  return Promise.race([cut.then(() => true), aborted(signal).then(() => false)])
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Runs one task an identity, all at once. */
async function together(
  { from }: AttackContext,
  task: (from: string, identity: number) => Promise<boolean>
): Promise<Outcome> {
  const results = await Promise.allSettled(from.map((address, identity) => task(address, identity)))
  const admitted = results.filter((result) => result.status === 'fulfilled')
  return { admitted: admitted.length, cut: admitted.filter(({ value }) => value).length }
}

/** Connects again and again, each time as somebody new, and does something in between. */
function churn(ws: boolean, act: (hostile: Hostile, context: AttackContext) => Promise<unknown>): Attack {
  return async (context) => async () => {
    let [admitted, cut] = [0, 0]
    await together(context, async (from) => {
      while (!context.signal.aborted) {
        try {
          await using hostile = await connectHostile(ws ? context.target.ws : context.target.tcp, {
            from,
            signal: context.signal,
            handlers: { [gossipProtocol]: drain }
          })
          admitted++
          await act(hostile, context)
          if (hostile.connection.status !== 'open') cut++
        } catch {
          await setImmediate()
        }
      }
      return true
    })
    return { admitted, cut }
  }
}

/** How soon somebody who was refused tries again. */
const retryMs = 100

/** Sockets that say as much as `words`, and then nothing more. */
function halfOpen(words: Uint8Array, { ws = false }: { ws?: boolean } = {}): Attack {
  return async (context) => async () => {
    let [admitted, cut] = [0, 0]
    await together(context, async (from) => {
      while (!context.signal.aborted) {
        const socket = await bareSocket(ws ? context.target.ws : context.target.tcp, from)
        if (socket === undefined) {
          await sleep(retryMs)
          continue
        }
        admitted++
        context.onSent(1)
        socket.write(words)
        socket.resume()
        const over = new Promise<void>((resolve) => socket.once('close', () => resolve()))
        if (await endedBy(over, context.signal)) cut++
        socket.destroy()
      }
      return true
    })
    return { admitted, cut }
  }
}

/** Connected peers that open streams and leave them there. */
function openAndLeave(protocols: readonly string[]): Attack {
  return async (context) => async () =>
    together(context, async (from) => {
      await using hostile = await connectHostile(context.target.tcp, { from, signal: context.signal })
      while (hostile.connection.status === 'open' && !context.signal.aborted) {
        const opening = protocols.map((protocol) => hostile.connection.newStream(protocol, { signal: context.signal }))
        const opened = await Promise.allSettled(opening)
        context.onSent(opened.filter(({ status }) => status === 'fulfilled').length)
        if (opened.every(({ status }) => status === 'rejected')) break
      }
      return await endedBy(hostile.cut, context.signal)
    })
}

/** Streams on which no protocol is agreed on, and a lot is said. */
function beforeProtocol(chunk: Uint8Array): Attack {
  return async (context) => async () =>
    together(context, async (from) => {
      await using hostile = await connectHostile(context.target.tcp, { from, signal: context.signal })
      const { muxer } = hostile.connection as unknown as { muxer: { createStream(): Promise<Stream> } }
      while (hostile.connection.status === 'open' && !context.signal.aborted) {
        try {
          const stream = await muxer.createStream()
          const chunks = endless(() => chunk)
          context.onSent(await pour(stream, chunks, AbortSignal.any([context.signal, AbortSignal.timeout(500)])))
        } catch {
          // The connection has ended meanwhile, or will have.
          await setImmediate()
        }
      }
      return await endedBy(hostile.cut, context.signal)
    })
}

/** Asks on a stream and never takes the answer: the raw connection stops reading once the questions go out. */
function neverRead(protocol: string, frames: () => Iterable<Uint8Array>): Attack {
  return async (context) => async () =>
    together(context, async (from) => {
      let stop = (): void => undefined
      await using hostile = await connectHostile(context.target.tcp, {
        from,
        signal: context.signal,
        handlers: { [gossipProtocol]: (stream) => stream.pause() },
        onRaw: (connection) => (stop = () => connection.pause())
      })
      const stream = await hostile.connection.newStream(protocol, { signal: context.signal })
      stream.pause()
      stop()
      context.onSent(await pour(stream, frames(), context.signal))
      return await endedBy(hostile.cut, context.signal)
    })
}

/** Frames of the multiplexer itself, below all protocols: type, flags, stream and length, twelve bytes each. */
function muxerFlood(frame: (index: number) => MuxerFrame): Attack {
  return async (context) => async () =>
    together(context, async (from) => {
      await using hostile = await connectHostile(context.target.tcp, { from, signal: context.signal })
      // The interface hides the multiplexer; its raw sender is what an attacker would write.
      const { muxer } = hostile.connection as unknown as { muxer: { maConn: Stream; onData(data: unknown): void } }
      // Answers are not looked at: its own multiplexer would end the connection over them.
      muxer.onData = () => undefined
      const batches = endless((batch) => muxerBatch(batch, frame))
      context.onSent((await pour(muxer.maConn, batches, context.signal)) * muxerBatchFrames)
      return await endedBy(hostile.cut, context.signal)
    })
}

interface MuxerFrame {
  readonly type: number
  readonly flag: number
  readonly stream: number
  readonly length: number
}

const muxerBatchFrames = 256

function muxerBatch(batch: number, frame: (index: number) => MuxerFrame): Uint8Array {
  const bytes = new Uint8Array(12 * muxerBatchFrames)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < muxerBatchFrames; at++) {
    const { type, flag, stream, length } = frame(batch * muxerBatchFrames + at)
    view.setUint8(at * 12 + 1, type)
    view.setUint16(at * 12 + 2, flag)
    view.setUint32(at * 12 + 4, stream)
    view.setUint32(at * 12 + 8, length)
  }
  return bytes
}

const text = new TextEncoder()
const line = (words: string): Uint8Array => prefixed(text.encode(`${words}\n`))

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** Streams that anybody may open on a node or a relay. */
const protocols = [
  '/ipfs/ping/1.0.0',
  '/ipfs/id/1.0.0',
  '/ipfs/id/push/1.0.0',
  '/souk/sync/1',
  '/souk/kad/1.0.0',
  '/souk/located-set/1',
  '/souk/mailbox/1',
  '/libp2p/circuit/relay/0.2.0/hop',
  gossipProtocol
]

/** In the signature, which comes first in a record's envelope. */
const forgedAt = 20

function forgedOf(record: Uint8Array, index: number): Uint8Array {
  const forged = record.slice()
  new DataView(forged.buffer).setUint32(forgedAt, index + 1)
  return forged
}

/** Valid records, each new, made before the attack begins. */
function spam(each: number, workBits: number): Attack {
  return async (context) => {
    const batches = context.from.map(() => sealListings(each, { workBits }).map((bytes) => message(bytes)))
    context.onMade(batches.length * each)
    return async () =>
      together(context, async (from, identity) => {
        await using hostile = await insist(context.target.tcp, { from, context })
        const frames = batches[identity] ?? []
        return await pourUntilCut(hostile, { protocol: gossipProtocol, frames, context })
      })
  }
}

/** Nobody looks at the signature of what has less work than all honest authors bring. */
const withoutWork: Attack = async (context) => {
  const [record = new Uint8Array()] = sealListings(1, { workBits: 0 })
  const each = 400
  const frames = context.from.map((_from, identity) =>
    Array.from({ length: each }, (_, index) => message(forgedOf(record, identity * each + index)))
  )
  return flood(gossipProtocol, (identity) => frames[identity] ?? [])(context)
}

const grafts = Array.from({ length: 32 }, () => ({ topicID: topic }))
const subscriptions = Array.from({ length: 256 }, (_, index) => ({ subscribe: index % 2 === 0, topic }))

/** By name. */
export const attacks: Readonly<Record<string, Attack>> = {
  /** Nothing at all, for comparison. */
  none: async (context) => async () => {
    await aborted(context.signal)
    return { admitted: 0, cut: 0 }
  },

  malformed: flood(gossipProtocol, () => endless(() => message(new Uint8Array(randomBytes(300))))),
  forged: async (context) => {
    const [record = new Uint8Array()] = sealListings(1)
    const frames = Array.from({ length: 4000 }, (_, index) => message(forgedOf(record, index)))
    return flood(gossipProtocol, () => frames)(context)
  },
  'forged by websocket': async (context) => {
    const [record = new Uint8Array()] = sealListings(1)
    const frames = Array.from({ length: 4000 }, (_, index) => message(forgedOf(record, index)))
    return flood(gossipProtocol, () => frames, true)(context)
  },
  'valid spam': spam(700, spamWorkBits),
  'valid spam, within what one may': spam(24, spamWorkBits),
  'spam without work': withoutWork,
  repetitions: async (context) => {
    const [record = new Uint8Array()] = sealListings(1)
    return flood(gossipProtocol, () => endless(() => message(record)))(context)
  },
  'messages of unknown topics': flood(gossipProtocol, () =>
    endless((index) => message(new Uint8Array(200), `/souk/1/nowhere/${index}`))
  ),

  'frames of 3.9 MB': flood(gossipProtocol, () => endless(() => message(new Uint8Array(3.9 * 2 ** 20)))),
  'frames beyond the codec’s bound': flood(gossipProtocol, () => endless(() => prefixed(new Uint8Array(5 * 2 ** 20)))),
  garbage: flood(gossipProtocol, () => endless(() => new Uint8Array(randomBytes(8 * 1024)))),
  'garbage in frames': flood(gossipProtocol, () => endless(() => prefixed(new Uint8Array(512).fill(0xff)))),

  graft: flood(gossipProtocol, () => endless(() => control({ graft: grafts }))),
  prune: flood(gossipProtocol, () =>
    endless(() => control({ prune: grafts.map((graft) => ({ ...graft, peers: [] })) }))
  ),
  ihave: idFlood((messageIDs) => ({ ihave: [{ topicID: topic, messageIDs }] })),
  iwant: idFlood((messageIDs) => ({ iwant: [{ messageIDs }] })),
  idontwant: idFlood((messageIDs) => ({ idontwant: [{ messageIDs }] })),
  subscriptions: flood(gossipProtocol, () => endless(() => rpcFrame({ subscriptions }))),

  ...Object.fromEntries(
    protocols.map((protocol) => [
      `bytes on ${protocol}`,
      flood(protocol, () => endless(() => new Uint8Array(randomBytes(64 * 1024))))
    ])
  ),

  ...Object.fromEntries(
    protocols.map((protocol) => [
      `an endless length on ${protocol}`,
      flood(protocol, () => endless(() => new Uint8Array(64 * 1024).fill(0xff)))
    ])
  ),

  'muxer pings': muxerFlood((index) => ({ type: 2, flag: 1, stream: 0, length: index })),
  'muxer windows': muxerFlood(() => ({ type: 1, flag: 0, stream: 1, length: 1 })),
  // Opened and reset: odd streams are the dialler's.
  'muxer streams': muxerFlood((index) => ({
    type: 1,
    flag: index % 2 === 0 ? 1 : 8,
    stream: 1001 + 2 * (index >> 1),
    length: 0
  })),

  'bytes before a protocol': beforeProtocol(new Uint8Array(64 * 1024)),
  'an endless length before a protocol': beforeProtocol(new Uint8Array(64 * 1024).fill(0xff)),
  'an endless length before a handshake': halfOpen(new Uint8Array(3 * 2 ** 20).fill(0xff)),
  'an endless length before a handshake, by websocket': async (context) => async () =>
    together(context, async () => {
      const { host, port } = getNetConfig(multiaddr(context.target.ws))
      const socket = new WebSocket(`ws://${host}:${port}`)
      await once(socket, 'open', { signal: context.signal })
      for (let part = 0; part < 48; part++) socket.send(new Uint8Array(64 * 1024).fill(0xff))
      context.onSent(48)
      return await endedBy(
        once(socket, 'close').then(() => undefined),
        context.signal
      )
    }),
  'streams opened and left': openAndLeave(protocols),
  'pings never read': neverRead('/ipfs/ping/1.0.0', () => endless(() => new Uint8Array(32))),
  'gossip never read': neverRead(gossipProtocol, () => [rpcFrame({ subscriptions: [{ subscribe: true, topic }] })]),

  'idle sockets': halfOpen(new Uint8Array()),
  'idle sockets by websocket': halfOpen(new Uint8Array(), { ws: true }),
  'half an HTTP request': halfOpen(text.encode('GET / HTTP/1.1\r\nHost: x\r\n'), { ws: true }),
  'half a multistream': halfOpen(line('/multistream/1.0.0')),
  'half a noise handshake': halfOpen(
    joined(line('/multistream/1.0.0'), line('/noise'), new Uint8Array([0, 32]), new Uint8Array(randomBytes(32)))
  ),
  connections: churn(false, async () => undefined),
  'identities that forge': async (context) => {
    const [record = new Uint8Array()] = sealListings(1)
    const frames = Array.from({ length: 100 }, (_, index) => message(forgedOf(record, index)))
    return churn(false, (hostile, inner) =>
      pourUntilCut(hostile, { protocol: gossipProtocol, frames, context: inner })
    )(context)
  },
  'identities that stay': async (context) => async () =>
    together(context, async (from) => {
      await using hostile = await connectHostile(context.target.tcp, { from, signal: context.signal })
      return await endedBy(hostile.cut, context.signal)
    })
}
