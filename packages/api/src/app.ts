import { Hono, type Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import * as z from 'zod'
import { contract, type Route, type RouteName, type Scope } from './contract.ts'
import { ApiError, describeError } from './errors.ts'
import { type EventLog, parseAfter } from './events.ts'
import { bearerOf, checkCaller, createRateLimit, securityHeaders } from './guard.ts'
import type { Handlers } from './handlers.ts'
import {
  failedAuthDelayMs,
  failedAuthDelayMsMax,
  heartbeatMs,
  jsonBytesMax,
  requestsBurst,
  requestsPerSecond,
  uploadBytesMax
} from './limits.ts'
import { openApiDocument } from './openapi.ts'
import type { TokenRecord, Tokens } from './tokens.ts'

/** What the HTTP side needs. */
export interface AppComponents {
  readonly handlers: Handlers
  readonly tokens: Tokens
  readonly events: EventLog
}

/** How it is set up. */
export interface AppInit {
  readonly now: () => number
  /** Names under which the server is called; changes once its port is known. */
  readonly hosts: () => readonly string[]
  /** Errors that are our mistakes: they go to the daemon's log, never to the caller. */
  readonly onError: (error: unknown) => void
  /** Serves files of the user interface; answers `undefined` for what it has not. */
  readonly files?: (path: string) => Promise<{ body: Uint8Array; type: string } | undefined>
}

type Caller = TokenRecord & { readonly id: string }

/** Makes the request handler: guard, then token, then scope, then shapes, then the node. */
export function createApp(components: AppComponents, init: AppInit): Hono {
  const app = new Hono()
  const authenticate = createAuthenticator(components.tokens, init)

  app.onError((error, context) => {
    const { status, body } = describeError(error)
    if (status === 500) init.onError(error)
    return context.json(body, status as 500)
  })
  app.use(async (context, next) => {
    for (const [name, value] of Object.entries(securityHeaders)) context.header(name, value)
    checkCaller((name) => context.req.header(name), { hosts: init.hosts() })
    await next()
  })
  app.get('/healthz', (context) => context.json({ ok: true }))
  app.post('/v1/session', limitBody(4096), async (context) => {
    const { code } = await readJson(context, z.strictObject({ code: z.string().max(100) }))
    return context.json({ token: await authenticate.slowly(() => components.tokens.exchange(code)) })
  })
  if (init.files !== undefined) serveFiles(app, init.files)
  app.use('/v1/*', async (context, next) => {
    setCaller(context, await authenticate(context))
    await next()
  })
  app.get('/v1/openapi.json', (context) => context.json(openApiDocument()))
  app.get('/v1/events', (context) => serverSentEvents(context, components.events))
  for (const name of Object.keys(contract) as RouteName[]) addRoute(app, name, components.handlers)
  app.all('/*', (context) => {
    const known = Object.keys(contract).some((name) => matches(name.split(' ', 2)[1] ?? '', context.req.path))
    if (known) throw new ApiError('method-not-allowed', `${context.req.method} is not a method of ${context.req.path}`)
    throw new ApiError('no-route', `there is nothing at ${context.req.path.slice(0, 100)}`)
  })
  return app
}

function addRoute(app: Hono, name: RouteName, handlers: Handlers): void {
  const [method, path] = name.split(' ', 2) as [string, string]
  const route: Route = contract[name]
  app.on(method, path, limitBody(route.body === 'bytes' ? uploadBytesMax : jsonBytesMax), async (context) => {
    requireScope(getCaller(context), route.scope)
    const request = {
      params: context.req.param(),
      query: route.query === undefined ? undefined : parse(route.query, context.req.query(), 'query'),
      body: await readBody(context, route.body),
      signal: context.req.raw.signal
    }
    if (route.spends?.(request.body as never)) requireScope(getCaller(context), 'wallet:spend')
    const result: unknown = await handlers[name](request as never)
    return respond(context, route, result)
  })
}

function respond(context: Context, route: Route, result: unknown): Response {
  if (route.response === 'nothing') return context.body(null, 204)
  if (route.response !== 'webp') return context.json(result as object)
  // Addressed by its hash, so it never changes: the one answer that may be kept.
  context.header('cache-control', 'private, max-age=31536000, immutable')
  return context.body(result as Uint8Array<ArrayBuffer>, 200, { 'content-type': 'image/webp' })
}

async function readBody(context: Context, shape: Route['body']): Promise<unknown> {
  if (shape === undefined) return undefined
  if (shape !== 'bytes') return readJson(context, shape)
  const type = context.req.header('content-type') ?? ''
  if (!/^(application\/octet-stream|image\/[\w.+-]+)$/.test(type)) {
    throw new ApiError(
      'unsupported-media-type',
      `send the file as application/octet-stream, not as "${type.slice(0, 60)}"`
    )
  }
  return new Uint8Array(await context.req.arrayBuffer())
}

async function readJson<T extends z.ZodType>(context: Context, shape: T): Promise<z.output<T>> {
  // A form can be sent from any page without asking; JSON cannot.
  const type = context.req.header('content-type') ?? ''
  if (!/^application\/json\s*(;|$)/.test(type)) {
    throw new ApiError('unsupported-media-type', `send JSON as application/json, not as "${type.slice(0, 60)}"`)
  }
  const text = await context.req.text()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ApiError('bad-request', 'the body is not JSON', { cause })
  }
  return parse(shape, value, 'body')
}

function parse<T extends z.ZodType>(shape: T, value: unknown, where: string): z.output<T> {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new ApiError(
    'bad-request',
    `${[where, ...(issue?.path ?? [])].map(String).join('.')}: ${issue?.message ?? 'is malformed'}`
  )
}

function limitBody(bytesMax: number) {
  return bodyLimit({
    maxSize: bytesMax,
    onError: () => {
      throw new ApiError('body-too-large', `a body may have ${bytesMax} bytes here`)
    }
  })
}

function requireScope(caller: Caller, scope: Scope): void {
  if (caller.scopes.includes(scope)) return
  throw new ApiError('forbidden', `the token "${caller.name}" may not do this: it lacks ${scope}`)
}

const callerKey = 'caller'

function setCaller(context: Context, caller: Caller): void {
  context.set(callerKey, caller)
}

function getCaller(context: Context): Caller {
  return context.get(callerKey) as Caller
}

/** Checks tokens; after wrong ones, everybody without a right one waits, longer each time. */
function createAuthenticator(tokens: Tokens, init: AppInit) {
  const within = createRateLimit({ perSecond: requestsPerSecond, burst: requestsBurst, now: init.now })
  let failures = 0

  const slowly = async <T>(check: () => Promise<T>): Promise<T> => {
    try {
      const result = await check()
      failures = 0
      return result
    } catch (error) {
      const delayMs = Math.min(failedAuthDelayMsMax, failedAuthDelayMs * 2 ** Math.min(failures++, 10))
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      throw error
    }
  }
  const authenticate = async (context: Context): Promise<Caller> => {
    const caller = await slowly(() => tokens.check(bearerOf(context.req.header('authorization'))))
    if (!within(caller.id)) throw new ApiError('too-many-requests', `more than ${requestsPerSecond} requests a second`)
    return caller
  }
  return Object.assign(authenticate, { slowly })
}

function serveFiles(app: Hono, files: NonNullable<AppInit['files']>): void {
  app.get('/*', async (context, next) => {
    if (context.req.path.startsWith('/v1/')) return next()
    const found = (await files(context.req.path)) ?? (await files('/index.html'))
    if (found === undefined) return next()
    return context.body(found.body as Uint8Array<ArrayBuffer>, 200, { 'content-type': found.type })
  })
}

/** For curl and the CLI; pages use the WebSocket, because one such stream a tab starves the sixth tab. */
function serverSentEvents(context: Context, log: EventLog): Response {
  requireScope(getCaller(context), 'read')
  const after = parseAfter(context.req.header('last-event-id') ?? context.req.query('after'))
  const encoder = new TextEncoder()
  let stop: (() => void) | undefined
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const write = (text: string): void => controller.enqueue(encoder.encode(text))
      const unfollow = log.follow(after, ({ seq, run, event }) =>
        write(`id: ${run}:${seq}\ndata: ${JSON.stringify(event)}\n\n`)
      )
      const heartbeat = setInterval(() => write(':\n\n'), heartbeatMs)
      write(':\n\n')
      stop = () => {
        clearInterval(heartbeat)
        unfollow()
      }
    },
    cancel: () => stop?.()
  })
  return context.body(body, 200, { 'content-type': 'text/event-stream' })
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  return wanted.length === given.length && wanted.every((part, index) => part.startsWith(':') || part === given[index])
}
