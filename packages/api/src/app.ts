import type { IncomingMessage } from 'node:http'
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { Authenticator } from './authenticator.ts'
import { parse, readFileBody, readJsonBody } from './body.ts'
import { contract, type Route, type RouteName, type Scope } from './contract.ts'
import { ApiError, describeError } from './errors.ts'
import { createEventStream } from './event-stream.ts'
import { type EventLog, parseAfter } from './events.ts'
import type { StaticFile } from './files.ts'
import { bearerOf, checkCaller, securityHeaders } from './guard.ts'
import type { Handlers } from './handlers.ts'
import { jsonBytesMax, sessionBytesMax, uploadBytesMax } from './limits.ts'
import { openApiDocument } from './openapi.ts'
import type { Caller, Tokens } from './tokens.ts'

/** What the HTTP side needs. */
export interface AppComponents {
  readonly handlers: Handlers
  readonly authenticator: Authenticator
  readonly tokens: Tokens
  readonly events: EventLog
}

/** How it is set up. */
export interface AppInit {
  readonly heartbeatMs: number
  /** Errors that are our mistakes: they go to the daemon's log, never to the caller. */
  readonly onError: (error: unknown) => void
  /** Reads files of the user interface; gives `undefined` for what it has not. */
  readonly files?: ((path: string) => Promise<StaticFile | undefined>) | undefined
}

/** What a listener says about itself with each request. */
export interface AppBindings {
  readonly incoming: IncomingMessage
  /** Exact values of `Host` that reach the listener. */
  readonly hosts: readonly string[]
}

type Env = { Bindings: AppBindings; Variables: { caller: Caller } }

/** Makes the request handler: guard, then token, then scope, then shapes, then the node. */
export function createApp(components: AppComponents, init: AppInit): Hono<Env> {
  const { authenticator, events, handlers, tokens } = components
  const app = new Hono<Env>()

  app.onError((error, context) => {
    const { status, body } = describeError(error)
    const isGone = context.req.raw.signal.aborted
    if ((status === 500 || status === 503) && !isGone) init.onError(error)
    return context.json(body, status as 500)
  })
  app.use(async (context, next) => {
    for (const [name, value] of Object.entries(securityHeaders)) context.header(name, value)
    checkCaller(context.env.incoming, context.env.hosts)
    await next()
  })
  app.get('/healthz', (context) => context.json({ ok: true }))
  app.post('/v1/session', async (context) => {
    const { code } = await readJsonBody(context.req.raw, { shape: sessionRequest, bytesMax: sessionBytesMax })
    return context.json({ token: await authenticator.exchange(code) })
  })
  if (init.files !== undefined) serveFiles(app, init.files)
  app.use(async (context, next) => {
    context.set('caller', await authenticator.check(bearerOf(context.req.header('authorization'))))
    await next()
  })
  app.get('/v1/openapi.json', (context) => context.json(openApiDocument()))
  app.get('/v1/events', (context) => {
    requireScope(context.get('caller'), 'read')
    const after = parseAfter(context.req.header('last-event-id') ?? context.req.query('after'))
    const token = bearerOf(context.req.header('authorization'))
    const follow = { after, heartbeatMs: init.heartbeatMs, recheck: () => tokens.check(token) }
    return context.body(createEventStream(events, follow), 200, { 'content-type': 'text/event-stream' })
  })
  for (const name of Object.keys(contract) as RouteName[]) addRoute(app, name, handlers)
  app.all('/*', (context) => refuseUnknown(app, context))
  return app
}

const sessionRequest = z.strictObject({ code: z.string().max(100) })

function addRoute(app: Hono<Env>, name: RouteName, handlers: Handlers): void {
  const [method, path] = name.split(' ', 2) as [string, string]
  const route: Route = contract[name]
  app.on(method, path, async (context) => {
    const caller = context.get('caller')
    requireScope(caller, route.scope)
    const query = queryOf(context, route)
    const body = await readBody(context.req.raw, route.body)
    if (route.spends?.(body as never)) requireScope(caller, 'wallet:spend')
    const request = { params: context.req.param(), query, body, signal: context.req.raw.signal }
    const result: unknown = await handlers[name](request as never)
    return respond(context, route, result)
  })
}

/** An empty parameter, as a form leaves behind, is one that is not there: `lat=` is not the equator. */
function queryOf(context: Context<Env>, { query }: Route): unknown {
  const given = Object.entries(context.req.query()).filter(([, value]) => value !== '')
  return parse(Object.fromEntries(given), { shape: query ?? noQuery, where: 'query' })
}

const noQuery = z.strictObject({})

async function readBody(request: Request, shape: Route['body']): Promise<unknown> {
  if (shape === undefined) return undefined
  if (shape === 'bytes') return readFileBody(request, { bytesMax: uploadBytesMax })
  return readJsonBody(request, { shape, bytesMax: jsonBytesMax })
}

function respond(context: Context<Env>, route: Route, result: unknown): Response {
  if (route.response === 'nothing') return context.body(null, 204)
  if (route.response !== 'webp') return context.json(result as object)
  // Addressed by its hash, so it never changes: the one answer that may be kept.
  context.header('cache-control', 'private, max-age=31536000, immutable')
  return context.body(result as Uint8Array<ArrayBuffer>, 200, { 'content-type': 'image/webp' })
}

function requireScope(caller: Caller, scope: Scope): void {
  if (caller.scopes.includes(scope)) return
  throw new ApiError('forbidden', `the token "${caller.name}" may not do this: it lacks ${scope}`)
}

/** The interface comes before its token does, so it is open, as {@link checkCaller} leaves it: to pages of our own. */
function serveFiles(app: Hono<Env>, files: NonNullable<AppInit['files']>): void {
  app.get('/*', async (context, next) => {
    if (context.req.path.startsWith('/v1/')) return next()
    const found = await files(context.req.path)
    // Said at once: a page without an icon is not somebody who guesses tokens.
    if (found === undefined) throw new ApiError('no-route', `there is no file ${context.req.path.slice(0, 100)}`)
    return context.body(found.body, 200, { 'content-type': found.type })
  })
}

function refuseUnknown(app: Hono<Env>, context: Context<Env>): never {
  const { method, path } = context.req
  const routes = app.routes.filter((route) => route.method !== 'ALL' && matches(route.path, path))
  if (routes.length === 0) throw new ApiError('no-route', `there is nothing at ${path.slice(0, 100)}`)
  context.header('allow', [...new Set(routes.map((route) => route.method))].join(', '))
  throw new ApiError('method-not-allowed', `${method} is not a method of ${path.slice(0, 100)}`)
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  return wanted.length === given.length && wanted.every((part, index) => part.startsWith(':') || part === given[index])
}
