import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { SoukNode } from '@souk/node'
import { createApp } from './app.ts'
import { createAuthenticator } from './authenticator.ts'
import { scopes } from './contract.ts'
import { ApiError, describeError } from './errors.ts'
import { createEventLog } from './events.ts'
import { createFileReader } from './files.ts'
import { securityHeaders } from './guard.ts'
import { createHandlers } from './handlers.ts'
import * as limits from './limits.ts'
import { closeListener, listenOnLoopback, listenOnSocket } from './listener.ts'
import { createSockets, type Sockets } from './sockets.ts'
import type { Tokens } from './tokens.ts'

/** How the server is reached. */
export interface ApiServerInit {
  /** A loopback address. Default: 127.0.0.1. */
  readonly host?: string
  /** Default: 0, any free one. */
  readonly port?: number
  /** A Unix socket beside it, in a folder that only its owner may enter. */
  readonly socketPath?: string
  /** A built user interface to serve. */
  readonly staticDirectory?: string
  readonly now?: () => number
  /** Gets our own mistakes. */
  readonly onError?: (error: unknown) => void
  /** Default: 30 s for a whole request to arrive. */
  readonly requestTimeoutMs?: number
  /** Default: 25 s between signs of life of an event stream, when its token is looked at again too. */
  readonly heartbeatMs?: number
}

/** A running server. */
export interface ApiServer extends AsyncDisposable {
  /** `http://127.0.0.1:4810` */
  readonly url: string
  readonly socketPath: string | undefined
  /** An address that opens the user interface once, within a minute; the code is in the fragment, which is never sent. */
  createUrl(): string
}

/**
 * Serves a node's API on loopback and, if asked, a Unix socket. Both want a token: the socket's folder keeps other
 * users out, the token keeps other programs of this user from spending by accident.
 *
 * @throws {@link ApiError} `remote-bind-refused` for any host but loopback, `open-socket-folder`.
 */
export async function createApiServer(
  components: { node: SoukNode; tokens: Tokens },
  init: ApiServerInit = {}
): Promise<ApiServer> {
  const { now = Date.now, onError = () => undefined, heartbeatMs = limits.heartbeatMs, socketPath } = init
  const { node, tokens } = components
  await using starting = new AsyncDisposableStack()

  const stopped = new AbortController()
  starting.defer(() => stopped.abort())
  const run = randomBytes(6).toString('base64url')
  const events = createEventLog({ events: node.events({ signal: stopped.signal }) }, { run, onError })
  const authenticator = createAuthenticator({ tokens }, { now })
  const files = init.staticDirectory === undefined ? undefined : createFileReader(init.staticDirectory)
  const handlers = createHandlers(node)
  const app = createApp({ handlers, authenticator, tokens, events }, { heartbeatMs, onError, files })
  const sockets = createSockets({ authenticator, tokens, events }, { heartbeatMs })
  const serve = { app, sockets, requestTimeoutMs: init.requestTimeoutMs ?? limits.requestTimeoutMs }

  const http = createListener(serve)
  starting.defer(() => closeListener(http.server))
  http.hosts.push(...(await listenOnLoopback(http.server, { host: init.host ?? '127.0.0.1', port: init.port ?? 0 })))
  if (socketPath !== undefined) {
    const unix = createListener(serve)
    starting.defer(() => closeListener(unix.server))
    unix.hosts.push('souk.socket')
    await listenOnSocket(unix.server, socketPath)
  }
  // Streams end first: a listener closes when its last connection has.
  starting.defer(() => sockets.close())
  starting.defer(() => events.close())

  const url = `http://${http.hosts[0]}`
  const started = starting.move()
  return {
    url,
    socketPath,
    createUrl: () => `${url}/#code=${tokens.createCode(scopes)}`,
    [Symbol.asyncDispose]: () => started.disposeAsync()
  }
}

/** One listener: the names under which it answers are known once it listens. */
function createListener(init: { app: ReturnType<typeof createApp>; sockets: Sockets; requestTimeoutMs: number }): {
  server: Server
  hosts: string[]
} {
  const hosts: string[] = []
  const listener = getRequestListener((request, env) => init.app.fetch(request, { ...env, hosts }), {
    overrideGlobalObjects: false,
    errorHandler: describeMalformed
  })
  const { requestTimeoutMs } = init
  const timeouts = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: Math.min(limits.headersTimeoutMs, requestTimeoutMs),
    connectionsCheckingInterval: Math.min(limits.timeoutsCheckedEveryMs, requestTimeoutMs)
  }
  const server = createServer(timeouts, (request, response) => void listener(request, response))
  server.maxConnections = limits.connectionsMax
  server.on('upgrade', (request, socket, head) => init.sockets.upgrade(request, { socket, head, hosts }))
  return { server, hosts }
}

/** A request that has no address that a URL could hold never reaches the guard. */
function describeMalformed(cause: unknown): Response {
  const { status, body } = describeError(new ApiError('bad-request', 'the address or Host is malformed', { cause }))
  return Response.json(body, { status, headers: securityHeaders })
}
