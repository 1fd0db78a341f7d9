import type { Stream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import { multiaddrConnectionPair } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { describe, expect, it, test } from 'vitest'
import { trifleWeight, unsentBytesDefault } from '../src/guard/limits.ts'
import { type MuxerSink, watchMuxer } from '../src/guard/muxer.ts'

const messageBytes = 1000

describe('a multiplexer', () => {
  it('opens a window again by parts, not after each frame', async () => {
    const { from, to, small } = await openStream()
    const arrived = untilArrived(to, 500 * messageBytes)
    for (let count = 0; count < 500; count++) await send(from, new Uint8Array(messageBytes))
    await arrived
    // One for each quarter of 256 KiB, and what opens a stream.
    expect(small()).toBeGreaterThan(5)
    expect(small()).toBeLessThan(12)
  })

  it('lets through more than a window holds, also to a reader that makes pauses', async () => {
    const { from, to } = await openStream()
    const bytes = 3 * 2 ** 20
    const arrived = untilArrived(to, bytes, { pauseEveryBytes: 300_000 })
    for (let sent = 0; sent < bytes; sent += 2 ** 16) await send(from, new Uint8Array(2 ** 16))
    expect(await arrived).toBe(bytes)
  })

  it('understands one that nobody watches, and is understood', async () => {
    const { from, to } = await openStream({ theirs: yamux({ enableKeepAlive: false }) })
    const bytes = 2 ** 20
    for (const [one, other] of [
      [from, to],
      [to, from]
    ] as const) {
      const arrived = untilArrived(other, bytes)
      for (let sent = 0; sent < bytes; sent += 2 ** 16) await send(one, new Uint8Array(2 ** 16))
      expect(await arrived).toBe(bytes)
    }
    const ended = once(to, 'remoteCloseWrite')
    await from.close()
    await ended
    const closed = once(from, 'close')
    await to.close()
    await closed
    expect([from.status, to.status]).toEqual(['closed', 'closed'])
  })
})

it('breaks a connection when more waits than it is told, of what the other side does not read', () => {
  const [outbound, inbound] = multiaddrConnectionPair({ delay: 0 })
  const sink = { ...sinkOf(() => {}), unsentBytesMax: 2 ** 16 }
  watchMuxer(yamux(), sink)({ logger: { forComponent: () => outbound.log } }).createStreamMuxer(outbound)
  inbound.pause()
  for (let sent = 0; outbound.status === 'open' && sent < 2 ** 20; sent += 2 ** 12)
    outbound.send(new Uint8Array(2 ** 12))
  expect(outbound.status).toBe('aborted')
})

function once(stream: Stream, event: 'close' | 'remoteCloseWrite'): Promise<unknown> {
  return new Promise((resolve) => {
    stream.addEventListener(event, resolve, { once: true })
  })
}

test('a window opened by next to nothing weighs as much as some frames, one that a reader opens as one', async () => {
  const [outbound, inbound] = multiaddrConnectionPair({ delay: 0 })
  const weights: number[] = []
  const enough = new Promise<void>((resolve) => {
    const sink = {
      ...sinkOf(() => {}),
      onSmallFrame: (_muxer: StreamMuxer, weight: number) => weights.push(weight) === 3 && resolve()
    }
    const muxers = watchMuxer(yamux({ enableKeepAlive: false }), sink)
    muxers({ logger: { forComponent: () => outbound.log } }).createStreamMuxer(inbound)
  })
  const window = (flag: number, bytes: number): Uint8Array => {
    const head = Buffer.alloc(12)
    head.writeUInt8(1, 1)
    head.writeUInt16BE(flag, 2)
    head.writeUInt32BE(1, 4)
    head.writeUInt32BE(bytes, 8)
    return head
  }
  // Opening the stream, by little and by much.
  for (const frame of [window(1, 0), window(0, 1), window(0, 65_536)]) outbound.send(frame)
  await enough
  expect(weights).toEqual([1, trifleWeight, 1])
})

/** A stream between two muxers, of which the one that opens it is watched. */
async function openStream({ theirs: factory = watched(() => {}) }: { theirs?: Muxers } = {}): Promise<{
  from: Stream
  to: Stream
  small: () => number
}> {
  const [outbound, inbound] = multiaddrConnectionPair({ delay: 0 })
  let frames = 0
  const create = (make: Muxers, connection: typeof outbound): StreamMuxer =>
    make({ logger: { forComponent: () => outbound.log } }).createStreamMuxer(connection)
  const theirs = create(factory, inbound)
  const came = new Promise<Stream>((resolve) => {
    theirs.addEventListener('stream', ({ detail }) => resolve(detail), { once: true })
  })
  const from = await create(
    watched(() => frames++),
    outbound
  ).createStream()
  return { from, to: await came, small: () => frames }
}

type Muxers = (components: object) => StreamMuxerFactory

function watched(onSmallFrame: () => void): Muxers {
  return watchMuxer(yamux({ enableKeepAlive: false }), sinkOf(onSmallFrame))
}

function sinkOf(onSmallFrame: () => void): MuxerSink {
  const nothing = (): void => {}
  return {
    unsentBytesMax: unsentBytesDefault,
    onMuxer: nothing,
    onSmallFrame,
    onPing: nothing,
    onOpen: nothing,
    onUnused: nothing,
    onStray: nothing,
    onBadLength: nothing,
    isSpoken: () => true,
    takes: () => false
  }
}

async function send(stream: Stream, bytes: Uint8Array): Promise<void> {
  // What is sent before the protocol is agreed on would be taken for that.
  stream.protocol = '/test/1'
  if (stream.send(bytes)) return
  await new Promise((resolve) => {
    stream.addEventListener('drain', resolve, { once: true })
  })
}

function untilArrived(stream: Stream, bytes: number, { pauseEveryBytes = Infinity } = {}): Promise<number> {
  let [arrived, paused] = [0, 0]
  stream.protocol = '/test/1'
  return new Promise((resolve) => {
    stream.addEventListener('message', ({ data }) => {
      arrived += data.byteLength
      if (arrived >= bytes) resolve(arrived)
      else if (arrived - paused >= pauseEveryBytes) {
        paused = arrived
        stream.pause()
        setImmediate(() => stream.resume())
      }
    })
  })
}
