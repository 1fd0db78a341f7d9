import assert from 'node:assert'
import type { AbortOptions, ConnectionEncrypter, MessageStream, PrivateKey, SecuredConnection } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import { type Cipher, createCipher } from './cipher.ts'
import { negotiation } from './framing.ts'
import { type Agreement, createAgreement, signsOnce } from './handshake.ts'
import { before, framer } from './meter.ts'

/**
 * Noise that also looks at what follows it: where the two sides have not agreed on a multiplexer during the handshake,
 * they do afterwards, by a protocol whose reader does not bound what it reads. And that waits for bytes without an error,
 * and has faster keys, signature and cipher.
 */
export function watchEncrypter<Components extends object>(
  create: (components: Components) => ConnectionEncrypter
): (components: Components) => ConnectionEncrypter {
  return (components) => {
    const encrypter = create(withFastKey(components))
    encryptFaster(encrypter)
    shakeHandsQuietly(encrypter)
    // All but two methods as they are: libp2p finds out by symbols what this is.
    return Object.assign(Object.create(encrypter) as ConnectionEncrypter, {
      secureInbound: async (...args: Parameters<ConnectionEncrypter['secureInbound']>) =>
        watch(await encrypter.secureInbound(...args)),
      secureOutbound: async (...args: Parameters<ConnectionEncrypter['secureOutbound']>) =>
        watch(await encrypter.secureOutbound(...args))
    })
  }
}

function watch<Secured extends SecuredConnection>(secured: Secured): Secured {
  if (secured.streamMuxer === undefined) follow(secured.connection)
  readQuietly(secured.connection)
  writeAtOnce(secured.connection)
  return secured
}

/** The same components, with a key that signs the same thing once. */
function withFastKey<Components extends object>(components: Components): Components {
  const { privateKey } = components as Components & { readonly privateKey?: PrivateKey }
  assert(privateKey !== undefined, 'Noise has the key that it signs with elsewhere')
  return Object.create(components, { privateKey: { value: signsOnce(privateKey) } }) as Components
}

/** A private part of Noise: what it encrypts with, and makes keys and hashes; fails at start if a version moves it. */
function encryptFaster(encrypter: ConnectionEncrypter): void {
  const noise = encrypter as ConnectionEncrypter & { crypto?: Cipher & Partial<Agreement> }
  const { crypto } = noise
  assert(crypto?.encrypt !== undefined && crypto.decrypt !== undefined, 'Noise has its cipher elsewhere')
  assert(crypto.generateKeypair && crypto.dh && crypto.hash, 'Noise agrees on keys elsewhere')
  noise.crypto = { ...crypto, ...createCipher(crypto), ...createAgreement() }
}

/** The length that stands before each message of a handshake, and each piece that Noise encrypts: two bytes, big-endian. */
const lengthBytes = 2

/** What a handshake reads from and writes to: libp2p's `lpStream`. */
interface Framed {
  read(options?: AbortOptions): Promise<Bytes>
  write(message: Sent, options?: AbortOptions): Promise<void>
  /** What was read too much goes back to the connection. */
  unwrap(): MessageStream
}

type Shake = (framed: Framed, ...rest: unknown[]) => Promise<unknown>

/** Private parts of Noise, which has no hook for this; fails at start if a version moves them. */
interface Shaking {
  performHandshakeInitiator?: Shake
  performHandshakeResponder?: Shake
}

/**
 * Noise reads the length before each message of a handshake a byte at a time, and after the first is told by an error,
 * with its stack, that one byte is no length: a twentieth of what a newcomer costs.
 */
function shakeHandsQuietly(encrypter: ConnectionEncrypter): void {
  const noise = encrypter as ConnectionEncrypter & Shaking
  for (const name of ['performHandshakeInitiator', 'performHandshakeResponder'] as const) {
    const shake = noise[name]
    assert(shake !== undefined, 'Noise shakes hands elsewhere')
    noise[name] = async (given, ...rest) => {
      const framed = frame(given.unwrap())
      const shaken = await shake.call(noise, framed, ...rest)
      framed.unwrap()
      return shaken
    }
  }
}

function frame(connection: MessageStream): Framed {
  const stream = byteStream(connection)
  return {
    read: async (options) => {
      const length = await stream.read({ ...options, bytes: lengthBytes })
      return stream.read({ ...options, bytes: length.getUint16(0) })
    },
    write: async (message, options) => {
      const framed = new Uint8Array(lengthBytes + message.byteLength)
      new DataView(framed.buffer).setUint16(0, message.byteLength)
      framed.set(message.subarray(), lengthBytes)
      await stream.write(framed, options)
    },
    unwrap: () => stream.unwrap()
  }
}

/** More than lies there of a piece whose length does not. */
const notYet = 0xffff

type Bytes = Uint8Array | { readonly length: number; getUint16(at: number): number }

/** Private parts of Noise, which has no hook for any of this; fails with the first connection if a version moves them. */
interface NoiseParts {
  readonly decoder?: { lengthDecoder?: (bytes: Bytes) => number }
  encrypt?: (plain: Sent) => Sent
}

/** One array, or a list of them. */
interface Sent {
  readonly byteLength: number
  subarray(): Uint8Array
}

/**
 * Noise tries to read a length with every piece that has come, although nothing may lie behind it, and is told so by an
 * error that it throws and catches, stack and all: a twenty-fifth of what gossip costs.
 */
function readQuietly(connection: MessageStream): void {
  const { decoder } = connection as MessageStream & NoiseParts
  assert(decoder?.lengthDecoder !== undefined, 'Noise reads its lengths elsewhere')
  decoder.lengthDecoder = (bytes) => (bytes.length < lengthBytes ? notYet : lengthIn(bytes))
}

/**
 * Noise gives away a list: a length, what it encrypted, a tag, and so on. A socket writes each part of a list by itself:
 * two system calls and two packets for a frame of gossip, four for each 64 KiB of catch-up. A WebSocket makes a message of
 * each. Copying the parts into one costs a tenth of that.
 */
function writeAtOnce(connection: MessageStream): void {
  const noise = connection as MessageStream & NoiseParts
  const { encrypt } = noise
  assert(encrypt !== undefined, 'Noise encrypts elsewhere')
  noise.encrypt = (plain) => encrypt.call(noise, plain).subarray()
}

function lengthIn(bytes: Bytes): number {
  return bytes instanceof Uint8Array ? (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0) : bytes.getUint16(0)
}

function follow(connection: MessageStream): void {
  const framing = negotiation((protocol) => protocol === '/yamux/1.0.0')
  before(
    connection,
    framer(framing, () => connection.abort(new Error('ended: malformed-length')))
  )
}
