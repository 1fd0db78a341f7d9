import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'

/**
 * A `fetch` that goes over a Unix socket, for {@link createClient}. Node's own `fetch` cannot without a dispatcher of
 * a library that Node does not expose.
 */
export function socketFetch(socketPath: string): typeof fetch {
  return (input, init = {}) =>
    new Promise((resolve, reject) => {
      const { pathname, search } = new URL(input instanceof Request ? input.url : input)
      const request = httpRequest({
        socketPath,
        path: pathname + search,
        method: init.method ?? 'GET',
        headers: { ...(init.headers as Record<string, string>), host: 'souk.socket' },
        ...(init.signal ? { signal: init.signal } : {})
      })
      request.on('error', reject)
      request.on('response', (message) => {
        const status = message.statusCode ?? 500
        const bodiless = status === 204 || status === 304
        const headers = Object.entries(message.headers).map(([name, value]): [string, string] => [name, String(value)])
        if (bodiless) message.resume()
        resolve(new Response(bodiless ? null : (Readable.toWeb(message) as ReadableStream), { status, headers }))
      })
      request.end(init.body as string | Uint8Array | undefined)
    })
}
