import assert from 'node:assert'
import type { Server, Socket } from 'node:net'
import type { Listener, Transport } from '@libp2p/interface'
import { ipPortToMultiaddr } from '@libp2p/utils'
import { webSockets } from '@libp2p/websockets'
import type { Doorway } from './doorway.ts'
import { inboundUpgradeTimeoutMs } from './limits.ts'

/** A transport as libp2p makes it. */
type WebSockets = ReturnType<typeof webSockets>

/**
 * WebSockets that do not wait for ever: libp2p's own hold a socket that says nothing until the process has no more of
 * them, since nobody sees it before it has asked for the upgrade.
 */
export function patientWebSockets(doorway: Pick<Doorway, 'admitSocket'>): WebSockets {
  const create = webSockets({
    http: {
      headersTimeout: inboundUpgradeTimeoutMs,
      requestTimeout: inboundUpgradeTimeoutMs,
      connectionsCheckingInterval: inboundUpgradeTimeoutMs / 3
    }
  })
  return (components) => {
    const transport: Transport = create(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => {
      const listener = createListener(options)
      serverOf(listener).prependListener('connection', (socket) => limitSocket(socket, doorway))
      return listener
    }
    return transport
  }
}

function limitSocket(socket: Socket, doorway: Pick<Doorway, 'admitSocket'>): void {
  const { remoteAddress, remotePort } = socket
  const leave =
    remoteAddress && remotePort ? doorway.admitSocket(ipPortToMultiaddr(remoteAddress, remotePort)) : undefined
  if (leave === undefined) {
    socket.destroy()
    return
  }
  socket.once('close', leave)
  // Until it has been upgraded, which sets this back.
  socket.setTimeout(inboundUpgradeTimeoutMs, () => socket.destroy())
}

function serverOf(listener: Listener): Server {
  const { server } = listener as Listener & { server?: Server }
  assert(server !== undefined, 'the WebSocket listener has its server elsewhere')
  return server
}
