import type { Connection, Libp2p, Stream } from '@libp2p/interface'
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

export async function createAttacker({ from = '127.0.0.1' }: { from?: string } = {}): Promise<Attacker> {
  const libp2p = await createLibp2p({
    transports: [tcp({ dialOpts: { localAddress: from } as TCPSocketOptions })],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ enableKeepAlive: false })],
    connectionMonitor: { enabled: false }
  })
  return {
    libp2p,
    dial: (target) => libp2p.dial(multiaddr(target)),
    [Symbol.asyncDispose]: async () => libp2p.stop()
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
