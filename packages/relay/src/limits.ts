/**
 * Every default of a relay that differs from a node's, with its reason, and the bounds of this package. What relays
 * share with nodes comes from `@souk/network` and `@souk/storage`.
 */

const second = 1000
const minute = 60 * second

/** A configuration has about 6 kB; what is larger is another file. */
export const configBytesMax = 256 * 1024

/** How much of a wrong value an error repeats. */
export const quotedCharsMax = 80

/** Ports that no well-known service has. Two kinds of transport: WebSocket gets through where only web traffic does. */
export const listenDefault: readonly string[] = [
  '/ip4/0.0.0.0/tcp/4010',
  '/ip6/::/tcp/4010',
  '/ip4/0.0.0.0/tcp/4011/ws'
]

/** Loopback: figures about a relay are its operator's business until the operator decides otherwise. */
export const httpDefault = { host: '127.0.0.1', port: 4019 } as const

/** Shorter than the 30 s that container runtimes wait between SIGTERM and SIGKILL, with time left for closing. */
export const drainMsDefault: number = 20 * second

/** What closing may take after sessions have had their time. */
export const closeMs: number = 5 * second

/** How often it is looked whether the last session has ended. */
export const drainLookMs = 50

/** Connections at once. Each costs about 150 kB with its buffers; 1,200 of them 180 MB. */
export const connectionsMax = 1200

/** Inbound connections from one address: a household or an office behind one router. */
export const connectionsPerAddressMax = 16

/** Inbound connections from one /24 or /48. */
export const connectionsPerBlockMax = 64

/** Reservations from one /24 or /48: fifteen identities of one machine took all of a relay's places without it. */
export const reservationsPerBlockMax = 4

/** How often expired records are taken out. */
export const sweepEveryMs: number = 5 * minute

/** Digests of refused authors' records remembered, so that catch-up does not fetch them again. About 150 bytes each. */
export const deniedDigestsMax = 20_000

/** How often the event loop's lag is measured: rare enough to cost an idle relay nothing. */
export const lagEveryMs: number = 1 * second

/** Bounds of the lag's histogram in seconds: below 10 ms nobody notices, at 1 s pings fail. */
export const lagBucketsSeconds: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

/** Connections to the HTTP side: a scraper, a probe, an operator's browser. */
export const httpConnectionsMax = 32

/** A scraper that takes longer than this to ask is none. */
export const httpTimeoutMs: number = 5 * second
