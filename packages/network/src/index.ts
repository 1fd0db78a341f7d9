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
 *   { datastore: storage.datastore('libp2p'), privateKey, records: storage.records, sync: storage.sync },
 *   { role: 'node', listen: ['/ip4/0.0.0.0/tcp/0'], mdns: true }
 * )
 * network.subscribe('main', 'listings/el')
 * const { peers } = await network.publish(record) // 0 is fine: others fetch it when they come
 * ```
 *
 * @packageDocumentation
 */
export type { CatchUpReport } from './catch-up/client.ts'
export { SyncError } from './catch-up/error.ts'
export type { SyncErrorCode } from './catch-up/error.ts'
export type { Partition, PartitionId, PeerCursor, RecordReader, SyncSource } from './catch-up/source.ts'
export { replicaLimits } from './dht/limits.ts'
export type { ReplicaLimits } from './dht/limits.ts'
export { NetworkError } from './errors.ts'
export type { NetworkErrorCode } from './errors.ts'
export type { Unsubscribe } from './events.ts'
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
export type { ClockState, PeerClocks } from './clocks.ts'
export { hostOf } from './guard/address.ts'
export type { Budget } from './guard/bucket.ts'
export {
  attemptsPerBlock,
  entranceBudget,
  entranceWaitingMax,
  handshakeLimits,
  pendingPerBlockMax,
  pendingPerHostMax,
  requestBudgetDefault,
  requestBudgets,
  sanctions,
  sharesDefault,
  trafficBudgets,
  unsentBytesDefault
} from './guard/limits.ts'
export type { Guard, GuardInit, HostGuard, PeerReport } from './guard/guard.ts'
export type { Reason } from './guard/score.ts'
export { gossipOptions } from './gossip/gossip.ts'
export type { Host, HostInit, HostServices, Role } from './host.ts'
export type { Keeper, KeeperInit, WantedFor, WantedPeer } from './keeper/keeper.ts'
export { catchUpsMax } from './catch-up/limits.ts'
export { relayLimits, strangersPerSecondFree, streamsPerConnectionDefault } from './limits.ts'
export type { RelayLimits } from './limits.ts'
export { createNetwork } from './network.ts'
export type { Network, NetworkComponents, NetworkEvents, NetworkInit, PublishedRecord } from './network.ts'
export { peerIdFrom, peerKeyFromSeed } from './peer-key.ts'
export type { Fullness, PriceInit } from './price.ts'
export { createFeedbackDirectory } from './feedback/directory.ts'
export type {
  FeedbackDirectory,
  FeedbackDirectoryComponents,
  FeedbackDirectoryInit,
  FoundFeedback,
  Published
} from './feedback/directory.ts'
export { shelfLimits } from './feedback/limits.ts'
export { mailboxLimits } from './messages/limits.ts'
export type { MailboxLimits } from './messages/limits.ts'
export { createMailbox } from './messages/mailbox.ts'
export type { Mailbox, MailboxComponents, MailboxInit } from './messages/mailbox.ts'
export { dialTargetOf, installationsOf, serversOf } from './messages/devices.ts'
export type { DialTarget, Reachable } from './messages/devices.ts'
export { openExhibit } from './messages/exhibit.ts'
export type { Exhibited } from './messages/exhibit.ts'
export type { LetterName } from './messages/copies.ts'
export { createPresence } from './presence/presence.ts'
export type { Presence, PresenceComponents, PresenceInit, Whereabouts } from './presence/presence.ts'
export { createPost } from './messages/post.ts'
export type { Post, PostComponents, PostedLetter, PostInit } from './messages/post.ts'
export { ProtocolError } from './protocol-error.ts'
export type { ProtocolErrorCode } from './protocol-error.ts'
