import type { Libp2p, Stream } from '@libp2p/interface'
import { describe, expect, test } from 'vitest'
import { blockProtocol, cidOf } from '../src/index.ts'
import { address, photograph, startLiar, startLibp2p, startNode } from './nodes.ts'

const wanted = new Uint8Array(50_000).fill(7)
const wantedCid = cidOf(wanted)

function answer(status: number, length: number, block: Uint8Array = new Uint8Array()): Uint8Array {
  const frame = new Uint8Array(5 + block.length)
  frame[0] = status
  new DataView(frame.buffer).setUint32(1, length)
  frame.set(block, 5)
  return frame
}

/** Sends and ends its side, as an honest server does. */
async function send(stream: Stream, ...frames: Uint8Array[]): Promise<void> {
  for (const frame of frames) stream.send(frame)
  await stream.close()
}

/** The code of every failure behind a `not-found`. */
async function failuresOf(got: Promise<unknown>): Promise<string[]> {
  const codes: string[] = []
  const walk = (error: unknown): void => {
    if (!(error instanceof Error)) return
    if ('code' in error && typeof error.code === 'string') codes.push(error.code)
    walk(error.cause)
    if ('errors' in error && Array.isArray(error.errors)) for (const inner of error.errors) walk(inner)
  }
  await got.catch(walk)
  return codes
}

/** Every block stream that a node has open. */
function blockStreams(libp2p: Libp2p): Stream[] {
  return libp2p.getConnections().flatMap(({ streams }) => streams.filter(({ protocol }) => protocol === blockProtocol))
}

describe('a lying answerer', () => {
  test.each<[string, string, (stream: Stream) => Promise<void>]>([
    ['wrong bytes', 'block-wrong-hash', (stream) => send(stream, answer(0, 50_000, new Uint8Array(50_000)))],
    ['more than asked for', 'block-oversize', (stream) => send(stream, answer(0, 0xffff_ffff))],
    ['no bytes', 'block-malformed', (stream) => send(stream, answer(0, 0))],
    ['an unknown status', 'block-malformed', (stream) => send(stream, answer(9, 0))],
    ['a refusal with a body', 'block-malformed', (stream) => send(stream, answer(1, 4, new Uint8Array(4)))],
    ['bytes after the block', 'block-trailing', (stream) => send(stream, answer(0, 50_000, new Uint8Array(50_001)))],
    ['an early end', 'block-truncated', (stream) => send(stream, answer(0, 50_000, wanted.subarray(0, 49_999)))],
    ['an empty answer', 'block-truncated', (stream) => send(stream)]
  ])('%s is blamed, and the next provider is asked', async (_, code, behave) => {
    const liar = await startLiar(behave)
    const honest = await startLiar((stream) => send(stream, answer(0, wanted.length), wanted))
    await using node = await startNode()
    const bytes = await node.images.get(wantedCid, { providers: [address(liar), address(honest)] })
    expect(bytes).toEqual(wanted)
    expect(node.blamed).toEqual([{ peer: liar.peerId.toString(), code }])
    await liar.stop()
    await honest.stop()
  })

  test.each<[string, string[], (stream: Stream) => void | Promise<void>]>([
    ['not held', ['block-refused'], (stream) => send(stream, answer(1, 0))],
    ['too large', ['block-refused'], (stream) => send(stream, answer(2, 0))],
    ['busy', ['block-busy'], (stream) => send(stream, answer(3, 0))],
    ['a reset', [], (stream) => stream.abort(new Error('gone'))]
  ])('%s is nobody’s fault', async (_, codes, behave) => {
    const peer = await startLiar(behave)
    await using node = await startNode()
    const failures = await failuresOf(node.images.get(wantedCid, { providers: [address(peer)] }))
    expect(failures).toEqual(['not-found', ...codes])
    expect(node.blamed).toEqual([])
    await peer.stop()
  })

  test('a connection lost in the middle of a block is nobody’s fault', async () => {
    const peer = await startLiar(async (stream) => {
      stream.send(answer(0, wanted.length, wanted.subarray(0, 1000)))
      await peer.stop()
    })
    await using node = await startNode()
    expect(await failuresOf(node.images.get(wantedCid, { providers: [address(peer)] }))).toEqual(['not-found'])
    expect(node.blamed).toEqual([])
  })

  test('one that says nothing is left after its time, and its stream is reset', async () => {
    const silent = await startLiar(() => undefined)
    const honest = await startLiar((stream) => send(stream, answer(0, wanted.length, wanted)))
    await using node = await startNode({ providerTimeoutMs: 300 })
    const bytes = await node.images.get(wantedCid, { providers: [address(silent), address(honest)] })
    expect(bytes).toEqual(wanted)
    await expect.poll(() => blockStreams(node.libp2p)).toEqual([])
    await expect.poll(() => blockStreams(silent)).toEqual([])
    await silent.stop()
    await honest.stop()
  })

  test('one that drips is left after its time too', async () => {
    const dripping = await startLiar(async (stream) => {
      stream.send(answer(0, wanted.length))
      const drip = setInterval(() => (stream.status === 'open' ? stream.send(new Uint8Array(1)) : undefined), 20)
      stream.addEventListener('close', () => clearInterval(drip))
    })
    await using node = await startNode({ providerTimeoutMs: 300 })
    const got = node.images.get(wantedCid, { providers: [address(dripping)] })
    await expect(got).rejects.toMatchObject({ code: 'not-found' })
    await expect.poll(() => blockStreams(node.libp2p)).toEqual([])
    await dripping.stop()
  })

  test('an abort ends the wait with the caller’s reason and leaves no stream', async () => {
    const controller = new AbortController()
    const silent = await startLiar(() => controller.abort(new Error('page closed')))
    await using node = await startNode()
    const got = node.images.get(wantedCid, { providers: [address(silent)], signal: controller.signal })
    await expect(got).rejects.toThrow('page closed')
    await expect.poll(() => blockStreams(node.libp2p)).toEqual([])
    await silent.stop()
  })

  test('who joins another’s fetch survives that one’s abort', async () => {
    const controller = new AbortController()
    const isAsked = Promise.withResolvers<void>()
    let asked = 0
    const peer = await startLiar(async (stream) => {
      if (++asked === 1) isAsked.resolve()
      else await send(stream, answer(0, wanted.length, wanted))
    })
    await using node = await startNode()
    const providers = [address(peer)]
    const first = node.images.get(wantedCid, { providers, signal: controller.signal })
    await isAsked.promise
    const second = node.images.get(wantedCid, { providers })
    controller.abort(new Error('page closed'))
    await expect(first).rejects.toThrow('page closed')
    expect(await second).toEqual(wanted)
    await peer.stop()
  })

  test('at most eight questions are in flight', async () => {
    let open = 0
    let most = 0
    const release = Promise.withResolvers<void>()
    const peer = await startLiar(async (stream) => {
      most = Math.max(most, ++open)
      if (open === 8) release.resolve()
      await release.promise
      await new Promise((resolve) => setImmediate(resolve))
      open--
      await send(stream, answer(1, 0))
    })
    await using node = await startNode()
    const cids = Array.from({ length: 40 }, (_, at) => cidOf(new Uint8Array([at])))
    const results = await Promise.allSettled(cids.map((cid) => node.images.get(cid, { providers: [address(peer)] })))
    expect(results.every(({ status }) => status === 'rejected')).toBe(true)
    expect(most).toBe(8)
    await peer.stop()
  })
})

/** A node with images, and a bare peer that is connected to it. */
async function connected(init: Parameters<typeof startNode>[0] = {}) {
  const node = await startNode(init)
  const asker = await startLibp2p()
  const connection = await asker.dial(address(node.libp2p))
  /** Sends frames, ends its side, and returns all that comes back. */
  const ask = async (...frames: Uint8Array[]): Promise<Uint8Array> => {
    const stream = await connection.newStream(blockProtocol)
    for (const frame of frames) stream.send(frame)
    const parts: Uint8Array[] = []
    const reading = (async () => {
      for await (const chunk of stream) parts.push(chunk.subarray())
    })()
    await stream.close()
    await reading
    return new Uint8Array(Buffer.concat(parts))
  }
  return {
    node,
    asker,
    connection,
    ask,
    async [Symbol.asyncDispose]() {
      await asker.stop()
      await node[Symbol.asyncDispose]()
    }
  }
}

function question(cid: { bytes: Uint8Array }, bytesMax = 1_048_576): Uint8Array {
  const frame = new Uint8Array(40)
  frame.set(cid.bytes)
  new DataView(frame.buffer).setUint32(36, bytesMax)
  return frame
}

describe('an asker', () => {
  test('gets a public image in exactly the bytes of the specification', async () => {
    await using pair = await connected()
    const { image } = await pair.node.images.add(await photograph(), { owner: 'listing/a' })
    const bytes = await pair.ask(question(image.cid))
    expect([...bytes.subarray(0, 5)]).toEqual([...answer(0, image.bytes)])
    expect(cidOf(bytes.subarray(5)).equals(image.cid)).toBe(true)
    expect([...(await pair.ask(question(image.cid, image.bytes - 1)))]).toEqual([2, 0, 0, 0, 0])
    expect([...(await pair.ask(question(wantedCid)))]).toEqual([1, 0, 0, 0, 0])
    const split = question(image.cid)
    expect((await pair.ask(split.subarray(0, 1), split.subarray(1, 39), split.subarray(39))).length).toBe(bytes.length)
  })

  const cidV0Prefix = question({ bytes: new Uint8Array([0x12, 0x20, ...new Uint8Array(34)]) })
  const dagPb = question(wantedCid)
  dagPb[1] = 0x70

  test.each([
    ['too short', new Uint8Array(39)],
    ['too long', new Uint8Array(41)],
    ['empty', new Uint8Array()],
    ['of another version', cidV0Prefix],
    ['of another codec', dagPb]
  ])('with a question %s is reset and blamed', async (_, frame) => {
    await using pair = await connected()
    const stream = await pair.connection.newStream(blockProtocol)
    const closed = new Promise<string>((resolve) => {
      stream.addEventListener('close', () => resolve(stream.status), { once: true })
    })
    if (frame.length > 0) stream.send(frame)
    await stream.close().catch(() => undefined)
    await closed
    const blame = { peer: pair.asker.peerId.toString(), code: 'block-request-malformed' }
    await expect.poll(() => pair.node.blamed).toEqual([blame])
  })

  test('who takes too much is told to wait, and others are not', async () => {
    await using pair = await connected({ peerBurstBytes: 100_000, now: () => 1_800_000_000_000 })
    const asked: number[] = []
    for (let at = 0; at < 8; at++) asked.push((await pair.ask(question(wantedCid)))[0]!)
    expect(asked).toEqual([1, 1, 1, 1, 1, 1, 3, 3])
    const other = await startNode()
    const { image } = await pair.node.images.add(await photograph({ width: 300, height: 200 }), { owner: 'a' })
    const bytes = await other.images.get(image.cid, { providers: [address(pair.node.libp2p)] })
    expect(bytes.length).toBe(image.bytes)
    await other[Symbol.asyncDispose]()
  })

  test('who asks nothing, or never ends its side, is reset in time', async () => {
    await using pair = await connected({ serveTimeoutMs: 300 })
    const idle = await pair.connection.newStream(blockProtocol)
    const open = await pair.connection.newStream(blockProtocol)
    open.send(question(wantedCid))
    await expect.poll(() => [idle.status, open.status], { timeout: 5000 }).toEqual(['reset', 'reset'])
    await expect.poll(() => blockStreams(pair.node.libp2p)).toEqual([])
    expect(pair.node.blamed).toEqual([])
  })

  test('opens no more than eight streams on a connection', async () => {
    await using pair = await connected()
    const streams = await Promise.all(Array.from({ length: 20 }, () => pair.connection.newStream(blockProtocol)))
    const open = (): number => streams.filter(({ status }) => status === 'open').length
    await expect.poll(open).toBe(8)
    expect(blockStreams(pair.node.libp2p)).toHaveLength(8)
  })
})
