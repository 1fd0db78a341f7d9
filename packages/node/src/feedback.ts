import type { Did } from '@souk/records'

/** One rating, as plain data. */
export interface FeedbackView {
  readonly id: string
  readonly rater: Did
  readonly subject: Did
  readonly role: 'buyer' | 'seller'
  /** 64 hex digits. */
  readonly order: string
  readonly listing: string
  readonly stars: number
  readonly aspects: Readonly<Record<string, number>>
  readonly text: string
  readonly createdAtMs: number
  /**
   * `escrow`: a chain that this node reads says that the trade was settled. `pair`: both signed that it went well.
   * `one-sided`: both signed that they would, nothing shows that they did.
   */
  readonly evidence: 'escrow' | 'pair' | 'one-sided'
}

/** A rating to give. One a party an order. */
export interface FeedbackDraft {
  readonly order: string
  /** 1 to 5. */
  readonly stars: number
  readonly aspects?:
    | Readonly<Partial<Record<'described' | 'communication' | 'punctuality' | 'care', number>>>
    | undefined
  readonly text?: string | undefined
}

/** How far one's trust reaches somebody, and why. */
export interface ReputationView {
  readonly subject: Did
  /** Expected share of good trades, 0 to 1, from where this reader stands. */
  readonly expected: number
  /** Weight of the evidence that reached the reader. */
  readonly confidence: number
  /** Lower Wilson bound, by which lists are sorted. */
  readonly lowerBound: number
  readonly ratings: number
  readonly evidence: Readonly<Record<FeedbackView['evidence'], number>>
  /** Settled orders that the chain shows against those with feedback here; absent without a chain. */
  readonly completeness?: { readonly settled: number; readonly withFeedback: number } | undefined
  /** The strongest paths: «you → bought from Bo → who rated …». */
  readonly because: readonly { readonly path: readonly Did[]; readonly text: string; readonly contribution: number }[]
}

/** Ratings given, found and weighed. */
export interface Feedback {
  /** Publishes a rating: own store, gossip, located set and DHT. */
  give(draft: FeedbackDraft): Promise<FeedbackView>
  /** What this node holds; with `search`, first asks the located set and the DHT for what it does not. */
  about(
    subject: Did,
    options?: { readonly search?: boolean | undefined; readonly signal?: AbortSignal | undefined }
  ): Promise<FeedbackView[]>
  /**
   * One rating by its id, as somebody hands it on. With `search` it is fetched from the DHT when it is not here: it
   * stands there under its own hash, so that neither its subject nor anybody else can keep it back.
   *
   * @throws {@link NodeError} `not-found`.
   */
  get(
    id: string,
    options?: { readonly search?: boolean | undefined; readonly signal?: AbortSignal | undefined }
  ): Promise<FeedbackView>
  reputation(
    subject: Did,
    options?: { readonly search?: boolean | undefined; readonly signal?: AbortSignal | undefined }
  ): Promise<ReputationView>
}
