/**
 * A typed client of a node's API, for Node and browsers. It takes types from the contract and nothing else, so that a
 * command that lists three orders does not load a schema library.
 *
 * @packageDocumentation
 */
import type { RequestOf, ResponseOf, RouteName } from './contract.ts'
import type { NumberedEvent } from './events.ts'

/** Where the node is and what opens it. */
export interface ClientInit {
  /** `http://127.0.0.1:4810`, or `http://souk.socket` with a `fetch` that goes over the Unix socket. */
  readonly url: string
  readonly token: string
  readonly fetch?: typeof globalThis.fetch
}

/** The node answered, and refused; or did not answer (`unreachable-node`). */
export class ClientError extends Error {
  /** Stable; the API's or one of the node's packages'. */
  readonly code: string
  /** HTTP status; 0 when nothing answered. */
  readonly status: number
  readonly hint: string | undefined

  constructor(
    init: { code: string; message: string; status: number; hint?: string | undefined },
    options?: { cause?: unknown }
  ) {
    super(init.message, options)
    this.name = 'ClientError'
    this.code = init.code
    this.status = init.status
    this.hint = init.hint
  }
}

/** One function for every route: `call('GET /v1/orders/:id', {params: {id}})`. */
export interface Client {
  /** @throws {@link ClientError} with the node's code, or `unreachable-node`. */
  call<N extends RouteName>(
    name: N,
    ...rest: Partial<RequestOf<N>> extends RequestOf<N>
      ? [request?: RequestOf<N>, options?: CallOptions]
      : [request: RequestOf<N>, options?: CallOptions]
  ): Promise<ResponseOf<N>>
  /** Events until `signal` aborts or the node stops. */
  events(options: { readonly signal: AbortSignal; readonly after?: string }): AsyncIterable<NumberedEvent['event']>
}

export interface CallOptions {
  readonly signal?: AbortSignal
}

/** Makes a client. Nothing is sent before the first call. */
export function createClient(init: ClientInit): Client {
  const request = async (path: string, options: RequestInit): Promise<Response> => {
    const headers = { ...(options.headers as Record<string, string>), authorization: `Bearer ${init.token}` }
    const response = await (init.fetch ?? fetch)(init.url + path, { ...options, headers }).catch((cause: unknown) => {
      if (options.signal?.aborted) throw cause
      throw new ClientError(
        {
          code: 'unreachable-node',
          message: 'no node answers; is it running?',
          status: 0,
          hint: 'start one with: souk start'
        },
        { cause }
      )
    })
    if (!response.ok) throw await errorOf(response)
    return response
  }

  return {
    async call(name, ...[input, options]) {
      const parts: Parts = input ?? {}
      const [method, template] = name.split(' ', 2) as [string, string]
      const response = await request(pathOf(template, parts), {
        method,
        ...bodyOf(parts.body),
        signal: options?.signal ?? null
      })
      return (await read(response)) as never
    },
    async *events({ signal, after }) {
      const query = after === undefined ? '' : `?after=${encodeURIComponent(after)}`
      const response = await request(`/v1/events${query}`, { method: 'GET', signal })
      for await (const data of serverSentData(response)) yield JSON.parse(data) as NumberedEvent['event']
    }
  }
}

interface Parts {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

function pathOf(template: string, { params, query }: Parts): string {
  const path = template.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params?.[name] ?? ''))
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined)
  return given.length === 0
    ? path
    : `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`
}

function bodyOf(body: unknown): RequestInit {
  if (body === undefined) return {}
  if (body instanceof Uint8Array) {
    return { body: body as Uint8Array<ArrayBuffer>, headers: { 'content-type': 'application/octet-stream' } }
  }
  return { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
}

async function read(response: Response): Promise<unknown> {
  if (response.status === 204) return undefined
  if (response.headers.get('content-type')?.startsWith('application/json')) return response.json()
  return new Uint8Array(await response.arrayBuffer())
}

async function errorOf(response: Response): Promise<ClientError> {
  const { status } = response
  try {
    const { error } = (await response.json()) as { error: { code: string; message: string; hint?: string } }
    return new ClientError({ ...error, status })
  } catch (cause) {
    return new ClientError(
      { code: 'bad-answer', message: `the node answered ${status} without saying why`, status },
      { cause }
    )
  }
}

/** The data of each event in a stream of server-sent events (WHATWG HTML section 9.2), one line each as our server sends. */
async function* serverSentData(response: Response): AsyncIterable<string> {
  if (response.body === null) return
  let rest = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice('data: '.length)
  }
}
