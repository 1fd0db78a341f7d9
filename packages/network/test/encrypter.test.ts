import { generateKeyPair } from '@libp2p/crypto/keys'
import type { MessageStream, MultiaddrConnection } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { multiaddrConnectionPair } from '@libp2p/utils'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { watchEncrypter } from '../src/guard/encrypter.ts'

describe('an encrypted connection', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
  })

  it.each([1, 3, 40, 1000])('shakes hands in pieces of %i bytes, without an error on the way', async (size) => {
    const errors = countRangeErrors()
    const { from, to } = await securedPair(size)
    const heard = new Promise<number[]>((resolve) => {
      to.addEventListener('message', ({ data }) => resolve([...data.subarray()]), { once: true })
    })
    from.send(new Uint8Array([7]))
    expect(await heard).toEqual([7])
    expect(errors()).toBe(0)
  })

  it('hears what was said in one breath with the end of a handshake, in whatever pieces that comes', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.uint8Array({ minLength: 1, maxLength: 300 }), async (pieces, bytes) => {
        expect(await heardInOneBreath(pieces, bytes)).toEqual([...bytes])
      }),
      { numRuns: 50, examples: [[[Infinity], Uint8Array.of(7, 8)]] }
    )
  })

  it('reads what comes in pieces, and throws no error while it waits for more', async () => {
    const { from, to, cutInto } = await securedPair()
    const heard: number[] = []
    to.addEventListener('message', ({ data }) => heard.push(...data.subarray()))
    const errors = countRangeErrors()
    const message = fc.uint8Array({ minLength: 1, maxLength: 300 })
    const pieces = fc.integer({ min: 1, max: 40 })
    await fc.assert(
      fc.asyncProperty(message, pieces, async (bytes, size) => {
        heard.length = 0
        cutInto(size)
        from.send(bytes)
        await vi.waitUntil(() => heard.length === bytes.length, { interval: 0 })
        expect(heard).toEqual([...bytes])
      }),
      { numRuns: 50 }
    )
    expect(errors()).toBe(0)
  })

  it('writes each message at once, with its length and its tag', async () => {
    const { from, to, writes } = await securedPair()
    let heardBytes = 0
    to.addEventListener('message', ({ data }) => (heardBytes += data.byteLength))
    for (const size of [1, 50, 1100, 5000, 200_000]) {
      heardBytes = writes.length = 0
      from.send(new Uint8Array(size))
      await vi.waitUntil(() => heardBytes === size, { interval: 0 })
      expect(writes).toEqual([1])
    }
  })
})

interface SecuredPair {
  readonly from: MessageStream
  readonly to: MessageStream
  /** What `from` sends arrives in pieces of so many bytes. */
  readonly cutInto: (bytes: number) => void
  /** Of how many parts each thing was that `from` gave to its socket. */
  readonly writes: number[]
}

interface Sender {
  /** Gives to the socket. */
  readonly sendData: (parts: Iterable<Uint8Array>) => unknown
}

/** @param handshakeBytes - What the two say to each other during the handshake arrives in pieces of so many. */
async function securedPair(handshakeBytes = Infinity): Promise<SecuredPair> {
  const [outbound, inbound] = multiaddrConnectionPair({ delay: 0 })
  const send = outbound.send.bind(outbound)
  inbound.send = inPieces(inbound.send.bind(inbound), handshakeBytes)
  outbound.send = inPieces(send, handshakeBytes)
  const [theirs, ours] = await Promise.all([
    (await encrypterFor(inbound)).secureInbound(inbound),
    (await encrypterFor(outbound)).secureOutbound(outbound)
  ])
  const cutInto = (size: number): void => {
    outbound.send = inPieces(send, size)
  }
  cutInto(Infinity)
  const writes: number[] = []
  const { sendData } = outbound as typeof outbound & Sender
  Object.assign(outbound, {
    sendData: (parts: Iterable<Uint8Array>) => {
      writes.push([...parts].length)
      return sendData.call(outbound, parts)
    }
  })
  return { from: ours.connection, to: theirs.connection, cutInto, writes }
}

/** What a responder hears of somebody who sends the end of the handshake and what follows it as one, cut into pieces. */
async function heardInOneBreath(pieces: readonly number[], bytes: Uint8Array): Promise<number[]> {
  const [outbound, inbound] = multiaddrConnectionPair({ delay: 0 })
  inbound.send = inPieces(inbound.send.bind(inbound), ...pieces)
  const send = inPieces(outbound.send.bind(outbound), ...pieces)
  const held: Uint8Array[] = []
  let isBegun = false
  outbound.send = (data) => {
    if (isBegun) held.push(data.subarray().slice())
    else send(data)
    return (isBegun = true)
  }
  const securing = (await encrypterFor(inbound)).secureInbound(inbound)
  const { connection } = await (await encrypterFor(outbound)).secureOutbound(outbound)
  connection.send(bytes)
  send(Buffer.concat(held))
  const { connection: theirs } = await securing
  const heard: number[] = []
  theirs.addEventListener('message', ({ data }) => heard.push(...data.subarray()))
  await vi.waitUntil(() => heard.length >= bytes.length, { interval: 0 })
  return heard
}

/** @param sizes - Of the pieces, one after the other, over and over. */
function inPieces(send: MessageStream['send'], ...sizes: number[]): MessageStream['send'] {
  let piece = 0
  return (data) => {
    const bytes = data.subarray()
    for (let at = 0; at < bytes.length;) {
      const size = sizes[piece++ % sizes.length] ?? Infinity
      send(bytes.subarray(at, at + size))
      at += size
    }
    return true
  }
}

async function encrypterFor({ log }: MultiaddrConnection): Promise<ReturnType<ReturnType<typeof noise>>> {
  const privateKey = await generateKeyPair('Ed25519')
  const upgrader = { getStreamMuxers: () => new Map([['/yamux/1.0.0', {}]]) }
  const logger = { forComponent: () => log }
  return watchEncrypter(noise())({
    privateKey,
    peerId: peerIdFromPrivateKey(privateKey),
    upgrader,
    logger
  } as never) as ReturnType<ReturnType<typeof noise>>
}

/** The error that Noise's own reader throws for a length that is not there yet. */
function countRangeErrors(): () => number {
  const real = RangeError
  let count = 0
  const counting = (message?: string): RangeError => {
    count++
    return new real(message)
  }
  vi.stubGlobal('RangeError', Object.assign(counting, { prototype: real.prototype }))
  return () => count
}
