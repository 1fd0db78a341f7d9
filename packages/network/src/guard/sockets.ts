import assert from 'node:assert'
import type { Server, Socket } from 'node:net'
import type { Listener } from '@libp2p/interface'
import { ipPortToMultiaddr } from '@libp2p/utils'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Doorway } from './doorway.ts'
import type { Entrance } from './entrance.ts'
import type { HandshakeLimits } from './limits.ts'

/** Where sockets are judged and wait. */
export interface Threshold {
  readonly doorway: Pick<Doorway, 'turnsAway' | 'knock' | 'admitSocket'>
  readonly entrance: Pick<Entrance, 'queue'>
  readonly handshakes: Pick<HandshakeLimits, 'timeoutMs'>
}

/**
 * Stands before what a listener does with a socket. One whose address has no room is closed as it comes, before Node has
 * made a socket of it: libp2p makes a connection of each and asks whether it may stay then, which takes longer than it
 * takes to knock again. The others wait for their turn.
 *
 * @param onEnter - Told of a socket whose turn has come; false for one that is not to be taken after all.
 */
export function watchSockets(
  listener: Listener,
  { doorway, entrance }: Threshold,
  onEnter: (socket: Socket, address: Multiaddr) => boolean = () => true
): void {
  const server = serverOf(listener)
  const takers = server.listeners('connection') as ((socket: Socket) => void)[]
  assert(takers.length > 0, 'the listener takes its sockets elsewhere')
  server.removeAllListeners('connection')
  // Node asks this about each that it accepts; its own lists forget nothing.
  Object.assign(server, { blockList: { check: (ip: string) => doorway.turnsAway(ip) } })
  server.on('connection', (socket) => {
    const { remoteAddress, remotePort } = socket
    if (remoteAddress === undefined || remotePort === undefined || doorway.turnsAway(remoteAddress)) {
      socket.resetAndDestroy()
      return
    }
    const waiting = doorway.knock(remoteAddress)
    const address = ipPortToMultiaddr(remoteAddress, remotePort)
    const enter = (): boolean => {
      waiting.leave()
      if (socket.destroyed) return false
      if (!server.listening || !onEnter(socket, address)) {
        socket.destroy()
        return false
      }
      for (const take of takers) take.call(server, socket)
      return true
    }
    if (waiting.block === undefined) return void enter()
    // Nobody else listens for these yet.
    socket.on('error', () => undefined)
    socket.once('close', () => waiting.leave())
    if (!entrance.queue(waiting.block, enter)) socket.resetAndDestroy()
  })
}

function serverOf(listener: Listener): Server {
  const { server } = listener as Listener & { server?: Server }
  assert(server !== undefined, 'the listener has its server elsewhere')
  return server
}
