/**
 * A node among its peers: libp2p with gossip, catch-up, a DHT, a keeper of connections and a guard against abuse.
 *
 * What is published goes out by gossip to whoever is connected, and by catch-up to everybody else. Either way a record
 * passes one gate, which checks it before it is stored or passed on; what a peer does wrong is counted in one place,
 * the guard.
 *
 * @example
 * ```ts
 * await using network = await createNetwork(
 *   { datastore, privateKey, gate: (guard) => createRecordGate({ store, guard }, { now: Date.now }) },
 *   { role: 'node', listen: ['/ip4/0.0.0.0/tcp/0'], mdns: true }
 * )
 * network.subscribe('main', 'listings/el')
 * const { peers } = await network.publish(record) // 0 is fine: others fetch it when they come
 * ```
 *
 * @packageDocumentation
 */
export { NetworkError } from './errors.ts'
export type { NetworkErrorCode } from './errors.ts'
export type { Unsubscribe } from './events.ts'
export { createRecordGate } from './gate.ts'
export type {
  GateCode,
  GateResult,
  PutOutcome,
  RecordGate,
  RecordGateInit,
  RecordSource,
  RecordStore,
  Verdict
} from './gate.ts'
export type { Budget } from './guard/bucket.ts'
export type { Guard, GuardInit, PeerReport } from './guard/guard.ts'
export type { Reason } from './guard/score.ts'
export type { Host, HostInit, HostServices, Role } from './host.ts'
export { createNetwork } from './network.ts'
export type { Network, NetworkComponents, NetworkEvents, NetworkInit } from './network.ts'
