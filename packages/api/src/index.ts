/**
 * The local HTTP and WebSocket API of a node. One contract gives the server, the typed client (`@souk/api/client`)
 * and an OpenAPI document (`GET /v1/openapi.json`).
 *
 * @example
 * ```ts
 * const tokens = createTokens({ store: createMemoryTokenStore() }, { now: Date.now })
 * await using server = await createApiServer({ node, tokens }, { port: 4810 })
 * const client = createClient({ url: server.url, token: await tokens.create({ name: 'mine', scopes }) })
 * const page = await client.call('GET /v1/search', { query: { text: 'camera' } })
 * ```
 *
 * @packageDocumentation
 */
export { contract, scopes } from './contract.ts'
export type { RequestOf, ResponseOf, Route, RouteName, Scope } from './contract.ts'
export { ApiError } from './errors.ts'
export type { ApiErrorCode, ErrorBody } from './errors.ts'
export type { NumberedEvent } from './events.ts'
export { openApiDocument } from './openapi.ts'
export { createApiServer } from './server.ts'
export type { ApiServer, ApiServerInit } from './server.ts'
export { createMemoryTokenStore, createTokens } from './tokens.ts'
export type { TokenRecord, Tokens, TokenStore } from './tokens.ts'
