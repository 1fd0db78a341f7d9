import type { ConnectionEncrypter, MessageStream, SecuredConnection } from '@libp2p/interface'
import { negotiation } from './framing.ts'
import { before, framer } from './meter.ts'

/**
 * Noise that also looks at what follows it: where the two sides have not agreed on a multiplexer during the handshake,
 * they do afterwards, by a protocol whose reader does not bound what it reads.
 */
export function watchEncrypter<Components>(
  create: (components: Components) => ConnectionEncrypter
): (components: Components) => ConnectionEncrypter {
  return (components) => {
    const encrypter = create(components)
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
  return secured
}

function follow(connection: MessageStream): void {
  const framing = negotiation((protocol) => protocol === '/yamux/1.0.0')
  before(
    connection,
    framer(framing, () => connection.abort(new Error('ended: malformed-length')))
  )
}
