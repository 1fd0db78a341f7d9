import * as z from 'zod'
import { contract, type Route } from './contract.ts'
import { statusOfNode } from './errors.ts'

/** The contract as an OpenAPI 3.1 document (OAI, 2021), made anew at each call: it is asked for once a day. */
export function openApiDocument(): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const [name, route] of Object.entries(contract) as [string, Route][]) {
    const [method, path] = name.split(' ', 2) as [string, string]
    const template = path.replaceAll(/:(\w+)/g, '{$1}')
    paths[template] = { ...paths[template], [method.toLowerCase()]: operationOf(name, route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Souk node', version: '1', description: 'The local API of a Souk node. Loopback only.' },
    paths: { ...paths, ...besideTheContract() },
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Error: { type: 'object', required: ['error'], properties: { error: errorSchema } } }
    },
    security: [{ token: [] }]
  }
}

const errorSchema = {
  type: 'object',
  required: ['code', 'message'],
  properties: { code: { type: 'string' }, message: { type: 'string' }, hint: { type: 'string' } }
}

/** What is no question to the node: whether it lives, how to get in, what happens, and this document. */
function besideTheContract(): Record<string, object> {
  const open: object[] = []
  const code = { type: 'object', required: ['code'], properties: { code: { type: 'string' } } }
  const token = { type: 'object', required: ['token'], properties: { token: { type: 'string' } } }
  const after = 'Where to go on: `run:number` as the last event had it'
  return {
    '/healthz': {
      get: { operationId: 'health', summary: 'Whether it answers', security: open, responses: json({ type: 'object' }) }
    },
    '/v1/session': {
      post: {
        operationId: 'start-session',
        summary: 'Exchange a one-time code, at most a minute old, for a token',
        security: open,
        requestBody: { required: true, content: { 'application/json': { schema: code } } },
        responses: { ...json(token), ...refused }
      }
    },
    '/v1/events': {
      get: {
        operationId: 'follow-events',
        summary: 'What happens, as server-sent events; or over a WebSocket, subprotocols `souk` and `token.<token>`',
        'x-scope': 'read',
        parameters: [{ name: 'after', in: 'query', description: after, schema: { type: 'string' } }],
        responses: { 200: { description: 'Events', content: { 'text/event-stream': {} } }, ...refused }
      }
    },
    '/v1/openapi.json': {
      get: { operationId: 'describe', summary: 'This', responses: { ...json({ type: 'object' }), ...refused } }
    }
  }
}

function operationOf(name: string, route: Route): object {
  return {
    operationId: name
      .replace('/v1', '')
      .replaceAll(/[^A-Za-z]+/g, '-')
      .toLowerCase(),
    summary: route.summary,
    'x-scope': route.scope,
    parameters: [...pathParameters(name), ...queryParameters(route)],
    ...(route.body === undefined ? {} : { requestBody: { required: true, content: bodyContent(route.body) } }),
    responses: { ...successOf(route), ...failuresOf(route), ...refused }
  }
}

function pathParameters(name: string): object[] {
  return [...name.matchAll(/:(\w+)/g)].map(([, parameter]) => ({
    name: parameter,
    in: 'path',
    required: true,
    schema: { type: 'string' }
  }))
}

function queryParameters({ query }: Route): object[] {
  if (query === undefined) return []
  const { properties = {} } = schemaOf(query) as { properties?: Record<string, object> }
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }))
}

function bodyContent(body: NonNullable<Route['body']>): object {
  if (body === 'bytes') return { 'application/octet-stream': {} }
  return { 'application/json': { schema: schemaOf(body) } }
}

function successOf({ response }: Route): object {
  if (response === 'nothing') return { 204: { description: 'Done' } }
  if (response === 'webp') return { 200: { description: 'A picture', content: { 'image/webp': {} } } }
  return json(schemaOf(response))
}

/** One response a status, which says the codes that have it. */
function failuresOf({ errors = [] }: Route): object {
  const codes = Map.groupBy(errors, statusOfNode)
  return Object.fromEntries(
    [...codes].map(([status, group]) => [status, { ...failure, description: group.join(', ') }])
  )
}

const failure = {
  description: 'Refused',
  content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } }
}

const refused = { default: failure }

function json(schema: object): object {
  return { 200: { description: 'Done', content: { 'application/json': { schema } } } }
}

function schemaOf(shape: z.ZodType): object {
  // did:key is a custom check, which JSON Schema cannot say: it is a string there.
  const { $schema: _dialect, ...schema } = z.toJSONSchema(shape, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === 'custom') jsonSchema.type = 'string'
    }
  })
  return schema
}
