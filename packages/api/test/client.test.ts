import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import type { SoukNode } from '@souk/node'
import { beforeAll, expect, test } from 'vitest'
import { createClient } from '../src/client.ts'
import { socketFetch } from '../src/socket.ts'
import { ask, lamp, later, makeDirectory, openNode, serve } from './support.ts'

let node: SoukNode

beforeAll(async () => {
  node = await openNode()
})

test('over a Unix socket that only its owner reaches', async () => {
  const folder = join(await makeDirectory(), 'run')
  const socketPath = join(folder, 'api.sock')
  const served = await serve(node, { socketPath })
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
  expect((await stat(socketPath)).mode & 0o777).toBe(0o600)
  const init = { url: 'http://souk.socket', fetch: socketFetch(socketPath) }
  const client = createClient({ ...init, token: served.token })
  const listing = await client.call('POST /v1/listings', { body: lamp })
  expect(await client.call('GET /v1/listings/:id', { params: { id: listing.key } })).toEqual(listing)
  expect(await client.call('DELETE /v1/listings/:id', { params: { id: listing.key } })).toBeUndefined()
  const stranger = createClient({ ...init, token: 'A'.repeat(43) })
  await expect(stranger.call('GET /v1/status')).rejects.toMatchObject({ code: 'unauthorised', status: 401 })

  await served.server[Symbol.asyncDispose]()
  await expect(stat(socketPath)).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(client.call('GET /v1/status')).rejects.toMatchObject({ code: 'unreachable-node', status: 0 })
})

test('what a dead daemon left is replaced, anything else is not', async () => {
  const folder = await makeDirectory()
  const socketPath = join(folder, 'api.sock')
  await serve(node, { socketPath })
  await serve(node, { socketPath })
  const taken = join(folder, 'notes.txt')
  await writeFile(taken, 'dear diary')
  await expect(serve(node, { socketPath: taken })).rejects.toMatchObject({ code: 'open-socket-folder' })
  expect((await stat(taken)).size).toBe(10)
})

test('a folder that others may enter gets no socket, and keeps its mode', async () => {
  const folder = join(await makeDirectory(), 'shared')
  await mkdir(folder)
  await chmod(folder, 0o755)
  const starting = serve(node, { socketPath: join(folder, 'api.sock') })
  await expect(starting).rejects.toMatchObject({ code: 'open-socket-folder' })
  expect((await stat(folder)).mode & 0o777).toBe(0o755)
})

test('who gives up is heard by the node, and is no mistake of the server', async () => {
  const heard = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const about: SoukNode['feedback']['about'] = (_, { signal } = {}) => {
    asked.resolve()
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => {
        heard.resolve()
        reject(new Error('given up'))
      })
    })
  }
  const served = await serve({ ...node, feedback: { ...node.feedback, about } })
  const client = createClient({ url: served.server.url, token: served.token })
  const controller = new AbortController()
  const request = { params: { did: node.did }, query: { search: 'true' } } as const
  const call = client.call('GET /v1/feedback/:did', request, { signal: controller.signal })
  await asked.promise
  controller.abort()
  await expect(call).rejects.toMatchObject({ name: 'AbortError' })
  await heard.promise
  expect((await ask(served, { path: '/v1/status', token: served.token })).status).toBe(200)
  expect(served.mistakes).toEqual([])
})

test('an answer that is not of a node is said to be none', async () => {
  const other = createServer((_, response) => response.writeHead(500).end('<h1>Oops</h1>'))
  await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve))
  later(async () => other.close())
  const { port } = other.address() as { port: number }
  const client = createClient({ url: `http://127.0.0.1:${port}`, token: 'x' })
  await expect(client.call('GET /v1/status')).rejects.toMatchObject({ code: 'bad-answer', status: 500 })
})
