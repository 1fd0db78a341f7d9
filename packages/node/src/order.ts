import type { Did, WireMoney } from '@souk/records'
import type { LetterState } from './letters.ts'
import type { SettlementView } from './listing.ts'

/** An order as plain data, from the side of the person who looks at it. */
export interface OrderView {
  /** 64 hex digits: SHA-256 of the request's body. */
  readonly id: string
  readonly role: 'buyer' | 'seller'
  readonly counterparty: Did
  readonly listing: { readonly id: string; readonly key: string; readonly title: string }
  readonly quantity: number
  readonly total: WireMoney
  readonly delivery: string
  readonly settlement: SettlementView['kind']
  /** Where the order stands; see docs/protocol/orders.md. */
  readonly phase: string
  /** Why it is closed; present when it is. */
  readonly reason?: string | undefined
  readonly legs: readonly {
    readonly from: string
    readonly to: string
    readonly what: string
    readonly state: string
  }[]
  /** Who must act, by when, and what happens otherwise; absent in a final state. */
  readonly waitingFor?:
    | { readonly role: string; readonly action: string; readonly byMs: number; readonly otherwise: string }
    | undefined
  /** What this side may do now. */
  readonly allowed: readonly string[]
  readonly timeline: readonly { readonly atMs: number; readonly by: string; readonly what: string }[]
  readonly escrow?:
    | {
        readonly chain: string
        readonly contract: string
        readonly id: string
        readonly token: string
        /** Of the token, where this node is set up for it. */
        readonly symbol?: string | undefined
        readonly decimals?: number | undefined
        /** In the token's minor units. */
        readonly amount: string
        readonly status: string
        /** Seen in a block, or deep enough to ship on. */
        readonly certainty: 'none' | 'seen' | 'final'
      }
    | undefined
  /** The one-time secret that the buyer shows at a pick-up; only on the buyer's side. */
  readonly pickupCode?: string | undefined
  /** Where the goods go; only the two parties have it. */
  readonly shipTo?: string | undefined
  readonly tracking?: { readonly carrier?: string | undefined; readonly code?: string | undefined } | undefined
  /** Messages about this order that the other side has not acknowledged yet. */
  readonly undelivered: number
  /** Where the least advanced of this side's letters about the order is. */
  readonly letters: LetterState
  readonly feedback: { readonly given?: string | undefined; readonly received?: string | undefined }
  readonly updatedAtMs: number
}

/** What a buyer says. */
export interface BuyRequest {
  /** Id or key of the listing. */
  readonly listing: string
  readonly quantity?: number | undefined
  readonly delivery?: 'ship' | 'pick-up' | undefined
  readonly settlement?: 'escrow' | 'direct' | undefined
  /** ISO 3166 country that it is shipped to; one's own region when left out. */
  readonly country?: string | undefined
  /** Name and address; only the seller can read it. */
  readonly shipTo?: string | undefined
  readonly note?: string | undefined
  /**
   * Drawn by whoever asks: a request that is made again, because its answer was lost, is answered with the order that it
   * made. 8 to 64 characters.
   */
  readonly requestKey?: string | undefined
}

/** What either side can do with an order. Each is refused with `not-allowed-now` when the state forbids it. */
export type OrderAction =
  | { readonly action: 'accept' }
  | { readonly action: 'decline'; readonly why?: string | undefined }
  /** The buyer, before acceptance (money comes back whole), or by the terms after it. */
  | { readonly action: 'cancel'; readonly why?: string | undefined }
  /** Direct settlement: the buyer says that the money is sent. */
  | { readonly action: 'paid'; readonly reference?: string | undefined }
  /** Direct settlement: the seller says that the money is there. */
  | { readonly action: 'payment-received' }
  | { readonly action: 'ship'; readonly carrier?: string | undefined; readonly tracking?: string | undefined }
  /** The seller enters the secret that the buyer showed. */
  | { readonly action: 'handover'; readonly code: string }
  /** The buyer has the thing and is content: the seller is paid. */
  | { readonly action: 'confirm' }
  | { readonly action: 'refund' }
  /** Direct settlement: the buyer says that the money came back. */
  | { readonly action: 'refund-received' }

/** Orders of this identity, bought and sold. */
export interface Orders {
  /**
   * Sends a request to the seller. With escrow, this is the consent to pay: the node funds the escrow by itself, up to
   * the amount in the terms.
   *
   * @throws {@link NodeError} `key-used` when another request was made with the same key; `not-found`, `own-listing`,
   * `no-chain`, or a code of trading or escrow.
   */
  buy(request: BuyRequest): Promise<OrderView>
  /** @throws {@link NodeError} `not-allowed-now`, `not-found`, or a code of trading or escrow. */
  act(order: string, action: OrderAction): Promise<OrderView>
  /** @throws {@link NodeError} `not-found`. Accepts any unambiguous start of an id from eight digits on. */
  get(order: string): Promise<OrderView>
  /**
   * Newest first.
   *
   * @param filter.after - The page that follows this order, by its whole id.
   * @param filter.limit - Orders, 50 when left out, at most 500.
   * @throws {@link NodeError} `not-found` when there is no order `after`.
   */
  list(filter?: {
    readonly role?: 'buyer' | 'seller' | undefined
    readonly open?: boolean | undefined
    readonly after?: string | undefined
    readonly limit?: number | undefined
  }): Promise<OrderView[]>
}
