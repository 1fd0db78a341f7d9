import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { afterEach, describe, expect, test } from 'vitest'
import { askExchange, type Answerer, type ExchangeLimits, openGuard, serveExchange } from '../src/exchange.ts'
import { createPeer, type Peer, recordingGuard } from './peers.ts'

const protocol = '/souk/test/1'
const limits: ExchangeLimits = {
  questionBytesMax: 1000,
  answerBytesMax: 100_000,
  timeoutMs: 1500,
  streamsPerConnectionMax: 4,
  concurrencyMax: 6
}
const question = Uint8Array.of(1, 2, 3)

const cleanUp: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const task of cleanUp.splice(0).toReversed()) await task()
})

async function pair(answer: Answerer, guard = openGuard): Promise<{ asker: Peer; answerer: Peer }> {
  const [asker, answerer] = [await createPeer(), await createPeer()]
  await serveExchange({ libp2p: answerer, guard }, { protocol, limits, answer })
  await asker.dial(answerer.getMultiaddrs())
  cleanUp.push(
    async () => asker.stop(),
    async () => answerer.stop()
  )
  return { asker, answerer }
}

const ask = (asker: Peer, answerer: Peer, signal?: AbortSignal): Promise<Uint8Array> =>
  askExchange(asker, answerer.peerId, question, { protocol, limits }, signal && { signal })

const closed = (stream: Stream): Promise<void> =>
  stream.status === 'open' || stream.status === 'closing'
    ? new Promise((resolve) => stream.addEventListener('close', () => resolve(), { once: true }))
    : Promise.resolve()

const openStreams = (peer: Peer): number =>
  peer.getConnections().flatMap(({ streams }) => streams.filter((stream) => stream.protocol === protocol)).length

describe('an exchange', () => {
  test('brings the answer and leaves no stream open', async () => {
    const { asker, answerer } = await pair(async (bytes) => bytes.toReversed())
    const streams: Stream[] = []
    expect(await ask(asker, answerer)).toEqual(Uint8Array.of(3, 2, 1))
    for (const peer of [asker, answerer]) {
      for (const { streams: open } of peer.getConnections()) {
        streams.push(...open.filter((stream) => stream.protocol === protocol))
      }
    }
    await Promise.all(streams.map(closed))
    expect(openStreams(asker) + openStreams(answerer)).toBe(0)
  })

  test('ends in time for an answerer that never answers, and the work is told to stop', async () => {
    const stopped = Promise.withResolvers<void>()
    const { asker, answerer } = await pair((_bytes, { signal }) => {
      signal.addEventListener('abort', () => stopped.resolve())
      return new Promise(() => {})
    })
    await expect(ask(asker, answerer)).rejects.toMatchObject({ code: 'timed-out' })
    await stopped.promise
  })

  test('ends with the reason of the caller who gives up', async () => {
    const { asker, answerer } = await pair(() => new Promise(() => {}))
    const reason = new Error('the user closed the window')
    const controller = new AbortController()
    const asking = ask(asker, answerer, controller.signal)
    controller.abort(reason)
    await expect(asking).rejects.toBe(reason)
  })

  test('refuses a question over its size before sending it, and an answer over its size', async () => {
    const { asker, answerer } = await pair(async () => new Uint8Array(limits.answerBytesMax + 1))
    await expect(ask(asker, answerer)).rejects.toMatchObject({ code: 'too-large' })
    const large = askExchange(asker, answerer.peerId, new Uint8Array(1001), { protocol, limits })
    await expect(large).rejects.toMatchObject({ code: 'too-large' })
  })

  test('cuts streams that are opened and left, that drip, and that nobody reads; others are answered meanwhile', async () => {
    const { asker, answerer } = await pair(async () => new Uint8Array(limits.answerBytesMax))
    const [left, dripping, unread] = await Promise.all(
      Array.from({ length: 3 }, () => asker.dialProtocol(answerer.peerId, protocol))
    )
    dripping!.send(Uint8Array.of(200))
    const drip = setInterval(() => dripping!.status === 'open' && dripping!.send(Uint8Array.of(0)), 50)
    await lpStream(unread!).write(question)
    unread!.pause()
    expect((await ask(asker, answerer)).length).toBe(limits.answerBytesMax)
    await Promise.all([left!, dripping!].map(closed))
    clearInterval(drip)
    expect((await ask(asker, answerer)).length).toBe(limits.answerBytesMax)
  })

  test('breaks off at once, and is no offence, when either side goes before it has said what it had to', async () => {
    const punished: string[] = []
    const guard = { ...openGuard, punish: (_peer: unknown, code: string) => void punished.push(code) }
    const { asker, answerer } = await pair(() => Promise.reject(new Error('not today')), guard)
    await expect(ask(asker, answerer)).rejects.toMatchObject({ code: 'stream-broken' })
    const stream = await asker.dialProtocol(answerer.peerId, protocol)
    const ended = closed(stream)
    stream.send(Uint8Array.of(100, 1, 2, 3))
    const startMs = performance.now()
    await stream.close()
    await ended
    expect(performance.now() - startMs).toBeLessThan(limits.timeoutMs / 2)
    expect(punished).toEqual([])
  })

  test('hears no more questions of one block of addresses at once than half, and all later ones', async () => {
    const release = Promise.withResolvers<void>()
    let [running, most, refused] = [0, 0, 0]
    const releaseWhenFull = (): void => {
      if (refused === 9 && running === 3) release.resolve()
    }
    const { answerer } = await pair(async () => {
      most = Math.max(most, ++running)
      releaseWhenFull()
      await release.promise
      running--
      return question
    })
    const askers = await Promise.all(Array.from({ length: 3 }, () => createPeer()))
    cleanUp.push(() => Promise.all(askers.map(async (asker) => asker.stop())))
    for (const asker of askers) await asker.dial(answerer.getMultiaddrs())
    const questions = askers.flatMap((asker) => Array.from({ length: 4 }, () => ask(asker, answerer)))
    const outcomes = questions.map((asked) =>
      asked.catch(() => {
        refused++
        releaseWhenFull()
      })
    )
    await Promise.all(outcomes)
    expect(refused).toBe(9)
    expect(most).toBe(3)
    expect(await ask(askers[0]!, answerer)).toEqual(question)
  })

  test('is not kept from anybody by streams that are opened and left, or never read', async () => {
    const { asker, answerer } = await pair(async () => new Uint8Array(limits.answerBytesMax))
    const hostile = await Promise.all(Array.from({ length: 6 }, () => createPeer()))
    cleanUp.push(() => Promise.all(hostile.map(async (one) => one.stop())))
    for (const [index, one] of hostile.entries()) {
      await one.dial(answerer.getMultiaddrs())
      const streams = await Promise.all([1, 2, 3, 4].map(() => one.dialProtocol(answerer.peerId, protocol)))
      if (index % 2 === 0) for (const stream of streams) await lpStream(stream).write(question)
      for (const stream of streams) stream.pause()
    }
    for (let index = 0; index < 10; index++) {
      expect((await ask(asker, answerer)).length).toBe(limits.answerBytesMax)
    }
  })

  test('costs who asks: a stream and its kilobytes', async () => {
    const costs: number[] = []
    const guard = recordingGuard((_peer, _protocol, cost) => {
      costs.push(cost)
      return true
    })
    const { asker, answerer } = await pair(async () => question, guard)
    await askExchange(asker, answerer.peerId, new Uint8Array(512), { protocol, limits })
    expect(costs).toEqual([1, 0.5])
  })
})
