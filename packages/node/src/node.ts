import type { Did, JsonLd } from '@souk/records'
import type { Feedback } from './feedback.ts'
import type { ImageView } from './image.ts'
import type { LetterState, Letters } from './letters.ts'
import type { ListingDraft, ListingView } from './listing.ts'
import type { Orders } from './order.ts'
import type { Profiles } from './profile.ts'

/** A whole Souk node. Everything that its methods return is plain data that survives JSON. */
export interface SoukNode extends AsyncDisposable {
  readonly did: Did
  readonly nym: string
  readonly listings: Listings
  readonly images: ImageShelf
  readonly profiles: Profiles
  readonly orders: Orders
  readonly letters: Letters
  readonly feedback: Feedback
  readonly peers: Peers
  readonly wallet: Wallet
  search(query: SearchQuery): Promise<SearchPage>
  status(): Promise<StatusView>
  /** Events from this call on, whenever they are read, until `signal` aborts or the node closes. */
  events(options: { readonly signal: AbortSignal }): AsyncIterable<NodeEvent>
}

/** What can be asked of the search. */
export interface SearchQuery {
  readonly text?: string | undefined
  readonly category?: string | undefined
  readonly seller?: Did | undefined
  readonly country?: string | undefined
  readonly businessFunction?: ListingView['businessFunction'] | undefined
  readonly condition?: ListingView['itemCondition']
  readonly price?:
    | { readonly currency: string; readonly minMinor?: string | undefined; readonly maxMinor?: string | undefined }
    | undefined
  readonly near?: { readonly lat: number; readonly lon: number; readonly km: number } | undefined
  readonly sort?: 'best' | 'newest' | 'cheapest' | 'nearest' | undefined
  readonly limit?: number | undefined
  readonly offset?: number | undefined
}

export interface SearchPage {
  readonly hits: readonly ListingView[]
  readonly total: number
}

/** Listings: one's own and everybody's. */
export interface Listings {
  publish(draft: ListingDraft): Promise<ListingView>
  /**
   * Publishes many at once, at several times the rate of one after the other: they share writes, and go out by catch-up.
   * One that is refused does not keep the others back.
   *
   * @returns What became of each, in the order given.
   */
  publishMany(drafts: readonly ListingDraft[], options?: { readonly signal?: AbortSignal }): Promise<ImportResult[]>
  /** Changes some of one's own listing; what the draft leaves out stays. The top category stays as it is. */
  update(key: string, change: Partial<ListingDraft>): Promise<ListingView>
  delete(key: string): Promise<void>
  /** @param idOrKey - Id of a revision, or key. @throws {@link NodeError} `not-found`. */
  get(idOrKey: string): Promise<ListingView>
  /** A listing as search engines and other markets read it: schema.org in JSON-LD. @throws {@link NodeError} `not-found`. */
  jsonLd(idOrKey: string): Promise<JsonLd>
  /** The signed record as it travels, for whoever checks it without a node. @throws {@link NodeError} `not-found`. */
  bytes(idOrKey: string): Promise<Uint8Array>
  /** Newest first. `after` is the id of the last one on the page before. */
  list(filter?: ListingFilter): Promise<ListingView[]>
}

/** What became of one of many listings. */
export type ImportResult =
  | { readonly listing: ListingView }
  | { readonly refused: { readonly code: string; readonly message: string } }

export interface ListingFilter {
  readonly seller?: Did | undefined
  readonly category?: string | undefined
  readonly limit?: number | undefined
  readonly after?: string | undefined
}

/** Pictures. */
export interface ImageShelf {
  /** Re-encodes a file that the user picked (place and camera are dropped), stores it, and tells what it was. */
  add(
    file: Uint8Array,
    options?: { readonly alt?: string | undefined; readonly signal?: AbortSignal | undefined }
  ): Promise<ImageView & { readonly hadLocation: boolean }>
  /** A picture of a listing as safe WebP, from here or from those who have it. @throws {@link NodeError} `not-found`. */
  get(cid: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array>
}

/** One connected or known peer. */
export interface PeerView {
  readonly id: string
  readonly addresses: readonly string[]
  readonly connected: boolean
  readonly direction?: 'inbound' | 'outbound' | undefined
  readonly relayed?: boolean | undefined
  readonly latencyMs?: number | undefined
  readonly agent?: string | undefined
  /** Below zero it misbehaved; at −20 it is cut off, at −50 banned. */
  readonly score: number
  readonly reasons: readonly string[]
  readonly bannedUntilMs?: number | undefined
}

export interface Peers {
  list(): Promise<PeerView[]>
  /** @throws {@link NodeError} `unreachable`. */
  connect(address: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<PeerView>
}

export interface Wallet {
  /** Lower-case EVM address, the same on every chain. */
  readonly address: `0x${string}`
  balances(): Promise<BalanceView[]>
}

export interface BalanceView {
  readonly chain: string
  readonly token: string
  readonly symbol: string
  readonly decimals: number
  /** Minor units; absent while no RPC answers. */
  readonly available?: string | undefined
  /** In escrow for orders of this identity. */
  readonly locked?: string | undefined
}

/** How the node is. */
export interface StatusView {
  readonly did: Did
  readonly nym: string
  readonly name?: string | undefined
  readonly peerId: string
  readonly addresses: readonly string[]
  readonly peers: number
  readonly listings: number
  readonly records: number
  readonly searchable: boolean
  /** `alone`: nobody is connected. `catching-up`: what is shown may not be all. `current`: it is. */
  readonly sync: 'alone' | 'catching-up' | 'current'
  /** `damaged` until what was lost has been fetched from a peer. */
  readonly storage: { readonly state: 'ok' | 'read-only' | 'damaged'; readonly imageBytes: number }
  /** How this machine's clock stands to those of peers. */
  readonly clock: {
    /** `off` by more than two minutes. */
    readonly state: 'unknown' | 'ok' | 'off'
    /** Above zero when it is ahead. */
    readonly aheadMs?: number | undefined
  }
  readonly chains: readonly {
    readonly chain: string
    readonly state: 'ok' | 'unreachable' | 'wrong-contract'
    readonly block?: number | undefined
  }[]
  readonly undelivered: number
  readonly startedAtMs: number
  readonly rssBytes: number
}

/** What happens while a node runs. */
export type NodeEvent =
  | {
      readonly type: 'listing'
      readonly id: string
      readonly key: string
      readonly seller: Did
      readonly gone: boolean
    }
  | { readonly type: 'order'; readonly id: string; readonly phase: string }
  | { readonly type: 'letter'; readonly id: string; readonly to: Did; readonly state: LetterState }
  | { readonly type: 'feedback'; readonly id: string; readonly subject: Did }
  | { readonly type: 'peer'; readonly id: string; readonly connected: boolean }
  | { readonly type: 'sync'; readonly state: StatusView['sync'] }
  | { readonly type: 'problem'; readonly code: string; readonly message: string }
