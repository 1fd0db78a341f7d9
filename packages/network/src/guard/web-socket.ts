import type { Socket } from 'node:net'
import type { Transport } from '@libp2p/interface'
import { webSockets } from '@libp2p/websockets'
import type { Multiaddr } from '@multiformats/multiaddr'
import { type Threshold, watchSockets } from './sockets.ts'

/** A transport as libp2p makes it. */
type WebSockets = ReturnType<typeof webSockets>

/**
 * WebSockets whose sockets come over a threshold, and that do not wait for ever: libp2p's own hold a socket that says
 * nothing until the process has no more of them, since nobody sees it before it has asked for the upgrade.
 */
export function patientWebSockets(threshold: Threshold): WebSockets {
  const { timeoutMs } = threshold.handshakes
  const create = webSockets({
    http: { headersTimeout: timeoutMs, requestTimeout: timeoutMs, connectionsCheckingInterval: timeoutMs / 3 }
  })
  return (components) => {
    const transport: Transport = create(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => {
      const listener = createListener(options)
      watchSockets(listener, threshold, (socket, address) => limitSocket(socket, address, threshold))
      return listener
    }
    return transport
  }
}

/** False where its address has sockets enough. */
function limitSocket(socket: Socket, address: Multiaddr, { doorway, handshakes }: Threshold): boolean {
  const leave = doorway.admitSocket(address)
  if (leave === undefined) return false
  socket.once('close', leave)
  // Until it has been upgraded, which sets this back.
  socket.setTimeout(handshakes.timeoutMs, () => socket.destroy())
  return true
}
