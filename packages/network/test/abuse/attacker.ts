import type { Socket } from 'node:net'
import type { Connection, Libp2p, MessageStream, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp, type TCPSocketOptions } from '@libp2p/tcp'
import { lpStream } from '@libp2p/utils'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

/** A new identity with libp2p's transports and nothing that would keep it honest. */
export interface Attacker extends AsyncDisposable {
  readonly libp2p: Libp2p
  /** Where it comes from, as the victim sees it: all of 127.0.0.0/8 is this machine. */
  dial(target: string): Promise<Connection>
}

export interface AttackerInit {
  readonly from?: string
  readonly encrypter?: ReturnType<typeof noise>
}

export async function createAttacker({
  from = '127.0.0.1',
  encrypter = noise()
}: AttackerInit = {}): Promise<Attacker> {
  const libp2p = await createLibp2p({
    transports: [tcp({ dialOpts: { localAddress: from } as TCPSocketOptions })],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux({ enableKeepAlive: false })],
    connectionMonitor: { enabled: false }
  })
  return {
    libp2p,
    dial: (target) => libp2p.dial(multiaddr(target)),
    [Symbol.asyncDispose]: async () => libp2p.stop()
  }
}

/** Noise that keeps the end of its handshake to itself, and all that is said after it, until somebody says `release`. */
export function heldNoise(): { readonly encrypter: ReturnType<typeof noise>; readonly release: () => void } {
  const create = noise()
  let socket: Socket | undefined
  const hold = (connection: MessageStream & { readonly socket?: Socket }): void => {
    const send = connection.send.bind(connection)
    connection.send = (data) => {
      const more = send(data)
      // What is written already, the beginning of the handshake, goes out all the same.
      socket = connection.socket
      socket?.cork()
      return more
    }
  }
  return {
    encrypter: (components) => {
      const encrypter = create(components)
      const secure = encrypter.secureOutbound.bind(encrypter)
      return Object.assign(encrypter, {
        secureOutbound: (...args: Parameters<typeof secure>) => {
          hold(args[0])
          return secure(...args)
        }
      })
    },
    release: () => {
      while (socket !== undefined && socket.writableCorked > 0) socket.uncork()
    }
  }
}

/** Questions and answers of a protocol that has them in turn, each with its length before it. */
export interface Talk {
  readonly stream: Stream
  /** The victim's answer; undefined when it ended the stream instead. */
  ask(question: Uint8Array): Promise<Uint8Array | undefined>
}

/** Undefined when the victim takes no more streams. */
export async function openTalk(connection: Connection, protocol: string): Promise<Talk | undefined> {
  try {
    const stream = await connection.newStream(protocol)
    const frames = lpStream(stream)
    return {
      stream,
      async ask(question) {
        try {
          await frames.write(question)
          return (await frames.read({ signal: AbortSignal.timeout(10_000) })).subarray()
        } catch {
          stream.abort(new Error('no answer'))
          return undefined
        }
      }
    }
  } catch {
    return undefined
  }
}
