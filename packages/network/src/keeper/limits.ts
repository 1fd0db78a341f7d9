/** After a lost connection or a failed dial, the first try comes after about this long. */
export const backoffFirstMs = 1000

/**
 * Each failed try makes the wait longer by this, so that a wait is about an eighth of the outage so far: a network that
 * was cut for a minute is whole within ten seconds. Doubling would wait as long again as the outage was.
 */
export const backoffGrowth = 1.15

/** No wait grows longer than this. It never gives up: a laptop may come back after a month. */
export const backoffMaxMs = 5 * 60_000

/** When a lost peer comes back all others are tried at once, but not more often than this. */
export const hurryEveryMs = 10_000

/** A connection that lasts so long has made good: the next loss starts again from the first wait. */
export const settledMs = 30_000

/** What one dial may take, over all addresses of a peer. */
export const dialTimeoutMs = 10_000

/** Dials under way at once. */
export const dialsMax = 4

/** A node with fewer peers looks for more among those it has met; gossip needs about six neighbours. */
export const peersTarget = 8

/** Peers remembered over restarts, those seen last. About 300 bytes each. */
export const learntMax = 200

/** Peers that others told us of, waiting for a place; not remembered over restarts. */
export const metMax = 200

/** Addresses remembered of one peer. */
export const addressesMax = 8

/** A timer that is so late means that the machine slept: every wait is over. */
export const sleptMs = 30_000
