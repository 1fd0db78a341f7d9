import type { Channel, Did } from '@souk/records'

/** A token that this node pays and is paid in. Anything not listed here is refused before money moves. */
export interface TokenInit {
  /** Lower-case EVM address; the zero address is the chain's own coin. */
  readonly address: string
  readonly symbol: string
  readonly decimals: number
  /** ISO 4217 currency that one whole token stands for: prices in it are converted without an oracle. */
  readonly pegs?: string
  /** Most that one order may hold, in minor units: the contracts are unaudited. */
  readonly orderMax?: bigint
}

/** A chain on which this node settles. Local configuration decides, never what a peer names. */
export interface ChainInit {
  /** CAIP-2 name, `eip155:1`. */
  readonly chain: string
  readonly rpcUrls: readonly string[]
  /** The escrow contract, lower case. Its code is compared with the artefact's before it is used. */
  readonly contract: string
  /** Blocks on top of a fact before goods are shipped on its word. */
  readonly confirmations: number
  /** First block to look at: the one in which the contract was made, or anything before. */
  readonly fromBlock?: number
  /** How often the chain is asked; one block time or so. */
  readonly pollMs?: number
  readonly tokens: readonly TokenInit[]
}

/** How a node reaches others. Every default works with no server and no network at all. */
export interface NetworkInit {
  /** Multiaddrs to listen on. Default: TCP on all interfaces at a free port, and WebSocket beside it. */
  readonly listen?: readonly string[]
  /** Multiaddrs that others are told, where they differ from those above. */
  readonly announce?: readonly string[]
  readonly bootstrap?: readonly string[]
  /** Finds nodes on the same LAN. Default: true. */
  readonly mdns?: boolean
  /**
   * Channels whose records this node gets by gossip and catch-up, keeps and serves. Default: all of the market. Without
   * `feedback`, ratings are fetched when somebody asks for them.
   */
  readonly channels?: readonly Channel[]
  /**
   * Bits of proof of work on top of what this node does anyway for what its user publishes: each doubles the time, and
   * the chance with nodes that are full or under attack. Default: 0; never more than 22 bits in all.
   */
  readonly extraWorkBits?: number
}

/** Weight of a currency in one reference currency, for reputation only: its logarithm counts, so a rough figure does. */
export type ReferenceRates = Readonly<Record<string, number>>

/** Whom reputation starts from, besides oneself. */
export interface TrustInit {
  readonly curators?: readonly Did[]
  readonly rates?: ReferenceRates
}
