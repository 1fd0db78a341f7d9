/** Bounds and defaults of a node, each with its reason. */

const minute = 60_000
const day = 24 * 60 * minute

/** A listing lives as long as its kind allows, and is renewed while its seller's node runs. */
export const listingLifeMs = 30 * day
/** A request for a revision that has ended may still be on its way for as long as mailboxes keep it: 15 days. */
export const revisionKeptMs = 15 * day
/** Listings of a bulk that are sealed before others get a turn (10 ms), and how many such lots share the next writes. */
export const bulkSealedAtOnce = 32
export const bulkLotsAhead = 8
export const profileLifeMs = 30 * day
/** Two years, the bound of its kind: a rating outlives the goods. */
export const feedbackLifeMs = 730 * day

/** A node that stops gives ratings under way this long to reach others: a look-up and a put take well under a second. */
export const spreadOnCloseMs = 3_000

/** Addresses of one installation that a profile names; the bound of its kind. */
export const addressesMax = 8

/** What is nearer to its end than this is renewed: a seller may be away for ten days without losing the shop. */
export const renewBeforeMs = 10 * day

/** Renewal, expiry and re-put look at everything once an hour: cheap, and no two-year timer is needed. */
export const houseworkEveryMs = 60 * minute

/** First retry of an undelivered message; doubles up to {@link outboxRetryMsMax}. */
export const outboxRetryMs = 2_000
export const outboxRetryMsMax = 10 * minute

/** A relay keeps the letter; only the recipient's own acknowledgement ends it, so it is offered again now and then. */
export const atRelayRetryMs = 5 * minute
export const atRelayRetryMsMax = 6 * 60 * minute

/** One attempt to hand over a message: directly, where the DHT says, and to the recipient's relays. */
export const deliveryTimeoutMs = 40_000

/**
 * Bits of work beyond what this node itself would ask of a stranger: eight times the work, so that nodes somewhat fuller
 * or busier take a record at once. 10 ms for an ordinary listing.
 */
export const workHeadroomBits = 3

/** No flood and no full disk makes a node work harder than this by itself: 80 ms on a laptop, a second on a telephone. */
export const workBitsByItselfMax = 18

/** How often one's own word is sealed anew because another installation's came in between: once is rare. */
export const putTriesMax = 4

/** Tries between two looks at everything else: a millisecond on a laptop, ten on the slowest machine. */
export const triesPerTurn = 4096

/** Work that takes longer than this is told of. */
export const longWorkMs = 2_000

/** Results a page when the caller names no limit, and the most that it may ask for. */
export const pageDefault = 50
export const pageMax = 500

/** Photographs larger than this are refused before they are decoded. */
export const uploadBytesMax = 40 * 1024 * 1024

/** A letter carries one event of an order, at most 16 kB, and its own name. */
export const letterBytesMax = 32 * 1024

/** How often open orders are looked at for deadlines that have passed. */
export const deadlinesEveryMs = 30_000

/** First retry of a step on chain that failed; doubles up to {@link chainRetryMsMax}. */
export const chainRetryMs = 2_000
export const chainRetryMsMax = 5 * minute

/** People whose connections are kept: a busy seller's others are reached when there is something to say. */
export const companyMax = 64
