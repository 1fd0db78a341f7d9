/**
 * A relay: what a market's peers meet at, run by anybody. It gives new nodes somebody to start from, lets those behind
 * a router be reached, carries the channels of its markets so that a late joiner gets what was published before, and
 * keeps feedback in located sets and letters in mailboxes. It can forge none of what it carries and read none of the
 * letters; a market works without it, only less conveniently.
 *
 * @example
 * ```ts
 * const relay = await createRelay(loadRelayConfig(await readFile('relay.yaml', 'utf8')))
 * console.log(relay.addresses()) // for the bootstrap lists of nodes
 * process.once('SIGTERM', () => void relay.drain())
 * ```
 *
 * @packageDocumentation
 */
export { loadRelayConfig } from './config.ts'
export type { RelayConfig, RelayConfigInput } from './config.ts'
export { RelayError } from './errors.ts'
export type { RelayEvents } from './events.ts'
export type { ConfigFault, RelayErrorCode } from './errors.ts'
export { createRelay } from './relay.ts'
export type { Relay, RelayInit, RelayLists, RelayProblem, RelayState, RelayStatus, Removed } from './relay.ts'
