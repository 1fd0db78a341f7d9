import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, extname, join, normalize, sep } from 'node:path'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import type { SoukNode } from '@souk/node'
import { type WebSocket, WebSocketServer } from 'ws'
import { type AppInit, createApp } from './app.ts'
import { scopes } from './contract.ts'
import { ApiError, describeError } from './errors.ts'
import { createEventLog, type EventLog, parseAfter } from './events.ts'
import { bearerOf, checkCaller } from './guard.ts'
import { createHandlers } from './handlers.ts'
import { heartbeatMs, requestTimeoutMs, socketBufferBytesMax, socketsMax } from './limits.ts'
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
 * @throws {@link ApiError} `remote-bind-refused` for any host but loopback: this API is a wallet.
 */
export async function createApiServer(
  components: { node: SoukNode; tokens: Tokens },
  init: ApiServerInit = {}
): Promise<ApiServer> {
  const host = init.host ?? '127.0.0.1'
  if (!['127.0.0.1', '::1', 'localhost'].includes(host)) {
    throw new ApiError(
      'remote-bind-refused',
      `the API of a node is a wallet and listens on loopback only, not on ${host}`,
      {
        hint: 'reach a remote node through a tunnel, such as ssh -L'
      }
    )
  }
  const onError = init.onError ?? (() => undefined)
  const stopped = new AbortController()
  const events = createEventLog(
    { events: components.node.events({ signal: stopped.signal }) },
    { run: randomBytes(6).toString('base64url'), onError }
  )
  const hosts: string[] = ['souk.socket']
  const appInit: AppInit = {
    now: init.now ?? Date.now,
    hosts: () => hosts,
    onError,
    ...(init.staticDirectory === undefined ? {} : { files: fileReader(init.staticDirectory) })
  }
  const app = createApp({ handlers: createHandlers(components.node), tokens: components.tokens, events }, appInit)
  const sockets = createSockets({ tokens: components.tokens, events, hosts, onError })
  const start = (): Server => {
    const server = createServer(
      { requestTimeout: requestTimeoutMs, headersTimeout: 10_000 },
      (request, response) => void getRequestListener(app.fetch, { overrideGlobalObjects: false })(request, response)
    )
    server.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head))
    return server
  }

  const http = start()
  await listen(http, { host, port: init.port ?? 0 })
  const { port } = http.address() as AddressInfo
  hosts.push(`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`)
  const unix = init.socketPath === undefined ? undefined : start()
  if (unix !== undefined && init.socketPath !== undefined) await listenOnSocket(unix, init.socketPath)

  const url = `http://${host === '::1' ? '[::1]' : host}:${port}`
  return {
    url,
    socketPath: init.socketPath,
    createUrl: () => `${url}/#code=${components.tokens.createCode(scopes)}`,
    async [Symbol.asyncDispose]() {
      stopped.abort()
      sockets.close()
      await close(http)
      if (unix !== undefined) await close(unix)
      if (init.socketPath !== undefined) await rm(init.socketPath, { force: true })
    }
  }
}

/** Live events over WebSocket. The token comes in the subprotocol: browsers can set no header here. */
function createSockets(components: {
  tokens: Tokens
  events: EventLog
  hosts: readonly string[]
  onError: (error: unknown) => void
}) {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 4096, handleProtocols: () => 'souk' })

  const accept = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const header = (name: string): string | undefined => {
      const value = request.headers[name]
      return Array.isArray(value) ? value[0] : value
    }
    checkCaller(header, { hosts: components.hosts })
    const url = new URL(request.url ?? '/', 'http://local')
    if (url.pathname !== '/v1/events') throw new ApiError('no-route', 'WebSockets are served at /v1/events only')
    if (sockets.clients.size >= socketsMax) throw new ApiError('too-many-requests', `${socketsMax} WebSockets are open`)
    const offered = header('sec-websocket-protocol')?.split(/,\s*/) ?? []
    const token = offered.find((name) => name.startsWith('token.'))?.slice('token.'.length)
    const caller = await components.tokens.check(token ?? bearerOf(header('authorization')))
    if (!caller.scopes.includes('read')) throw new ApiError('forbidden', 'the token lacks read')
    sockets.handleUpgrade(request, socket, head, (client) =>
      feed(client, components.events, url.searchParams.get('after'))
    )
  }

  return {
    upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
      socket.on('error', components.onError)
      accept(request, socket, head).catch((error: unknown) => {
        const { status, body } = describeError(error)
        const text = JSON.stringify(body)
        socket.end(
          `HTTP/1.1 ${status} Refused\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
        )
      })
    },
    close(): void {
      for (const client of sockets.clients) client.close(1001, 'the node stops')
      sockets.close()
    }
  }
}

function feed(client: WebSocket, events: EventLog, after: string | null): void {
  const stop = events.follow(parseAfter(after), (event) => {
    if (client.bufferedAmount > socketBufferBytesMax) client.terminate()
    else client.send(JSON.stringify(event))
  })
  const heartbeat = setInterval(() => client.ping(), heartbeatMs)
  client.on('error', () => client.terminate())
  client.on('close', () => {
    clearInterval(heartbeat)
    stop()
  })
}

async function listenOnSocket(server: Server, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await chmod(dirname(path), 0o700)
  // What is left there is of a daemon that died: the store's lock, taken before, shows that none runs.
  await rm(path, { force: true })
  await listen(server, { path })
  await chmod(path, 0o600)
}

function listen(server: Server, options: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json'
}

/** Files below a folder and nowhere else. */
function fileReader(directory: string): NonNullable<AppInit['files']> {
  return async (path) => {
    const file = join(directory, normalize(decodeURIComponent(path)))
    const type = types[extname(file)]
    if (!file.startsWith(directory + sep) || type === undefined) return undefined
    try {
      return { body: new Uint8Array(await readFile(file)), type }
    } catch {
      return undefined
    }
  }
}
