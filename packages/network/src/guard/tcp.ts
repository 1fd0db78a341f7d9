import type { Transport } from '@libp2p/interface'
import type { tcp } from '@libp2p/tcp'
import { type Threshold, watchSockets } from './sockets.ts'

/** A transport as libp2p makes it. */
type Tcp = ReturnType<typeof tcp>

/** TCP whose sockets come over a threshold. */
export function watchedTcp(create: Tcp, threshold: Threshold): Tcp {
  return (components) => {
    const transport: Transport = create(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = (options) => {
      const listener = createListener(options)
      watchSockets(listener, threshold)
      return listener
    }
    return transport
  }
}
