import assert from 'node:assert'
import type { Server, Socket } from 'node:net'
import type { Listener, Transport } from '@libp2p/interface'
import type { tcp } from '@libp2p/tcp'
import { ipPortToMultiaddr } from '@libp2p/utils'
import type { Doorway } from './doorway.ts'

/** A transport as libp2p makes it. */
type Tcp = ReturnType<typeof tcp>

/**
 * TCP that closes a socket as it comes where its address has no room left. libp2p makes a connection of each and asks
 * whether it may stay then, which takes five times as long: longer than it takes to knock again.
 */
export function briskTcp(create: Tcp, doorway: Pick<Doorway, 'turnsAway'>): Tcp {
  return (components) => {
    const transport: Transport = create(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => {
      const listener = createListener(options)
      const server = serverOf(listener)
      const [onSocket, ...others] = server.listeners('connection') as ((socket: Socket) => void)[]
      assert(onSocket !== undefined && others.length === 0, 'the TCP listener takes its sockets elsewhere')
      server.removeAllListeners('connection')
      server.on('connection', (socket) => {
        if (isTurnedAway(socket, doorway)) socket.resetAndDestroy()
        else onSocket.call(server, socket)
      })
      return listener
    }
    return transport
  }
}

/** A socket that has gone already has no address. */
function isTurnedAway({ remoteAddress, remotePort }: Socket, doorway: Pick<Doorway, 'turnsAway'>): boolean {
  if (remoteAddress === undefined || remotePort === undefined) return true
  return doorway.turnsAway(ipPortToMultiaddr(remoteAddress, remotePort))
}

function serverOf(listener: Listener): Server {
  const { server } = listener as Listener & { server?: Server }
  assert(server !== undefined, 'the TCP listener has its server elsewhere')
  return server
}
