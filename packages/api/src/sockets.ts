import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Authenticator } from './authenticator.ts'
import { describeError, ApiError } from './errors.ts'
import { type FollowInit, startHeartbeat } from './event-stream.ts'
import { type EventLog, parseAfter } from './events.ts'
import { bearerOf, checkCaller } from './guard.ts'
import { closeGraceMs, followerBytesMax, socketMessageBytesMax } from './limits.ts'
import type { Tokens } from './tokens.ts'

/** Events over WebSockets, at `/v1/events` and nowhere else. */
export interface Sockets {
  /** Takes over a connection, or refuses it in plain HTTP. */
  upgrade(request: IncomingMessage, connection: { socket: Duplex; head: Buffer; hosts: readonly string[] }): void
  close(): Promise<void>
}

/**
 * The token comes in the subprotocol (`souk`, `token.…`): a page can set no header on a WebSocket, and a token in the
 * address would stand in logs. The answer names `souk` only.
 */
export function createSockets(
  components: { authenticator: Authenticator; tokens: Tokens; events: EventLog },
  init: { heartbeatMs: number }
): Sockets {
  const { authenticator, tokens, events } = components
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: socketMessageBytesMax,
    handleProtocols: (offered) => (offered.has('souk') ? 'souk' : false)
  })
  const pending = new Set<Duplex>()
  let isClosed = false

  const admit = async (request: IncomingMessage, hosts: readonly string[]): Promise<FollowInit> => {
    checkCaller(request, hosts)
    const url = URL.parse(request.url ?? '', 'http://local')
    if (url?.pathname !== '/v1/events') throw new ApiError('no-route', 'WebSockets are served at /v1/events only')
    const token = tokenOf(request)
    const caller = await authenticator.check(token)
    if (!caller.scopes.includes('read')) throw new ApiError('forbidden', `the token "${caller.name}" lacks read`)
    events.requireRoom()
    const after = parseAfter(url.searchParams.get('after'))
    return { after, heartbeatMs: init.heartbeatMs, recheck: () => tokens.check(token) }
  }

  return {
    upgrade(request, { socket, head, hosts }) {
      if (isClosed) return void socket.destroy()
      pending.add(socket)
      socket.on('error', () => socket.destroy())
      admit(request, hosts)
        .then((follow) => server.handleUpgrade(request, socket, head, (client) => feed(client, events, follow)))
        .catch((error: unknown) => refuse(socket, error))
        .finally(() => pending.delete(socket))
    },
    async close() {
      isClosed = true
      for (const socket of pending) socket.destroy()
      const closed = [...server.clients].map((client) => new Promise((resolve) => void client.once('close', resolve)))
      for (const client of server.clients) client.close(1001, 'the node stops')
      const cut = setTimeout(() => server.clients.forEach((client) => client.terminate()), closeGraceMs)
      await Promise.all(closed)
      clearTimeout(cut)
    }
  }
}

function tokenOf({ headers }: IncomingMessage): string | undefined {
  const offered = headers['sec-websocket-protocol']?.split(/,\s*/) ?? []
  const token = offered.find((name) => name.startsWith('token.'))?.slice('token.'.length)
  return bearerOf(token === undefined ? headers.authorization : `Bearer ${token}`)
}

function feed(client: WebSocket, events: EventLog, init: FollowInit): void {
  const end = (): void => client.close(1008, 'the token is no longer good')
  const heartbeat = startHeartbeat({ ...init, beat: () => client.ping(), end })
  const stop = events.follow(init.after, {
    event: (event) => {
      if (client.bufferedAmount > followerBytesMax) client.terminate()
      else client.send(JSON.stringify(event))
    },
    end: () => undefined
  })
  client.on('error', () => client.terminate())
  client.on('close', () => {
    clearInterval(heartbeat)
    stop()
  })
}

function refuse(socket: Duplex, error: unknown): void {
  const { status, body } = describeError(error)
  const text = JSON.stringify(body)
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(text)}`
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`)
}
