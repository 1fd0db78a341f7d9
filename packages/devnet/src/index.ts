/**
 * A whole market on one machine in one call: a relay, a local chain with the escrow contract and a token that stands
 * for euros, and a node for each person, every one a process of its own as on machines of their own. For trying things
 * out, for examples, and for the tests of those who build on Souk; `npm run demo` tells a story in one.
 *
 * @example
 * ```ts
 * await using market = await createDevnet({ people: ['Ana', 'Bruno'] })
 * const [ana, bruno] = [market.person('Ana'), market.person('Bruno')]
 * await ana.call('POST /v1/listings', { body: { title: 'A lamp', category: 'hg' } })
 * const page = await bruno.until('the lamp', async () => {
 *   const found = await bruno.call('GET /v1/search', { query: { text: 'lamp' } })
 *   return found.total > 0 && found
 * })
 * ```
 *
 * @packageDocumentation
 */
export { startTokenChain } from './chain.ts'
export type { TokenChain } from './chain.ts'
export { createDevnet } from './devnet.ts'
export type { Devnet, DevnetInit, Newcomer } from './devnet.ts'
export { DevnetError } from './errors.ts'
export type { DevnetErrorCode } from './errors.ts'
export { readGoods } from './goods.ts'
export type { Goods } from './goods.ts'
export type { Person } from './person.ts'
export type { RelayProcess } from './relay.ts'
export { soukCommand } from './souk.ts'
