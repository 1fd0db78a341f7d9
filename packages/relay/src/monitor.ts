import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expositionType } from './exposition.ts'
import { RelayError } from './errors.ts'
import { httpConnectionsMax, httpTimeoutMs } from './limits.ts'

/** What the HTTP side shows. */
export interface MonitorSources {
  metrics(): Promise<string>
  /** Why the relay should get no new peers; empty when it should. */
  unready(): string[]
}

/** The HTTP side of a relay: `/metrics`, `/healthz`, `/readyz`. Nothing on it changes anything. */
export interface Monitor extends AsyncDisposable {
  /** `http://127.0.0.1:4019` */
  readonly url: string
}

interface Reply {
  readonly status: number
  readonly body: string
  readonly type?: string
}

/** @throws {@link RelayError} `listen-failed`. */
export async function createMonitor(
  sources: MonitorSources,
  { host, port }: { host: string; port: number }
): Promise<Monitor> {
  const server = createServer({ headersTimeout: httpTimeoutMs, requestTimeout: httpTimeoutMs }, (request, response) => {
    void answer(request, sources).then((reply) => send(response, reply, request.method === 'HEAD'))
  })
  server.maxConnections = httpConnectionsMax
  await listen(server, { host, port })
  const { port: bound } = server.address() as AddressInfo
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    [Symbol.asyncDispose]: () => close(server)
  }
}

async function answer({ method, url = '/' }: IncomingMessage, sources: MonitorSources): Promise<Reply> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET and HEAD\n' }
  switch (url.replace(/\?.*/s, '')) {
    case '/healthz':
      return { status: 200, body: 'ok\n' }
    case '/readyz':
      return readiness(sources.unready())
    case '/metrics':
      return metrics(sources)
    default:
      return { status: 404, body: '/metrics, /healthz and /readyz are here\n' }
  }
}

function readiness(reasons: readonly string[]): Reply {
  if (reasons.length === 0) return { status: 200, body: 'ready\n' }
  return { status: 503, body: reasons.map((reason) => `${reason}\n`).join('') }
}

/** A scrape that fails says so; the relay goes on. */
async function metrics(sources: MonitorSources): Promise<Reply> {
  try {
    return { status: 200, body: await sources.metrics(), type: expositionType }
  } catch (error) {
    return { status: 500, body: `${(error as Error).message}\n` }
  }
}

function send(
  response: ServerResponse,
  { status, body, type = 'text/plain; charset=utf-8' }: Reply,
  headOnly: boolean
): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 405 && { allow: 'GET, HEAD' })
  })
  response.end(headOnly ? undefined : body)
}

function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new RelayError('listen-failed', `http ${host} port ${port}: ${cause.message}`, { cause }))
    )
    server.listen({ host, port }, resolve)
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
