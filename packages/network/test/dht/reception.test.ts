import type { Connection, Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { silentMs } from '../../src/dht/limits.ts'
import { type AnswerTo, createReception } from '../../src/dht/reception.ts'
import { createPeer } from '../peers.ts'

const protocol = '/test/reception/1'
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const bytesOf = (word: string): Uint8Array => new Uint8Array(Buffer.from(word))
const echo: AnswerTo = async (_, question) => question

afterEach(() => vi.useRealTimers())

/** A connection to somebody who answers so. */
async function connect(answerTo: AnswerTo): Promise<Connection> {
  const [server, client] = await Promise.all([createPeer(), createPeer({ clientMode: true })])
  onTestFinished(async () => void (await Promise.all([server.stop(), client.stop()])))
  await server.handle(protocol, createReception(answerTo))
  return client.dial(server.getMultiaddrs())
}

interface Conversation {
  readonly stream: Stream
  readonly ask: (question: string) => Promise<string>
  readonly read: () => Promise<string>
  /** Resolves with what the other side ended it for. */
  readonly ended: Promise<Error | undefined>
}

async function open(connection: Connection): Promise<Conversation> {
  const stream = await connection.newStream(protocol)
  const frames = lpStream(stream)
  const ended = new Promise<Error | undefined>((resolve) => {
    stream.addEventListener('close', ({ error }) => resolve(error), { once: true })
  })
  const read = async (): Promise<string> => text((await frames.read()).subarray())
  const ask = async (question: string): Promise<string> => {
    await frames.write(bytesOf(question))
    return read()
  }
  return { stream, ask, read, ended }
}

/** With their lengths, each below 128. */
function framed(...questions: readonly string[]): Uint8Array {
  return new Uint8Array(Buffer.concat(questions.flatMap((word) => [Uint8Array.of(word.length), bytesOf(word)])))
}

const words = (count: number): string[] => Array.from({ length: count }, (_, index) => `question ${index}`)

describe('whoever asks on a stream', () => {
  it('is answered in turn for as long as it asks, and hears the end when it has said its own', async () => {
    const { ask, stream, ended } = await open(await connect(echo))
    for (const word of words(20)) expect(await ask(word)).toBe(word)
    await stream.close()
    expect(await ended).toBeUndefined()
  })

  it('is answered in one piece to what it asks in one, in order', async () => {
    const { stream, read } = await open(await connect(echo))
    let pieces = 0
    stream.addEventListener('message', () => pieces++)
    stream.send(framed(...words(100)))
    for (const word of words(100)) expect(await read()).toBe(word)
    expect(pieces).toBe(1)
  })

  it('is answered however its questions are cut, while others are being answered', async () => {
    let [asked, release] = [0, (): void => undefined]
    const first = new Promise<void>((resolve) => (release = resolve))
    const { stream, read } = await open(
      await connect(async (_, question) => {
        asked++
        await first
        return question
      })
    )
    const bytes = framed(...words(50))
    for (let at = 0; at < bytes.length; at += 7) stream.send(bytes.subarray(at, at + 7))
    await vi.waitFor(() => expect(asked).toBe(1))
    release()
    for (const word of words(50)) expect(await read()).toBe(word)
  })

  it('is answered when it has ended its side with the question', async () => {
    const { stream, read, ended } = await open(await connect(echo))
    stream.send(framed('one', 'two'))
    await stream.close()
    expect([await read(), await read()]).toEqual(['one', 'two'])
    expect(await ended).toBeUndefined()
  })

  it('hears nothing where there is nothing to say, and goes on', async () => {
    const { stream, ask } = await open(
      await connect(async (_, question) => (text(question) === 'nothing' ? undefined : question))
    )
    stream.send(framed('nothing'))
    expect(await ask('something')).toBe('something')
  })

  it('has its answers to all that it asked before what ends the stream', async () => {
    const { stream, read, ended } = await open(
      await connect(async (_, question) => {
        if (text(question) === 'bad') throw new Error('not that')
        return question
      })
    )
    stream.send(framed('one', 'two', 'bad', 'three'))
    expect([await read(), await read()]).toEqual(['one', 'two'])
    expect((await ended)?.name).toBe('StreamResetError')
  })

  it('is cut off when its end is within a question', async () => {
    const { stream, ended } = await open(await connect(echo))
    stream.send(framed('whole').subarray(0, 3))
    await stream.close()
    expect((await ended)?.name).toBe('StreamResetError')
  })

  it('is cut off with a length beyond the bound, before anything of it has come', async () => {
    const { stream, ended } = await open(await connect(echo))
    stream.send(Uint8Array.of(0x81, 0x80, 0x08))
    expect((await ended)?.name).toBe('StreamResetError')
  })

  it('has no more answers made than it reads', async () => {
    let answered = 0
    const large = new Uint8Array(60 * 1024)
    const connection = await connect(async (_, question) => {
      answered++
      return text(question) === 'small' ? question : large
    })
    const one = await open(connection)
    one.stream.pause()
    one.stream.send(framed(...words(60)))
    // What is asked later on another stream is answered later.
    const other = await open(connection)
    for (let round = 0; round < 20; round++) expect(await other.ask('small')).toBe('small')
    // A window of 256 KiB, and what is written at once.
    expect(answered - 20).toBeLessThanOrEqual(10)
    one.stream.resume()
    for (const _ of words(60)) expect((await one.read()).length).toBe(large.length)
    expect(answered - 20).toBe(60)
  })

  it('keeps nobody waiting who asks something else', async () => {
    const order: string[] = []
    const work: AnswerTo = async (_, question) => {
      const endMs = performance.now() + 2
      while (performance.now() < endMs);
      order.push(text(question))
      return question
    }
    const connection = await connect(work)
    const [many, one] = [await open(connection), await open(connection)]
    many.stream.send(framed(...words(200)))
    one.stream.send(framed('short'))
    expect(await one.read()).toBe('short')
    expect(order.indexOf('short')).toBeLessThan(100)
  })
})

describe('who says nothing', () => {
  /** libp2p's own timers go on, as fast as any. */
  const fakeTimers = (): unknown =>
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true })

  it('is cut off in time, which begins anew with each answer', async () => {
    const connection = await connect(echo)
    fakeTimers()
    const { ask, ended } = await open(connection)
    for (const word of words(5)) {
      expect(await ask(word)).toBe(word)
      vi.advanceTimersByTime(silentMs / 2)
    }
    expect(await ask('last')).toBe('last')
    vi.advanceTimersByTime(silentMs)
    expect((await ended)?.name).toBe('StreamResetError')
  })

  it('is cut off in time with a part of a question every while', async () => {
    const connection = await connect(echo)
    fakeTimers()
    const { stream, ended } = await open(connection)
    const other = await open(connection)
    stream.send(Uint8Array.of(100))
    // What was sent before on the same connection has come when this is answered.
    expect(await other.ask('there?')).toBe('there?')
    for (let second = 0; second < 5; second++) {
      stream.send(Uint8Array.of(1))
      expect(await other.ask('still there?')).toBe('still there?')
      vi.advanceTimersByTime(1000)
    }
    expect(stream.status).toBe('open')
    vi.advanceTimersByTime(silentMs - 5000)
    expect((await ended)?.name).toBe('StreamResetError')
  })
})
