import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNode, type NodeInit, type SoukNode } from '@souk/node'
import { createPhrase, identityFromPhrase } from '@souk/records'
import { afterAll } from 'vitest'
import { WebSocket } from 'ws'
import {
  type ApiServer,
  type ApiServerInit,
  createApiServer,
  createMemoryTokenStore,
  createTokens,
  type ErrorBody,
  type NumberedEvent,
  type Scope,
  scopes,
  type Tokens
} from '../src/index.ts'

/** What a file's tests leave behind, undone in reverse order. */
const left: (() => Promise<unknown>)[] = []

afterAll(async () => {
  for (const undo of left.splice(0).toReversed()) await undo()
})

export function later(undo: () => Promise<unknown>): void {
  left.push(undo)
}

export async function makeDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'souk-api-'))
  later(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A real node that knows nobody. */
export async function openNode(init: Partial<NodeInit> = {}): Promise<SoukNode> {
  const directory = await makeDirectory()
  const identity = identityFromPhrase(createPhrase())
  const network = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false }
  const node = await createNode({ directory, identity, network, ...init })
  later(async () => node[Symbol.asyncDispose]())
  return node
}

/** A server, and what its tests look at. */
export interface Served {
  readonly server: ApiServer
  readonly node: SoukNode
  readonly tokens: Tokens
  /** A token with every scope. */
  readonly token: string
  readonly port: number
  /** How often a token was looked up. */
  readonly lookups: () => number
  /** What was reported as the server's own mistake. */
  readonly mistakes: unknown[]
  readonly tokenWith: (...only: Scope[]) => Promise<string>
}

export async function serve(node: SoukNode, init: ApiServerInit = {}): Promise<Served> {
  const store = createMemoryTokenStore()
  let lookups = 0
  const counting = { ...store, get: (key: string) => (lookups++, store.get(key)) }
  const now = init.now ?? Date.now
  const tokens = createTokens({ store: counting }, { now })
  const mistakes: unknown[] = []
  const server = await createApiServer({ node, tokens }, { onError: (error) => mistakes.push(error), ...init })
  later(async () => server[Symbol.asyncDispose]())
  const tokenWith = (...only: Scope[]): Promise<string> => tokens.create({ name: 'test', scopes: only })
  const token = await tokenWith(...scopes)
  const port = Number(new URL(server.url).port)
  return { server, node, tokens, token, port, lookups: () => lookups, mistakes, tokenWith }
}

export interface Asked {
  readonly method?: string
  readonly path?: string
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Sends the body without saying how long it is. */
  readonly chunked?: boolean
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** What JSON says; tests say what they expect of it. */
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any
}

/** One request on a connection of its own, with headers that `fetch` would not let through. */
export async function ask({ port }: { port: number }, asked: Asked = {}): Promise<Answer> {
  const { method = 'GET', path = '/v1/status', token, headers, body, chunked } = asked
  const outgoing = request({
    host: '127.0.0.1',
    port,
    method,
    path,
    agent: false,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined || chunked ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
      ...headers
    }
  })
  if (body !== undefined && chunked) outgoing.write(body)
  outgoing.end(chunked ? undefined : body)
  const [message] = (await once(outgoing, 'response')) as [IncomingMessage]
  // A refusal may come before the body is out.
  outgoing.on('error', () => undefined)
  const text = await readText(message)
  const isJson = String(message.headers['content-type']).startsWith('application/json')
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined
  }
}

async function readText(message: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of message) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks).toString('utf8')
}

/** Sends JSON. */
export function send(served: Served, path: string, body: unknown, asked: Asked = {}): Promise<Answer> {
  const headers = { 'content-type': 'application/json', ...asked.headers }
  return ask(served, { method: 'POST', token: served.token, ...asked, path, headers, body: JSON.stringify(body) })
}

/** Opens a WebSocket, or gives the status and code with which it is refused. */
export async function knock(
  { port }: { port: number },
  asked: { path?: string; protocols?: string[]; headers?: Record<string, string> } = {}
): Promise<{ socket: WebSocket; messages: AsyncIterator<NumberedEvent> } | { status: number; code: string }> {
  const { path = '/v1/events', protocols = [], headers = {} } = asked
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, { headers })
  const messages = collect(socket)
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve({ socket, messages }))
    socket.once('error', reject)
    socket.once('unexpected-response', (_, message) => {
      const refused = readText(message).then((text) => {
        const { error } = JSON.parse(text) as ErrorBody
        return { status: message.statusCode ?? 0, code: error.code }
      })
      resolve(refused)
    })
  })
}

/** Listens from now on, whenever it is read. */
function collect(socket: WebSocket): AsyncIterator<NumberedEvent> {
  const queue: NumberedEvent[] = []
  let wake = (): void => undefined
  socket.on('message', (data: Buffer) => {
    queue.push(JSON.parse(data.toString('utf8')) as NumberedEvent)
    wake()
  })
  socket.on('close', () => wake())
  return (async function* () {
    for (;;) {
      for (const event of queue.splice(0)) yield event
      if (socket.readyState === socket.CLOSED) return
      await new Promise<void>((resolve) => (wake = resolve))
    }
  })()
}

export const lamp = {
  title: 'A red lamp',
  description: 'Made of tin.',
  category: 'hg',
  price: { minor: '1500', currency: 'EUR' },
  quantity: 2,
  delivery: [
    { kind: 'ship' as const, price: '500', to: ['DE'], handlingDays: 2, transitDays: 3 },
    { kind: 'pick-up' as const }
  ]
}
