import type { Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import * as fc from 'fast-check'
import { createLibp2p, type Libp2pInit } from 'libp2p'
import { describe, expect, it } from 'vitest'
import { Agreement } from '../src/guard/agreement.ts'
import { createGuard } from '../src/guard/guard.ts'
import { endUndecided } from '../src/guard/incoming.ts'
import { cut } from './support/pieces.ts'

const echo = '/echo/1'
const held = '/held/1'
const last = 'the end of what is said'

/** What is said before the last word, which is for the protocol once there is one. */
const said = fc.array(
  fc.oneof(
    fc.constantFrom('/multistream/1.0.0\n', 'ls\n', '/nope/1\n', '/multistream/1.0.0 \r\n', ' ls\n', '\n', `${echo}\n`),
    fc.string({ maxLength: 200 }).map((word) => `${word}\n`),
    fc.constant('na\n')
  ),
  { maxLength: 12 }
)
const pieces = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 })

describe('a stream that somebody opens', () => {
  it('is agreed on as libp2p would, whatever is proposed and however it is cut into pieces', async () => {
    await using ours = await startPair({ isGuarded: true })
    await using theirs = await startPair({ isGuarded: false })
    await fc.assert(
      fc.asyncProperty(said, pieces, async (words, sizes) => {
        const bytes = joined([...words.map(framed), framed(`${echo}\n`), text(last)])
        const answers = await Promise.all([ours, theirs].map((pair) => pair.say(cut(bytes, sizes))))
        expect(answers[0]).toEqual(answers[1])
        expect(answers[0]).toMatch(new RegExp(`${last}$`))
      }),
      { numRuns: 60 }
    )
  }, 30_000)

  it('ends with its connection where a line has no end or there is nothing in it', async () => {
    for (const words of [['/multistream/1.0.0'], ['/multistream/1.0.0\n', '']]) {
      await using pair = await startPair({ isGuarded: true })
      const stream = await pair.open()
      const ended = untilClosed(stream)
      stream.send(joined([...words.map(framed), framed(`${echo}\n`), text(last)]))
      await ended
      await expect.poll(() => pair.victim.getConnections()).toEqual([])
    }
  })

  it('is one of as many as its protocol may have', async () => {
    await using pair = await startPair({ isGuarded: true })
    const streams = [await pair.open(), await pair.open(), await pair.open()]
    const ended = streams.map(untilClosed)
    for (const stream of streams) stream.send(framed(`${held}\n`))
    await ended[2]
    expect(streams.map(({ status }) => status)).toEqual(['open', 'open', 'reset'])
  })

  it('ends when its other side says in time neither what it is for nor that it goes', async () => {
    await using pair = await startPair({ isGuarded: true })
    const silent = await pair.open()
    const agreed = await pair.open()
    const answered = untilSaid(agreed, echo)
    agreed.send(framed(`${echo}\n`))
    await answered
    const ended = untilClosed(silent)
    endUndecided(pair.victim.getConnections(), Date.now() + 9_000)
    expect(pair.victim.getConnections().flatMap(({ streams }) => streams)).toHaveLength(2)
    endUndecided(pair.victim.getConnections(), Date.now() + 10_000)
    await ended
    expect(agreed.status).toBe('open')
  })

  it('ends when its other side ends it before it says what it is for', async () => {
    await using pair = await startPair({ isGuarded: true })
    const stream = await pair.open()
    const ended = untilClosed(stream)
    stream.send(framed('/multistream/1.0.0\n').subarray(0, 5))
    await stream.close()
    await ended
    expect(stream.status).toBe('reset')
  })
})

describe('an agreement', () => {
  it('says the same however what it takes is cut, and leaves what follows as it came', () => {
    fc.assert(
      fc.property(said, pieces, (words, sizes) => {
        const bytes = joined([...words.map(framed), framed(`${echo}\n`), text(last)])
        const whole = take([bytes])
        expect(take(cut(bytes, sizes))).toEqual(whole)
        expect(whole.state).toBe('agreed')
        expect(whole.rest.endsWith(last)).toBe(true)
      })
    )
  })

  it('tells lengths, lines without an end, and as many proposals, as nobody sends who wants to agree', () => {
    expect(take([framed(`${'x'.repeat(1023)}\n`)]).state).toBe('waiting')
    expect(take([framed(`${'x'.repeat(1024)}\n`)]).state).toBe('bad')
    expect(take([new Uint8Array([0xff, 0xff])]).state).toBe('bad')
    expect(take([framed('')]).state).toBe('bad')
    expect(take([framed('/multistream/1.0.0')]).state).toBe('bad')
    const proposals = Array.from({ length: 17 }, () => framed('/nope/1\n'))
    expect(take(proposals.slice(1)).state).toBe('waiting')
    expect(take(proposals).state).toBe('bad')
  })
})

function take(parts: readonly Uint8Array[]): { state: string; reply: string; rest: string } {
  const agreement = new Agreement(() => new Set([echo, held]))
  const taken = { state: 'waiting', reply: '', rest: '' }
  for (const part of parts) {
    if (taken.state === 'agreed') taken.rest += words(part)
    if (taken.state !== 'waiting') continue
    const { state, reply } = agreement.take(part)
    taken.state = state
    taken.reply += words(reply ?? new Uint8Array())
    if (state === 'agreed') taken.rest = words(agreement.rest)
  }
  return taken
}

interface Pair extends AsyncDisposable {
  readonly victim: Libp2p
  /** A stream on which nothing has been said. */
  open(): Promise<Stream>
  /** What is answered until the end, of the stream or of what was said, on a stream of its own. */
  say(parts: readonly Uint8Array[]): Promise<string>
}

async function startPair({ isGuarded }: { isGuarded: boolean }): Promise<Pair> {
  const guard = createGuard({ now: Date.now })
  const [victim, other] = await Promise.all([
    startPeer((make) => (isGuarded ? guard.muxer(make) : make)),
    startPeer((make) => make)
  ])
  if (isGuarded) guard.attach(victim)
  await victim.handle(echo, (stream) => stream.addEventListener('message', ({ data }) => void stream.send(data)))
  await victim.handle(held, () => {}, { maxInboundStreams: 2 })
  const told = new Promise((resolve) => victim.addEventListener('connection:open', resolve, { once: true }))
  const connection = await other.dial(victim.getMultiaddrs())
  await told
  const { muxer } = connection as unknown as { muxer: { createStream(): Promise<Stream> } }
  const open = async (): Promise<Stream> => {
    const stream = await muxer.createStream()
    // What waits to be agreed on is not given to whoever listens first.
    stream.protocol = 'raw'
    return stream
  }
  return {
    victim,
    open,
    async say(parts) {
      const stream = await open()
      const answered = untilSaid(stream, last)
      for (const part of parts) {
        if (stream.status === 'open') stream.send(part)
        await new Promise((resolve) => setImmediate(resolve))
      }
      const answer = await answered
      stream.abort(new Error('that was all'))
      return answer
    },
    async [Symbol.asyncDispose]() {
      await other.stop()
      await victim.stop()
    }
  }
}

type Muxers = NonNullable<Libp2pInit['streamMuxers']>[number]

function startPeer(watched: (make: Muxers) => Muxers): Promise<Libp2p> {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [watched(yamux({ enableKeepAlive: false }))],
    connectionMonitor: { enabled: false }
  })
}

/** All that came until there is this at its end, or the stream closes. */
function untilSaid(stream: Stream, end: string): Promise<string> {
  let heard = ''
  return new Promise((resolve) => {
    stream.addEventListener('message', ({ data }) => {
      heard += words(data.subarray())
      if (heard.trimEnd().endsWith(end)) resolve(heard)
    })
    stream.addEventListener('close', () => resolve(heard), { once: true })
  })
}

function untilClosed(stream: Stream): Promise<void> {
  return new Promise((resolve) => stream.addEventListener('close', () => resolve(), { once: true }))
}

function framed(message: string): Uint8Array {
  const bytes = text(message)
  const { length } = bytes
  return joined([
    length < 128 ? new Uint8Array([length]) : new Uint8Array([(length & 0x7f) | 0x80, length >> 7]),
    bytes
  ])
}

function text(message: string): Uint8Array {
  return new TextEncoder().encode(message)
}

/** Byte for byte, whatever they say. */
function words(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
